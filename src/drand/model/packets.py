"""What nodes say to each other outside a key generation: setup, partials, sync, and the metadata on it all."""

from dataclasses import dataclass
from typing import TypeAlias

from drand.model.bundles import Bundle
from drand.model.chain import Beacon, Round
from drand.model.group import Group, Identity


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A node's version as peers compare it (v1.5.11, common/version.go)."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}" + (f"-{self.prerelease}" if self.prerelease else "")

    def compatible_with(self, other: "Version") -> bool:
        """Same major and minors at most one apart; 1.x.y with x >= 5 and y >= 8 also speaks to 2.0. Symmetric.

        The patch counts in every minor, so that 1.6.0 does not speak to 2.0 and 1.6.8 does.
        """
        if self.major == other.major:
            return abs(self.minor - other.minor) <= 1
        older, newer = sorted((self, other))
        return older.major == 1 and older.minor >= 5 and older.patch >= 8 and (newer.major, newer.minor) == (2, 0)


OUR_VERSION = Version(1, 5, 11)  # what we announce: the Go release whose wire we speak


@dataclass(frozen=True, slots=True)
class Metadata:
    """What rides on every message: who speaks which version, about which beacon."""

    version: Version | None = None
    beacon_id: str = ""
    chain_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from, as far as the transport knows; what is counted by it, never who it is.

    network      an IPv4 address or the /64 of an IPv6 one
    connection   tells connections from one network apart
    """

    network: str
    connection: str


@dataclass(frozen=True, slots=True)
class PartialPacket:
    """One node's partial signature of one round."""

    round: Round
    previous_signature: bytes  # the preceding beacon's signature, in unchained schemes too
    partial: bytes  # u16BE index || signature share


@dataclass(frozen=True, slots=True)
class DkgPacket:
    """One bundle of a running key generation."""

    bundle: Bundle


@dataclass(frozen=True, slots=True)
class SignalPacket:
    """A participant tells the leader that it wants to be in the group."""

    identity: Identity
    secret: bytes  # the ceremony's shared secret, verbatim (the wire has it so)
    previous_group_hash: bytes = b""  # of a resharing

    def __repr__(self) -> str:
        return f"SignalPacket(identity={self.identity!r}, secret=<redacted>)"


@dataclass(frozen=True, slots=True)
class GroupPush:
    """The leader sends the candidate group: the ceremony starts."""

    group: Group
    secret: bytes
    dkg_timeout_s: int  # length of one phase, as the leader says it; 0 means 10
    signature: bytes  # Schnorr of the group hash by the leader's long-term key

    def __repr__(self) -> str:
        return f"GroupPush(group={self.group!r}, secret=<redacted>, dkg_timeout_s={self.dkg_timeout_s})"


@dataclass(frozen=True, slots=True)
class AskIdentity:
    """Ask a peer for its identity; answered with an Identity."""


Message: TypeAlias = PartialPacket | DkgPacket | SignalPacket | GroupPush
Question: TypeAlias = AskIdentity | SignalPacket | GroupPush
Answer: TypeAlias = Identity | None  # None: accepted, nothing to say


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Ask for all beacons from `from_round` on; 0 means only new ones."""

    from_round: Round
    beacon_id: str


@dataclass(frozen=True, slots=True)
class SyncedBeacon:
    """A beacon as a SyncChain stream carries it."""

    beacon: Beacon
    beacon_id: str
