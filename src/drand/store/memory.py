"""A store that lives in memory: for tests and for the simulated world, whose disks lose it when they say so."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from drand.model.chain import Beacon, Round
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
from drand.store.contract import OutOfOrder, StoreFailed
from drand.store.rules import new_beacons
from drand.store.sqlite import open_store


class MemoryStore:
    """The twin of `SqliteStore` (drand.store.contract.BeaconStore); round r sits at place r of a list."""

    def __init__(self, *, chained: bool) -> None:
        self._chained = chained
        self._beacons: list[Beacon] = []
        self._epochs: list[Epoch] = []
        self._journal: list[JournalRecord] = []
        self._closed = False

    def persist(self, *records: Record) -> None:
        """Carry out some `Persist`, in order; all or none."""
        self._must_be_open()
        before = (list(self._beacons), list(self._epochs), list(self._journal)) if len(records) > 1 else None
        try:
            for record in records:
                self._keep(record)
        except OutOfOrder:
            if before is not None:
                self._beacons, self._epochs, self._journal = before
            raise

    def _keep(self, record: Record) -> None:
        match record:
            case BeaconStored(beacon):
                self.append((beacon,))
            case BeaconsStored(beacons):
                self.append(beacons)
            case CeremonyStarted():
                self._journal = [record]
            case BundleKept() | PhaseEntered():
                self._journal.append(record)
            case EpochStarted(epoch):
                self._epochs.append(epoch)
                self._journal = []
            case CeremonyEnded():
                self._journal = []
            case _:
                assert_never(record)

    def append(self, beacons: Sequence[Beacon]) -> None:
        """Append beacons that follow the last stored one; all or none."""
        self._must_be_open()
        fresh = new_beacons(beacons, last=self.last(), stored=self.get, chained=self._chained)
        self._beacons += fresh if self._chained else [Beacon(one.round, one.signature) for one in fresh]

    def last(self) -> Beacon | None:
        """The beacon of the highest round."""
        self._must_be_open()
        return self._beacons[-1] if self._beacons else None

    def get(self, round_: Round) -> Beacon | None:
        """One beacon."""
        self._must_be_open()
        return self._beacons[round_] if 0 <= round_ < len(self._beacons) else None

    def range(self, first: Round, limit: int) -> list[Beacon]:
        """At most `limit` beacons from round `first` on, ascending."""
        self._must_be_open()
        start = max(first, 0)
        return self._beacons[start : start + max(limit, 0)]

    def count(self) -> int:
        """How many beacons are stored."""
        self._must_be_open()
        return len(self._beacons)

    def delete_from(self, first: Round) -> int:
        """Remove `first` and all later rounds."""
        self._must_be_open()
        gone = self._beacons[max(first, 0) :]
        del self._beacons[max(first, 0) :]
        return len(gone)

    def epoch(self) -> Epoch | None:
        """The current epoch record."""
        self._must_be_open()
        return self._epochs[-1] if self._epochs else None

    def epochs(self) -> tuple[Epoch, ...]:
        """Every epoch record, oldest first."""
        self._must_be_open()
        return tuple(self._epochs)

    def journal(self) -> tuple[JournalRecord, ...]:
        """The journal of the running ceremony, oldest first."""
        self._must_be_open()
        return tuple(self._journal)

    def backup(self, target: Path) -> None:
        """Write a copy to `target`, as the file that `open_store` and `open_reader` take."""
        self._must_be_open()
        with tempfile.TemporaryDirectory() as folder:
            copy = open_store(Path(folder) / "copy", chained=self._chained)
            try:
                copy.append(self._beacons)
                for epoch in self._epochs:
                    copy.persist(EpochStarted(epoch))
                for record in self._journal:
                    copy.persist(record)
                copy.backup(target)
            finally:
                copy.close()

    def close(self) -> None:
        """Close; further calls raise StoreFailed."""
        self._closed = True

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreFailed("the store is closed")
