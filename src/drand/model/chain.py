"""Rounds and their times, beacons, and what identifies a chain."""

import hashlib
from dataclasses import dataclass
from typing import NewType

from drand.model.schemes import Scheme

Round = NewType("Round", int)  # round 0 is the genesis beacon, which nobody signed; round 1 is the first
Index = NewType("Index", int)  # 0-based place in the group; the share sits at x = index + 1

DEFAULT_BEACON_ID = "default"
TIME_OVERFLOW_S = 2**63 - 1 - 2**36  # what v1.5.11 answers for a round beyond the end of time
MAX_ROUND = 2**64 - 1


def canonical_beacon_id(beacon_id: str) -> str:
    """The id under which a beacon is filed: the empty one is "default" (v1.5.11, GetCanonicalBeaconID)."""
    return beacon_id or DEFAULT_BEACON_ID


def hashed_beacon_id(beacon_id: str) -> bytes:
    """What an id contributes to group and chain hashes: nothing for the default beacon."""
    return b"" if beacon_id in ("", DEFAULT_BEACON_ID) else beacon_id.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When each round of one chain is due. All times are whole unix seconds."""

    genesis_unix_s: int  # first second of round 1
    period_s: int  # at least 1

    def due_unix_s(self, round_: int) -> int:
        """First second at which `round_` may be signed; round 0 and round 1 are due at genesis.

        A round beyond the end of time is answered with TIME_OVERFLOW_S.
        Source: drand v1.5.11, chain/time.go, TimeOfRound.

        >>> Schedule(genesis_unix_s=100, period_s=30).due_unix_s(Round(3))
        160
        """
        if round_ == 0:
            return self.genesis_unix_s
        shift = (self.period_s + 1).bit_length() - 1 + 2
        if self.period_s < 0 or round_ >= MAX_ROUND >> shift:
            return TIME_OVERFLOW_S
        due = self.genesis_unix_s + (round_ - 1) * self.period_s
        return due if due <= TIME_OVERFLOW_S else TIME_OVERFLOW_S

    def next_round(self, now: float) -> tuple[Round, int]:
        """The first round due after `now`, and its time; round 1 before genesis (v1.5.11, NextRound).

        >>> Schedule(genesis_unix_s=100, period_s=30).next_round(130)
        (3, 160)
        """
        if now < self.genesis_unix_s:
            return Round(1), self.genesis_unix_s
        passed = int(now - self.genesis_unix_s) // self.period_s
        return Round(passed + 2), self.genesis_unix_s + (passed + 1) * self.period_s

    def current_round(self, now: float) -> Round:
        """The latest round due at `now`; 1 before genesis (v1.5.11, CurrentRound)."""
        coming, _ = self.next_round(now)
        return Round(coming - 1) if coming > 1 else coming


@dataclass(frozen=True, slots=True)
class Beacon:
    """One round of a chain, as stored and served. Not verified by itself.

    signature            of the group on the scheme's digest; the 32-byte genesis seed in round 0
    previous_signature   what the signature chains to; empty in unchained schemes and in round 0
    """

    round: Round
    signature: bytes
    previous_signature: bytes = b""

    @property
    def randomness(self) -> bytes:
        """32 bytes: SHA-256 of the signature, in every scheme."""
        return hashlib.sha256(self.signature).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainInfo:
    """All that a client needs to verify a chain, and what its hash covers."""

    public_key: bytes  # encoded point of the key group
    period_s: int
    genesis_unix_s: int
    genesis_seed: bytes  # 32 bytes; called groupHash on the wire
    scheme: Scheme
    beacon_id: str = DEFAULT_BEACON_ID

    @property
    def schedule(self) -> Schedule:
        """When each round is due."""
        return Schedule(genesis_unix_s=self.genesis_unix_s, period_s=self.period_s)

    def hash(self) -> bytes:
        """The chain hash, 32 bytes. The scheme's name is not covered.

        SHA-256(u32BE period || i64BE genesis || public key || genesis seed || beacon id unless default)
        Source: drand v1.5.11, chain/info.go, Info.Hash; vectors chain-hash/*.
        """
        return hashlib.sha256(
            self.period_s.to_bytes(4, "big")
            + self.genesis_unix_s.to_bytes(8, "big", signed=True)
            + self.public_key
            + self.genesis_seed
            + hashed_beacon_id(self.beacon_id)
        ).digest()
