"""What the records that a store kept tell a process that starts."""

from collections.abc import Iterable
from dataclasses import dataclass

from drand.errors import InvalidGroup
from drand.model.chain import Beacon, Index, canonical_beacon_id
from drand.model.group import Group, Identity
from drand.model.records import (
    BeaconsStored,
    BeaconStored,
    BundleKept,
    CeremonyEnded,
    CeremonyStarted,
    Epoch,
    EpochStarted,
    JournalRecord,
    PhaseEntered,
    Record,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The latest epoch, the journal of a ceremony that was running, and the last beacon."""

    epoch: Epoch | None = None
    started: CeremonyStarted | None = None
    journal: tuple[JournalRecord, ...] = ()  # from `started` on, oldest first; () when no ceremony was running
    head: Beacon | None = None


def sort_records(records: Iterable[Record]) -> Kept:
    """Read `records`, oldest first; raises InvalidGroup for a journal without a beginning."""
    epoch: Epoch | None = None
    started: CeremonyStarted | None = None
    journal: list[JournalRecord] = []
    head: Beacon | None = None
    for record in records:
        match record:
            case CeremonyStarted():
                started, journal = record, [record]
            case BundleKept() | PhaseEntered():
                if started is None:
                    raise InvalidGroup("the journal of a ceremony lacks its beginning")
                journal.append(record)
            case EpochStarted():
                epoch, started, journal = record.epoch, None, []
            case CeremonyEnded():
                started, journal = None, []
            case BeaconStored():
                head = record.beacon
            case BeaconsStored():
                head = record.beacons[-1] if record.beacons else head
    return Kept(epoch=epoch, started=started, journal=tuple(journal), head=head)


def check_belongs(group: Group, identity: Identity, beacon_id: str, index: Index | None = None) -> None:
    """Raise InvalidGroup unless `group` is of this beacon and has our key in it, at `index` where one is given."""
    if canonical_beacon_id(group.beacon_id) != beacon_id:
        raise InvalidGroup(f"the stored group is of beacon {group.beacon_id!r}, not {beacon_id!r}")
    ours = [node for node in group.nodes if node.identity.key == identity.key]
    if not ours or index not in (None, ours[0].index):
        raise InvalidGroup(
            f"the stored group has no place for our key (node {identity.address})",
            hint="the key files were replaced after the ceremony: restore them, or begin anew with `drand util reset`",
        )
