"""A disk that forgets what was not synced when its machine crashes."""

from typing import Generic, TypeVar

RecordT = TypeVar("RecordT")


class SimulatedDisk(Generic[RecordT]):
    """Records in the order they were written. `sync` is the barrier: what was not synced is lost in a crash."""

    def __init__(self) -> None:
        self._synced: list[RecordT] = []
        self._pending: list[RecordT] = []
        self.full = False

    def write(self, record: RecordT) -> None:
        """Write without waiting for the platter. Raises OSError on a full disk, and then nothing was written."""
        if self.full:
            raise OSError("no space left on the simulated disk")
        self._pending.append(record)

    def sync(self) -> None:
        """Wait for the platter."""
        self._synced += self._pending
        self._pending.clear()

    def crash(self) -> None:
        """The machine died: unsynced records are gone."""
        self._pending.clear()

    def replace(self, records: list[RecordT]) -> None:
        """Atomically become exactly `records` (a transaction that compacts)."""
        self._synced = list(records)
        self._pending.clear()

    def read(self) -> list[RecordT]:
        """All records that a reader sees now, synced or not."""
        return self._synced + self._pending

    @property
    def durable(self) -> list[RecordT]:
        """What a crash now would leave."""
        return list(self._synced)
