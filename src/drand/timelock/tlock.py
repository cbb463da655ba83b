"""Locking a file to a round: tlock's stanza.

    -> tlock <round, decimal> <chain hash, 64 hex digits>
    U || V || W of collective.sealing.ibe, V and W of 16 bytes

The identity that is encrypted to is what the group signs for the round, so the round's signature opens it. That is
known in advance only on unchained chains. docs/spec/tlock-stanza.md gives the bytes.
Source: tlock v1.3.0 (Go), tlock.go and tlock_age.go.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from collective.clock import Clock, SystemClock
from collective.entropy import Entropy
from collective.errors import BadSetting, MalformedPoint, Unavailable
from collective.sealing.ibe import IbeCiphertext, IdentityEncryption, NotSealedForThis
from drand.errors import BeaconNotFound, InvalidBeacon
from drand.model.chain import MAX_ROUND, TIME_OVERFLOW_S, Beacon, ChainInfo, Round
from drand.model.spans import shown_span
from drand.model.verification import ChainVerifier
from drand.timelock.errors import DamagedHeader, StillLocked, UnsuitableChain, WrongChain
from drand.timelock.header import FILE_KEY_BYTES, Stanza
from drand.timelock.recipients import of_type

STANZA_TYPE = "tlock"
_ROUND = re.compile(r"[1-9][0-9]{0,19}")
_CHAIN_HASH = re.compile(r"[0-9a-f]{64}")


class GivenBeacon(Protocol):
    """What is needed of a beacon: `drand.model.chain.Beacon`, `drand.client.VerifiedBeacon`."""

    @property
    def round(self) -> Round:
        """Which round it is."""
        ...

    @property
    def signature(self) -> bytes:
        """The group's signature, encoded."""
        ...


class BeaconSource(Protocol):
    """Where rounds come from: a `drand.client.Client`, a file, a test."""

    def get(self, round_: Round) -> GivenBeacon:
        """That round; raises BeaconNotFound or TooEarly when it is not there, Unavailable when nobody answers."""
        ...


class AsyncBeaconSource(Protocol):
    """As `BeaconSource`, in an event loop: a `drand.client.AsyncClient`."""

    async def get(self, round_: Round) -> GivenBeacon:
        """That round."""
        ...


@dataclass(frozen=True, slots=True)
class TlockStanza:
    """A stanza that a round of a chain opens."""

    round: Round
    chain_hash: str  # 64 lower-case hex digits
    body: bytes

    @classmethod
    def parse(cls, stanza: Stanza) -> "TlockStanza":
        """Read the arguments; raises DamagedHeader unless they are a round and a chain hash in canonical form."""
        if len(stanza.args) != 2:
            raise DamagedHeader(f"a tlock stanza has a round and a chain hash, not {len(stanza.args)} arguments")
        round_, chain_hash = stanza.args
        if not _ROUND.fullmatch(round_) or int(round_) > MAX_ROUND:
            raise DamagedHeader("a tlock stanza's round is no number from 1 to 2^64 - 1")
        if not _CHAIN_HASH.fullmatch(chain_hash):
            raise DamagedHeader("a tlock stanza's chain hash is not 64 lower-case hexadecimal digits")
        return cls(Round(int(round_)), chain_hash, stanza.body)

    def ciphertext(self, chain: ChainInfo) -> IbeCiphertext:
        """The body taken apart; raises DamagedHeader when its length does not fit the chain's scheme."""
        point_bytes = chain.scheme.key_bytes
        if len(self.body) != point_bytes + 2 * FILE_KEY_BYTES:
            wanted = point_bytes + 2 * FILE_KEY_BYTES
            raise DamagedHeader(f"a tlock stanza of this chain has a body of {wanted} bytes, not {len(self.body)}")
        masks = self.body[point_bytes:]
        return IbeCiphertext(self.body[:point_bytes], masks[:FILE_KEY_BYTES], masks[FILE_KEY_BYTES:])


def tlock_stanzas(stanzas: Sequence[Stanza]) -> list[TlockStanza]:
    """The tlock stanzas of a header, the earliest round first; raises DamagedHeader at a malformed one."""
    return sorted(map(TlockStanza.parse, of_type(stanzas, STANZA_TYPE)), key=lambda stanza: stanza.round)


def require_suitable(chain: ChainInfo) -> None:
    """Raise UnsuitableChain for a chained scheme: what it signs for a round depends on the round before."""
    if chain.scheme.chained:
        raise UnsuitableChain(
            f"nothing can be locked to rounds of the chained scheme {chain.scheme.name}",
            hint="choose an unchained chain, such as quicknet",
        )


