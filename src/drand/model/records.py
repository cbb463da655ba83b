"""What a node keeps on disk through `Persist`: beacons, the epoch, and the journal of a running ceremony."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from drand.model.bundles import Bundle
from drand.model.chain import Beacon, Index
from drand.model.group import Group
from drand.model.vault_messages import UserEntropy


@dataclass(frozen=True, slots=True)
class BeaconStored:
    """The next beacon of the chain."""

    beacon: Beacon


@dataclass(frozen=True, slots=True)
class BeaconsStored:
    """A run of beacons that follow each other, stored in one transaction."""

    beacons: tuple[Beacon, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CeremonyStarted:
    """A ceremony passed its setup: everybody knows this candidate group. Opens the journal."""

    group: Group  # the candidates, no public key yet
    leader: bool
    phase_s: int  # length of one phase, at least 1
    started_unix_s: float
    old_group: Group | None = None  # of a resharing
    entropy: UserEntropy | None = None  # what we deal with, where the operator named a source


@dataclass(frozen=True, slots=True)
class BundleKept:
    """A bundle, our own or a verified one from somebody else."""

    bundle: Bundle


class Phase(Enum):
    """Where a key generation stands."""

    DEALING = "dealing"
    RESPONDING = "responding"
    JUSTIFYING = "justifying"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PhaseEntered:
    """The key generation moved on."""

    phase: Phase
    entered_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one ceremony made, written once: group, our place in it, and the vault's name for our share.

    The chain hash follows from the group. Go-readable files (`drand_group.toml`, `dist_key.private`) are written
    from this.
    """

    group: Group  # qualified nodes, with public key
    index: Index
    epoch_id: bytes


@dataclass(frozen=True, slots=True)
class EpochStarted:
    """The ceremony succeeded. Closes the journal in the same transaction."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class CeremonyEnded:
    """The ceremony failed. Closes the journal."""

    reason: str


Record: TypeAlias = (
    BeaconStored | BeaconsStored | CeremonyStarted | BundleKept | PhaseEntered | EpochStarted | CeremonyEnded
)
JournalRecord: TypeAlias = CeremonyStarted | BundleKept | PhaseEntered
