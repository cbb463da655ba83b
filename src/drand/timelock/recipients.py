"""Who a file is encrypted to, and who may open it: what both kinds of recipients have in common."""

from collections.abc import Awaitable, Iterator, Sequence
from typing import Protocol

from collective.entropy import Entropy
from collective.errors import CollectiveError, Unavailable
from drand.errors import BeaconNotFound
from drand.timelock.errors import DamagedHeader, NoIdentityMatched, WrongChain
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

    What only means "not this one" (too early, another chain, no answer) is kept until all have been asked; a stanza
    that breaks its format ends the search at once.
    """

    def __init__(self, stanzas: Sequence[Stanza]) -> None:
        self._stanzas = stanzas
        self._reasons: list[CollectiveError] = []
        if len(stanzas) > 1 and any(stanza.type == "scrypt" for stanza in stanzas):
            raise DamagedHeader("a passphrase stanza stands beside others, which the format forbids")

    def failed(self, reason: CollectiveError) -> None:
        """Note why an identity did not open the file, or raise where the file itself is at fault."""
        if not isinstance(reason, BeaconNotFound | WrongChain | Unavailable):
            raise reason
        self._reasons.append(reason)

    def checked(self, file_key: bytes) -> bytes:
        """The file key that an identity found; raises DamagedHeader when it is none."""
        if len(file_key) != FILE_KEY_BYTES:
            raise DamagedHeader(f"a stanza holds {len(file_key)} bytes, a file key has {FILE_KEY_BYTES}")
        return file_key

    def nobody(self) -> CollectiveError:
        """The error to raise when no identity opened the file: the most hopeful reason."""
        for kind in (BeaconNotFound, Unavailable, WrongChain):
            for reason in self._reasons:
                if isinstance(reason, kind):
                    return reason
        kinds = ", ".join(dict.fromkeys(stanza.type for stanza in self._stanzas))
        return NoIdentityMatched(f"none of the identities given opens this file (it has stanzas of: {kinds})")


def unwrap(stanzas: Sequence[Stanza], identities: Sequence[Identity]) -> bytes:
    """The file key, by the first identity that has it.

    raises  NoIdentityMatched, StillLocked, WrongChain, Unavailable when none has; DamagedHeader at a bad stanza
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
