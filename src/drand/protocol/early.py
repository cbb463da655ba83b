"""Bundles that come before the key generation they belong to exists: a leader's deal may overtake its own group."""

from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from drand.model.bundles import Bundle, DealBundle, JustificationBundle, ResponseBundle
from drand.model.group import MAX_GROUP_SIZE
from drand.model.packets import Origin

MAX_PACKETS = MAX_GROUP_SIZE  # every candidate's deal
MAX_BYTES = 32 * 1024 * 1024
PACKETS_PER_AUTHOR = 8  # three kinds, and copies that differ; an author is a claim until the group is known

_BUNDLE_BYTES = 400  # what an empty bundle occupies in CPython, signature and session id apart
_ENTRY_BYTES = 140  # what one entry does besides its payload: itself, its number, the bytes object
_COMMIT_BYTES = 48


def weight(bundle: Bundle) -> int:
    """How many bytes of memory `bundle` occupies, or a little more: several times its encoding when it is made to."""
    match bundle:
        case DealBundle():
            body = sum(len(commit) + _COMMIT_BYTES for commit in bundle.commits)
            body += sum(len(deal.encrypted_share) + _ENTRY_BYTES for deal in bundle.deals)
        case ResponseBundle():
            body = _ENTRY_BYTES * len(bundle.responses)
        case JustificationBundle():
            body = sum(len(item.share) + _ENTRY_BYTES for item in bundle.justifications)
    return _BUNDLE_BYTES + body + len(bundle.session_id) + len(bundle.signature)


class EarlyBundle(NamedTuple):
    """One that is kept. `sender` and `origin` are the transport's word, `weight` is in bytes."""

    sender: str
    bundle: Bundle
    origin: Origin | None
    weight: int

    @property
    def network(self) -> str:
        """By what its room is counted."""
        return self.sender if self.origin is None else self.origin.network


class EarlyBundles:
    """A bounded first-in-first-out of unverified bundles; what has to make room is dropped, and counted.

    Anybody may send here: nothing can be verified before the group is known. The bounds are on number and bytes, and on
    the number of each claimed author. Room is made by the network that has most of it, with its oldest: what others
    sent stays, unless they sent more, whatever authors a stranger claims.
    """

    def __init__(self) -> None:
        self._kept: deque[EarlyBundle] = deque()
        self._bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, sender: str, bundle: Bundle, origin: Origin | None = None) -> None:
        """Keep `bundle` unless it is here already; may drop others, or itself."""
        size = weight(bundle)
        if any(kept.bundle == bundle for kept in self._kept):
            return
        if size > MAX_BYTES:
            self.dropped += 1
            return
        self._kept.append(EarlyBundle(sender, bundle, origin, size))
        self._bytes += size
        same = [kept for kept in self._kept if kept.bundle.author == bundle.author]
        if len(same) > PACKETS_PER_AUTHOR:
            self._make_room(same, Counter(kept.network for kept in same))
        if len(self._kept) > MAX_PACKETS:
            self._make_room(self._kept, Counter(kept.network for kept in self._kept))
        while self._bytes > MAX_BYTES:
            taken: Counter[str] = Counter()
            for kept in self._kept:
                taken[kept.network] += kept.weight
            self._make_room(self._kept, taken)

    def take_all(self) -> tuple[EarlyBundle, ...]:
        """Everything kept, in the order it came; nothing is kept afterwards."""
        taken = tuple(self._kept)
        self._kept.clear()
        self._bytes = 0
        return taken

    def _make_room(self, among: Sequence[EarlyBundle], taken: Counter[str]) -> None:
        """Drop the oldest `among` those of the network that has taken most; of equals, the one that came first."""
        ((greediest, _),) = taken.most_common(1)
        oldest = next(kept for kept in among if kept.network == greediest)
        self._kept.remove(oldest)
        self._bytes -= oldest.weight
        self.dropped += 1