class TlockRecipient:
    """A round of a chain (`drand.timelock.recipients.Recipient`).

    raises  UnsuitableChain for a chained scheme; BadSetting for a round that is never due; MalformedPoint for a bad key
    """

    def __init__(self, chain: ChainInfo, round_: int) -> None:
        require_suitable(chain)
        if not 1 <= round_ <= MAX_ROUND or chain.schedule.due_unix_s(round_) >= TIME_OVERFLOW_S:
            hint = "rounds count from 1" if round_ < 1 else "its time is beyond every clock: lock to an earlier round"
            raise BadSetting(f"there will be no round {round_} to lock to", hint=hint)
        self.chain = chain
        self.round = Round(round_)
        self._master = chain.scheme.decode_key(chain.public_key)

    def wrap(self, file_key: bytes, entropy: Entropy) -> Stanza:
        """The stanza for this round."""
        identity = self.chain.scheme.digest(self.round, b"")
        sealed = _encryption(self.chain).encrypt(self._master, identity, file_key, entropy)
        return Stanza(STANZA_TYPE, (str(self.round), self.chain.hash().hex()), sealed.to_bytes())


class _Opening:
    """What opens tlock stanzas of one chain, once their beacons are there."""

    def __init__(self, chain: ChainInfo, clock: Clock) -> None:
        require_suitable(chain)
        self.chain = chain
        self._clock = clock
        self._hash = chain.hash().hex()
        self._verifier = ChainVerifier(chain.scheme, chain.public_key)

    def candidates(self, stanzas: Sequence[Stanza]) -> list[TlockStanza]:
        """The stanzas of this chain; raises WrongChain when all tlock stanzas are of others."""
        found = tlock_stanzas(stanzas)
        own = [stanza for stanza in found if stanza.chain_hash == self._hash]
        if found and not own:
            others = tuple(dict.fromkeys(stanza.chain_hash for stanza in found))
            raise WrongChain(f"the file is locked to the chain {others[0]}, not to {self._hash}", wanted=others)
        return own

    def file_key(self, stanza: TlockStanza, beacon: GivenBeacon) -> bytes:
        """Open a stanza; raises InvalidBeacon for a beacon that is not the round's, DamagedHeader for a bad stanza."""
        if beacon.round != stanza.round:
            raise InvalidBeacon(f"round {beacon.round} was given where round {stanza.round} was asked for")
        self._verifier.check(Beacon(stanza.round, beacon.signature))
        sealed = stanza.ciphertext(self.chain)
        try:
            return _encryption(self.chain).decrypt(beacon.signature, sealed)
        except (NotSealedForThis, MalformedPoint) as error:
            raise DamagedHeader(f"the tlock stanza for round {stanza.round} does not open: {error}") from error

    def not_there(self, stanza: TlockStanza, reason: Exception) -> Exception:
        """The reason why a beacon is missing: most of all, that its time has not come."""
        opens = self.chain.schedule.due_unix_s(stanza.round)
        wait_s = opens - self._clock.now()
        if wait_s <= 0:
            return reason
        what = f"the file opens with round {stanza.round}, which is due in {shown_span(wait_s)}"
        return StillLocked(what, round_=stanza.round, opens_unix_s=opens)


class TlockIdentity:
    """Opens files locked to one chain (`drand.timelock.recipients.Identity`).

    Every beacon is verified here, whatever its source has done. The clock only words the error for one that is
    missing: a beacon that verifies opens the file at any time. raises UnsuitableChain for a chained scheme.
    """

    def __init__(self, chain: ChainInfo, source: BeaconSource, clock: Clock | None = None) -> None:
        self._opening = _Opening(chain, clock or SystemClock())
        self._source = source

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, None where there is no tlock stanza.

        raises  StillLocked, WrongChain, BeaconNotFound, Unavailable, InvalidBeacon, DamagedHeader
        """
        reason: Exception | None = None
        for stanza in self._opening.candidates(stanzas):
            try:
                return self._opening.file_key(stanza, self._source.get(stanza.round))
            except (BeaconNotFound, Unavailable) as error:
                reason = reason or self._opening.not_there(stanza, error)
        if reason is not None:
            raise reason
        return None


class AsyncTlockIdentity:
    """As `TlockIdentity`, with an asynchronous source (`drand.timelock.recipients.AsyncIdentity`)."""

    def __init__(self, chain: ChainInfo, source: AsyncBeaconSource, clock: Clock | None = None) -> None:
        self._opening = _Opening(chain, clock or SystemClock())
        self._source = source

    async def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """As `TlockIdentity.unwrap`."""
        reason: Exception | None = None
        for stanza in self._opening.candidates(stanzas):
            try:
                return self._opening.file_key(stanza, await self._source.get(stanza.round))
            except (BeaconNotFound, Unavailable) as error:
                reason = reason or self._opening.not_there(stanza, error)
        if reason is not None:
            raise reason
        return None


def _encryption(chain: ChainInfo) -> IdentityEncryption:
    return IdentityEncryption(chain.scheme.bls, chain.scheme.digest_hash)
