"""Writing to an archive without waiting for it: a lock, or a slow disk, stops nobody who has beacons to keep.

What is to be written waits in memory, where it is found as if it had been written, and a thread writes it; that thread
lives while something waits. What the disk refuses is tried again until it takes it. The logger `drand.archive` says
when that begins and ends.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from collective.clock import monotonic_s
from drand.model.chain import Beacon, Round
from drand.store.archive import ArchiveLocked, ArchiveReadOnly, BeaconArchive
from drand.store.contract import StoreFailed
from drand.store.schema import SQLITE_ERRORS

MOST_WAITING = 20_000  # beacons in memory, about 0.4 kB each: sixteen hours of a chain with a round every 3 seconds
MOST_AHEAD = 10_000  # of those, for who has many and can wait; the rest is left for single ones
READ_WAIT_S = 0.05  # for the lock of a process that recovers the log, or closes the file as the last one
WRITE_WAIT_S = 0.25  # for another writer, in our thread
FIRST_PAUSE_S = 0.1  # between two attempts; doubles
LONGEST_PAUSE_S = 2.0
END_S = 5.0  # how long what waits is still tried after `close`

log = logging.getLogger("drand.archive")


class Archivist:
    """An archive that is read at once and written in a while. `keep` and what reads may be called from any thread.

    path     as for BeaconArchive, which is opened for reading where it may not be written: then nothing is kept
    told     hears of the first refusal of each spell, in whatever thread notices it; it must be quick and not raise
    raises   StoreFailed when the file cannot be read
    """

    def __init__(self, path: Path, told: Callable[[StoreFailed], None] | None = None) -> None:
        self.path = path
        self._told = told
        self._reading = BeaconArchive(path, wait_s=READ_WAIT_S)
        self._writing: BeaconArchive | None = None  # the thread's
        self._changed = threading.Condition()  # for all below
        self._waiting: dict[bytes, dict[Round, Beacon]] = {}
        self._walked: dict[bytes, Round] = {}
        self._thread: threading.Thread | None = None
        self._turns: list[Future[None]] = []  # who waits for the next attempt to write
        self._refused: StoreFailed | None = None  # what the last attempt met
        self._lost = 0  # beacons that found no room in this spell
        self._end_s: float | None = None  # closed: when to stop trying
        if self.read_only:
            self._refused = ArchiveReadOnly(f"{path} may be read, but not written: nothing new is kept")
            log.warning("%s (%s)", self._refused, self._refused.advice)

    @property
    def read_only(self) -> bool:
        """Whether the file may not be written."""
        return self._reading.read_only

    @property
    def waiting(self) -> int:
        """How many beacons are not written yet."""
        with self._changed:
            return self._count()

    # ------------------------------------------------------------ reading

    def get(self, chain: bytes, round_: Round) -> Beacon | None:
        """One beacon; None when it is not there. All that reads raises ArchiveLocked when a lock keeps readers out."""
        with self._changed:
            found = self._waiting.get(chain, {}).get(round_)
        return found or self._reading.get(chain, round_)

    def run(self, chain: bytes, first: Round, limit: int) -> list[Beacon]:
        """The consecutive rounds that begin with `first`, at most `limit`."""
        waiting = self._copied(chain)  # before the file is read, so that none is missed on its way from here to there
        if not waiting:
            return self._reading.run(chain, first, limit)
        found: list[Beacon] = []
        while len(found) < limit:
            at = Round(first + len(found))
            more = [waiting[at]] if at in waiting else self._reading.run(chain, at, limit - len(found))
            if not more:
                break
            found += [waiting.get(one.round, one) for one in more]
        return found

    def next_stored(self, chain: bytes, first: Round) -> Round | None:
        """The least round that is `first` or later."""
        waiting = min((one for one in self._copied(chain) if one >= first), default=None)
        stored = self._reading.next_stored(chain, first)
        return min((one for one in (waiting, stored) if one is not None), default=None)

    def highest(self, chain: bytes, below: Round | None = None) -> Round | None:
        """The highest round of a chain (that is below `below`)."""
        waiting = max((one for one in self._copied(chain) if below is None or one < below), default=None)
        stored = self._reading.highest(chain, below)
        return max((one for one in (waiting, stored) if one is not None), default=None)

    def walked(self, chain: bytes) -> Round:
        """Up to this round the chain was followed link by link from its genesis; 0 at first."""
        with self._changed:
            found = self._walked.get(chain)
        return self._reading.walked(chain) if found is None else found

    # ------------------------------------------------------------ writing

    def keep(self, chain: bytes, beacons: Iterable[Beacon]) -> None:
        """Have verified beacons written. What finds no room while the disk refuses is not kept, and that is logged."""
        taken = list(beacons)
        if not self._added(chain, taken, MOST_WAITING):
            self._lose(len(taken))

    async def put(self, chain: bytes, beacons: Iterable[Beacon]) -> None:
        """The same for many: waits for room, and raises StoreFailed when there is none because the disk refuses."""
        taken = list(beacons)
        while not self._added(chain, taken, MOST_AHEAD):
            if self._refused is not None:
                self._lose(len(taken))
                raise self._refused
            await self._turn()

    def set_walked(self, chain: bytes, round_: Round) -> None:
        """Remember how far the chain was followed; written with all that was kept before."""
        with self._changed:
            self._require_open()
            if not self.read_only:
                self._walked[chain] = round_
                self._begin()

    async def written(self) -> None:
        """Wait until nothing waits, however long a lock is held; raises StoreFailed where that cannot come."""
        while self._thread is not None:
            await self._turn()
        if self._refused is not None:
            raise self._refused

    def close(self) -> None:
        """Take nothing more. What waits is written by the thread, which tries for END_S; `ended` waits for it."""
        with self._changed:
            if self._end_s is None:
                self._end_s = monotonic_s() + END_S
                self._changed.notify_all()
                if self._thread is None:
                    self._close_writing()
        self._reading.close()

    async def ended(self) -> None:
        """Wait for the end of the thread after `close`."""
        while self._thread is not None:
            await self._turn()

    # ------------------------------------------------------------ for who writes

    def _added(self, chain: bytes, beacons: list[Beacon], most: int) -> bool:
        """Let beacons wait to be written, unless they find no room."""
        with self._changed:
            self._require_open()
            if not beacons or self.read_only:
                return not beacons
            waiting, mine = self._count(), self._waiting.get(chain, {})
            if waiting and waiting + sum(one.round not in mine for one in beacons) > most:
                return False
            self._waiting.setdefault(chain, mine).update((one.round, one) for one in beacons)
            self._begin()
            return True

    def _lose(self, count: int) -> None:
        """Note beacons that are not kept; the first of a spell is told."""
        with self._changed:
            first = self._lost == 0
            self._lost += count
            waiting, refused = self._count(), self._refused
        if first and self.read_only and refused is not None:
            self._tell(refused)  # the log has it already
        elif first:
            error = StoreFailed(f"{waiting} beacons wait for the archive {self.path}: what comes now is not kept")
            log.error("%s", error)
            self._tell(error)

    def _require_open(self) -> None:
        if self._end_s is not None:
            raise StoreFailed(f"the archive {self.path} is closed")

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _copied(self, chain: bytes) -> dict[Round, Beacon]:
        with self._changed:
            return dict(self._waiting.get(chain, {}))

    def _tell(self, error: StoreFailed) -> None:
        if self._told is not None:
            self._told(error)

    async def _turn(self) -> None:
        """Wait for the next attempt to write, and its outcome."""
        turn: Future[None] = Future()
        with self._changed:
            if self._thread is None:
                return
            self._turns.append(turn)
        await asyncio.wrap_future(turn)

    def _begin(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._write, name="drand archive", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no thread can be had; the next beacon tries again
                self._refused = StoreFailed(f"{self.path} is not written: {error}", hint="allow more threads")
                log.error("%s", self._refused)
            else:
                self._thread = thread

    # ------------------------------------------------------------ the thread

    def _write(self) -> None:
        """Write what waits, until nothing does."""
        pause_s = FIRST_PAUSE_S
        while True:
            with self._changed:
                beacons = [(chain, one) for chain, kept in self._waiting.items() for one in kept.values()]
                walked = dict(self._walked)
            refused = self._attempt(beacons, walked)
            if self._settle(beacons, walked, refused):
                return
            if refused is None:
                pause_s = FIRST_PAUSE_S
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._end_s is not None, pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _attempt(self, beacons: list[tuple[bytes, Beacon]], walked: dict[bytes, Round]) -> StoreFailed | None:
        try:
            if self._writing is None:
                self._writing = BeaconArchive(self.path, wait_s=WRITE_WAIT_S)
            self._writing.put_all(beacons, walked)
        except ArchiveLocked as error:
            return error
        except Exception as error:  # noqa: BLE001  # whatever it is: nobody may wait for a thread that has died of it
            self._close_writing()  # opened anew: the file may be mended
            return error if isinstance(error, StoreFailed) else StoreFailed(f"{self.path}: {error!r}")
        return None

    def _settle(
        self, beacons: list[tuple[bytes, Beacon]], walked: dict[bytes, Round], refused: StoreFailed | None
    ) -> bool:
        """Note how an attempt ended; True when it was the last one."""
        with self._changed:
            if refused is None:
                self._forget(beacons, walked)
            before, self._refused = self._refused, refused
            lost = self._lost
            self._lost = 0 if refused is None else lost
            waiting, closed = self._count(), self._end_s is not None
            hopeless = closed and not (isinstance(refused, ArchiveLocked) and monotonic_s() < (self._end_s or 0.0))
            over = (refused is None and not waiting and not self._walked) or (refused is not None and hopeless)
            if over:
                self._thread = None
                if closed:
                    self._close_writing()
            turns, self._turns = self._turns, []
        self._say(before, refused, lost, waiting if over else 0)
        for turn in turns:
            if turn.set_running_or_notify_cancel():
                turn.set_result(None)
        return over

    def _forget(self, beacons: list[tuple[bytes, Beacon]], walked: dict[bytes, Round]) -> None:
        """What was written waits no more, unless something newer has taken its place."""
        for chain, one in beacons:
            if self._waiting[chain].get(one.round) is one:
                del self._waiting[chain][one.round]
        for chain, round_ in walked.items():
            if self._walked.get(chain) == round_:
                del self._walked[chain]

    def _say(self, before: StoreFailed | None, refused: StoreFailed | None, lost: int, unwritten: int) -> None:
        if refused is not None and str(refused) != str(before):
            log.warning("the archive is not written: %s (%s)", refused, refused.advice)
            self._tell(refused)
        if refused is None and before is not None:
            log.info("the archive %s is written again", self.path)
        if refused is None and lost:
            log.error("the archive %s lacks what found no room meanwhile: beacons: %d", self.path, lost)
        if unwritten:
            log.error("the archive %s refused until the end, and lacks what waited: beacons: %d", self.path, unwritten)

    def _close_writing(self) -> None:
        archive, self._writing = self._writing, None
        if archive is not None:
            with suppress(*SQLITE_ERRORS):
                archive.close()
