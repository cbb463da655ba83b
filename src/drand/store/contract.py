"""What a node asks of its disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from drand.errors import DrandError
from drand.model.chain import Beacon, Round
from drand.model.records import Epoch, JournalRecord, Record


class OutOfOrder(DrandError):
    """A beacon that does not follow the last stored one, or that contradicts a stored one."""


class StoreFailed(DrandError):
    """The disk refused: full, read-only, or the file is damaged. Nothing was half written."""

    hint = "free space or check the disk, then restart; the chain continues where it stopped"


class BeaconStore(Protocol):
    """The beacons of one chain, its epoch record, and the journal of a running ceremony, in one transactional place.

    Every method that writes is durable when it returns, and atomic: after a crash all of it is there or nothing.
    One process writes; others may read at the same time.
    """

    def persist(self, *records: Record) -> None:
        """Carry out one `Persist` or several, in order and in one transaction.

        Each appends beacons, or extends, replaces or closes the journal, or starts an epoch. Raises as `append`.
        """
        ...

    def append(self, beacons: Sequence[Beacon]) -> None:
        """Append beacons that follow the last stored one, in one transaction.

        A beacon already stored with the same bytes is passed over; raises OutOfOrder on a gap or on other bytes.
        The first beacon of an empty store is round 0 (the genesis beacon).
        """
        ...

    def last(self) -> Beacon | None:
        """The beacon of the highest round; None when the store is empty."""
        ...

    def get(self, round_: Round) -> Beacon | None:
        """One beacon; None when it is not stored."""
        ...

    def range(self, first: Round, limit: int) -> list[Beacon]:
        """At most `limit` beacons from round `first` on, ascending. Holds no transaction open after it returns."""
        ...

    def count(self) -> int:
        """How many beacons are stored, round 0 included. Constant time."""
        ...

    def delete_from(self, first: Round) -> int:
        """Remove `first` and all later rounds; returns how many went."""
        ...

    def epoch(self) -> Epoch | None:
        """The current epoch record."""
        ...

    def journal(self) -> tuple[JournalRecord, ...]:
        """The journal of the running ceremony, oldest first; empty when none runs."""
        ...

    def backup(self, target: Path) -> None:
        """Write a consistent copy to `target` (0600, atomically) while the store stays in use."""
        ...

    def close(self) -> None:
        """Flush and close; further calls raise StoreFailed."""
        ...
