"""Who a file is encrypted to, and who may open it: what both kinds of recipients have in common."""

from collections.abc import Awaitable, Iterator, Sequence
from math import inf
from typing import Protocol

from collective.entropy import Entropy
from collective.errors import CollectiveError, InvalidSignature
from drand.errors import InvalidChainInfo, InvalidRandomness, TooEarly
from drand.timelock.errors import DamagedHeader, NoIdentityMatched, StillLocked, WrongChain
from drand.timelock.header import FILE_KEY_BYTES, Stanza


class Recipient(Protocol):
    """Somebody, or a round, that will open the file."""

    def wrap(self, file_key: bytes, entropy: Entropy) -> Stanza:
        """The stanza from which only this recipient gets the 16 bytes of `file_key` back."""
        ...


class Identity(Protocol):
    """What opens stanzas of one kind."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, or None where none of the stanzas is for this identity; raises what prevents it."""
        ...


class AsyncIdentity(Protocol):
    """An identity that waits for something, such as a beacon from the network."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> Awaitable[bytes | None]:
        """As `Identity.unwrap`."""
        ...


class Unwrapping:
    """The search for an identity that opens a file: one that cannot yet does not stop the others from trying.

    What only means "not this one" (too early, another chain, a source of beacons that is silent, confused or lies) is
    kept until all have been asked; a stanza that breaks its format ends the search at once.
    """

    def __init__(self, stanzas: Sequence[Stanza]) -> None:
        self._stanzas = stanzas
        self._reasons: list[CollectiveError] = []
        if len(stanzas) > 1 and any(stanza.type == "scrypt" for stanza in stanzas):
            raise DamagedHeader("a passphrase stanza stands beside others, which the format forbids")

    def failed(self, reason: CollectiveError) -> None:
        """Note why an identity did not open the file, or raise where the file itself is at fault."""
        if isinstance(reason, DamagedHeader):
            raise reason
        self._reasons.append(reason)

    def checked(self, file_key: bytes) -> bytes:
        """The file key that an identity found; raises DamagedHeader when it is none."""
        if len(file_key) != FILE_KEY_BYTES:
            raise DamagedHeader(f"a stanza holds {len(file_key)} bytes, a file key has {FILE_KEY_BYTES}")
        return file_key

    def nobody(self) -> CollectiveError:
        """The error to raise when no identity opened the file: the most telling reason."""
        if self._reasons:
            return most_telling(self._reasons)
        kinds = ", ".join(dict.fromkeys(stanza.type for stanza in self._stanzas))
        return NoIdentityMatched(f"none of the identities given opens this file (it has stanzas of: {kinds})")


def most_telling(reasons: Sequence[CollectiveError]) -> CollectiveError:
    """Which of several reasons to give, of which there is at least one.

    A lie before all; then why a round that is due is not there, which can be mended; then the round that comes first;
    that the file is of another chain last.
    """
    return min(reasons, key=_rank)


def _rank(reason: CollectiveError) -> tuple[int, float]:
    match reason:
        case InvalidSignature() | InvalidChainInfo() | InvalidRandomness():
            return 0, 0.0
        case StillLocked():
            return 2, reason.opens_unix_s
        case TooEarly():
            return 2, inf
        case WrongChain():
            return 3, 0.0
        case _:
            return 1, 0.0


def unwrap(stanzas: Sequence[Stanza], identities: Sequence[Identity]) -> bytes:
    """The file key, by the first identity that has it.

    raises  NoIdentityMatched, StillLocked, WrongChain, or what a source of beacons raised, when none has; DamagedHeader
            at a bad stanza
    """
    search = Unwrapping(stanzas)
    for identity in identities:
        try:
            file_key = identity.unwrap(stanzas)
        except CollectiveError as error:
            search.failed(error)
            continue
        if file_key is not None:
            return search.checked(file_key)
    raise search.nobody()


async def unwrap_async(stanzas: Sequence[Stanza], identities: Sequence[Identity | AsyncIdentity]) -> bytes:
    """As `unwrap`, with identities of both kinds."""
    search = Unwrapping(stanzas)
    for identity in identities:
        try:
            found = identity.unwrap(stanzas)
            file_key = found if found is None or isinstance(found, bytes) else await found
        except CollectiveError as error:
            search.failed(error)
            continue
        if file_key is not None:
            return search.checked(file_key)
    raise search.nobody()


def of_type(stanzas: Sequence[Stanza], kind: str) -> Iterator[Stanza]:
    """The stanzas of one type."""
    return (stanza for stanza in stanzas if stanza.type == kind)
