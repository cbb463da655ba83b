"""One rate limit for all workers of a relay: a table in memory that they share.

An address costs 16 bytes: its keyed hash, and the moment from which on its bucket would be full again (the "theoretical
arrival time" of the generic cell rate algorithm; ITU-T I.371, annex A). That is all a token bucket needs to know, and
it is one word, written at once: workers that meet at an entry may let a request too many through, and nothing worse.
"""

from ctypes import Array, c_double, c_uint64
from hashlib import blake2b
from multiprocessing import get_context

from collective.entropy import SystemEntropy

SLOTS = 1 << 17  # 2 MiB; an address that was forgotten has a full bucket again
WAYS = 8  # slots in which an address may be
_SLACK_S = 1e-6  # what unix time as a double is unsure of


class SharedRates:
    """`rate_per_s` requests of an address in the long run and `burst` at once, whichever worker it meets.

    It can be given to processes as they are spawned. Where a table is full, the address nearest to a full bucket is
    forgotten: somebody with many addresses displaces his own first.
    """

    def __init__(self, rate_per_s: float, burst: float, *, slots: int = SLOTS) -> None:
        context = get_context("spawn")
        self._each_s = 1 / rate_per_s
        self._burst_s = burst / rate_per_s
        self._sets = max(slots // WAYS, 1)
        self._key = SystemEntropy().bytes(16)  # strangers must not choose whose place they share
        self._tags: Array[c_uint64] = context.RawArray(c_uint64, self._sets * WAYS)
        self._full_at: Array[c_double] = context.RawArray(c_double, self._sets * WAYS)

    def allows(self, client: str, now: float) -> bool:
        """Take a token of `client`; False when none is left. A clock that steps back gives no tokens."""
        place, tag = self._place(client)
        known = self._full_at[place] if self._tags[place] == tag else now
        full_at = min(max(known, now), now + self._burst_s)
        allowed = full_at + self._each_s <= now + self._burst_s + _SLACK_S
        self._full_at[place] = full_at + self._each_s if allowed else full_at
        self._tags[place] = tag
        return allowed

    def _place(self, client: str) -> tuple[int, int]:
        """Where `client` is, or would be: the slot and the tag."""
        digest = blake2b(client.encode("utf-8", "replace"), digest_size=16, key=self._key).digest()
        tag = int.from_bytes(digest[:8], "big") or 1  # 0: nobody
        first = int.from_bytes(digest[8:], "big") % self._sets * WAYS
        slots = range(first, first + WAYS)
        for slot in slots:
            if self._tags[slot] == tag:
                return slot, tag
        return min(slots, key=self._full_at.__getitem__), tag
