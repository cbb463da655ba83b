"""The disks of a simulated node: records behind the production store, and the vault's state file."""

from collective.errors import Unavailable
from collective.sim.disk import SimulatedDisk
from drand.model.bundles import Bundle
from drand.model.chain import Beacon, Round
from drand.model.records import BeaconsStored, BeaconStored, BundleKept, CeremonyStarted, EpochStarted, Record
from drand.store.memory import MemoryStore


class RecordDisk:
    """What `Persist` kept: a disk that loses what is not synced, and the store that a process reads it through."""

    def __init__(self, *, chained: bool) -> None:
        self._chained = chained
        self._disk: SimulatedDisk[Record] = SimulatedDisk()
        self._bundles: set[tuple[type[Bundle], bytes]] = set()
        self.store = MemoryStore(chained=chained)

    @property
    def last_round(self) -> int:
        """The last stored round, -1 where none is."""
        return self.store.count() - 1

    def persist(self, record: Record) -> None:
        """Write and sync; raises OSError on a full disk, OutOfOrder where the store refuses."""
        self._disk.write(record)
        self.store.persist(record)
        self._disk.sync()
        self._index(record)

    def tear(self, record: Record) -> None:
        """The machine dies between write and sync: the record never was. A full disk had not taken it anyway."""
        if not self._disk.full:
            self._disk.write(record)
        self.crash()

    def fill(self, *, full: bool) -> None:
        """No space is left, or there is some again."""
        self._disk.full = full

    def crash(self) -> None:
        """Only what was synced is left; the store is read anew from it."""
        self._disk.crash()
        self._bundles.clear()
        self.store = MemoryStore(chained=self._chained)
        for record in self._disk.durable:
            self.store.persist(record)
            self._index(record)

    def holds(self, bundle: Bundle) -> bool:
        """Whether a crash now would leave this bundle in the journal."""
        return (type(bundle), bundle.hash()) in self._bundles

    def beacon(self, round_: Round) -> Beacon | None:
        """The stored beacon of a round."""
        return self.store.get(round_)

    def records(self) -> tuple[Record, ...]:
        """What a process is given when it starts, as the daemon's shell reads it from its store."""
        records: list[Record] = list(self.store.journal())
        epoch, last = self.store.epoch(), self.store.last()
        if epoch is not None:
            records.insert(0, EpochStarted(epoch))
        if last is not None:
            records.append(BeaconStored(last))
        return tuple(records)

    def _index(self, record: Record) -> None:
        match record:
            case BundleKept(bundle):
                self._bundles.add((type(bundle), bundle.hash()))
            case CeremonyStarted():
                self._bundles.clear()
            case _:
                pass


class SimulatedStateFile:
    """The vault's file: replaced atomically, and durable when `replace` returns (drand.vault.state.StateFile)."""

    def __init__(self) -> None:
        self._disk: SimulatedDisk[bytes] = SimulatedDisk()

    def fill(self, *, full: bool) -> None:
        """No space is left, or there is some again."""
        self._disk.full = full

    def read(self) -> bytes | None:
        """What was kept last."""
        kept = self._disk.durable
        return kept[-1] if kept else None

    def replace(self, data: bytes) -> None:
        """Keep `data` instead."""
        if self._disk.full:
            raise Unavailable("no space left on the simulated disk")
        self._disk.replace([data])

    def __str__(self) -> str:
        return "the simulated vault.state"


def beacons_of(record: Record) -> tuple[Beacon, ...]:
    """The beacons that a record stores; none for other records."""
    match record:
        case BeaconStored(beacon):
            return (beacon,)
        case BeaconsStored(beacons):
            return beacons
        case _:
            return ()
