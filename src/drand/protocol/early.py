"""Bundles that come before the key generation they belong to exists: a leader's deal may overtake its own group."""

from collections import deque

from drand.model.bundles import Bundle, DealBundle, JustificationBundle, ResponseBundle
from drand.model.group import MAX_GROUP_SIZE

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


class EarlyBundles:
    """A bounded first-in-first-out of unverified bundles; the oldest is dropped, and counted.

    Anybody may send here: nothing can be verified before the group is known. The bounds are on number and bytes, and
    one claimed author cannot displace the others' bundles.
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[str, Bundle]] = deque()
        self._bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, sender: str, bundle: Bundle) -> None:
        """Keep `bundle` unless it is here already; may drop older ones. `sender` is the transport's word."""
        size = weight(bundle)
        if any(kept == bundle for _, kept in self._kept):
            return
        if size > MAX_BYTES:
            self.dropped += 1
            return
        same = [entry for entry in self._kept if entry[1].author == bundle.author]
        if len(same) >= PACKETS_PER_AUTHOR:
            self._drop(same[0])
        while self._kept and (len(self._kept) >= MAX_PACKETS or self._bytes + size > MAX_BYTES):
            self._drop(self._kept[0])
        self._kept.append((sender, bundle))
        self._bytes += size

    def take_all(self) -> tuple[tuple[str, Bundle], ...]:
        """Everything kept, with its senders, in the order it came; nothing is kept afterwards."""
        taken = tuple(self._kept)
        self._kept.clear()
        self._bytes = 0
        return taken

    def _drop(self, entry: tuple[str, Bundle]) -> None:
        self._kept.remove(entry)
        self._bytes -= weight(entry[1])
        self.dropped += 1
