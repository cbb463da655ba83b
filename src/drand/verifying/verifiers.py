"""Batches of beacons, verified in worker processes where they are worth it, else in a thread of this process."""

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from collective.entropy import SystemEntropy
from collective.errors import BadSetting, OutOfTurn
from drand.model.chain import Beacon, Round
from drand.model.schemes import SCHEME_NAMES, scheme_named
from drand.model.verification import ChainVerifier
from drand.verifying.frames import TooLong
from drand.verifying.worker import Worker, WorkerLost, interpreter

MAX_BEACONS = 1000  # in one batch: twice as many save two percent, and are waited for twice as long
MOST_BY_ITSELF = 4  # workers that nobody asked for
WORTH_BEACONS = 2000  # fewer are verified here: 0.4 to 0.8 s on one core, and starting a worker takes 0.1 s of it
PATIENCE_S = 60.0  # a thousand forged BN254 signatures take a third of it without gmpy2
IDLE_S = 60.0
ATTEMPTS = 2  # workers that a batch is given to

log = logging.getLogger("drand.verifying")


class VerifiersClosed(OutOfTurn):
    """The verifiers were closed before the verdict."""


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_by_default() -> int:
    """One for each usable core, at most MOST_BY_ITSELF; none on a single core, which they would only share."""
    cores = usable_cores()
    return min(cores, MOST_BY_ITSELF) if cores > 1 else 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """Beacons, and where the verdict on them is waited for."""

    verifier: ChainVerifier
    beacons: Sequence[Beacon]
    abroad: bool  # in a worker process
    verdict: "Future[frozenset[Round]]" = field(default_factory=Future)

    def verify_here(self) -> frozenset[Round]:
        return self.verifier.bad_rounds(self.beacons, SystemEntropy())

    def verify_abroad(self, worker: Worker) -> frozenset[Round]:
        return worker.bad_rounds(self.verifier.scheme.name, self.verifier.public_key, self.beacons)


class Verifiers:
    """Up to `most` worker processes, and a thread of this process for each, which gives it work and waits.

    most        workers; None: as many as `workers_by_default`. 0: everything is verified in one thread of this process
    worth       work of fewer beacons than this starts no process
    patience_s  a worker that needs longer for a batch is killed; the batch is given to another one
    idle_s      threads and workers without work for so long end; new ones come with new work
    raises      BadSetting

    May be used from any thread and any event loop (`asyncio.wrap_future`), and again in a forked child, which has
    workers of its own. What two workers in a row have not survived is verified in this process, as everything is until
    the next quiet moment; so it is where no Python interpreter can be started. `drand.verifying` logs that. Callers
    bound the queue: they submit no more than `width` + 1 batches at a time.
    """

    def __init__(
        self,
        most: int | None = None,
        *,
        worth: int = WORTH_BEACONS,
        patience_s: float = PATIENCE_S,
        idle_s: float = IDLE_S,
    ) -> None:
        if most is not None and most < 0:
            raise BadSetting(f"a number of workers is not negative, {most} is", hint="0 starts none")
        self.most = workers_by_default() if most is None else most
        if self.most and interpreter() is None:
            log.info("there is no Python interpreter to start workers with: verifying in this process")
            self.most = 0
        self._worth = worth
        self._patience_s = patience_s
        self._idle_s = idle_s
        self.closed = False
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._changed = threading.Condition()  # for all below, and the hands' workers
        self._waiting: deque[_Batch] = deque()
        self._hands: set[_Hand] = set()
        self._free = 0  # hands without work
        self.hopeless = False  # workers keep getting lost

    @property
    def width(self) -> int:
        """How many batches are verified at the same time."""
        return max(self.most, 1)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        with self._changed:
            return [hand.worker.pid for hand in self._hands if hand.worker is not None]

    def submit(
        self, verifier: ChainVerifier, beacons: Sequence[Beacon], *, of: int | None = None
    ) -> "Future[frozenset[Round]]":
        """The rounds of a batch that do not verify, in a while.

        beacons  at most MAX_BEACONS; ValueError for more
        of       the beacons that are known to be verified in all, earlier and later batches included
        raises   VerifiersClosed, as does the future
        """
        if len(beacons) > MAX_BEACONS:
            raise ValueError(f"a batch has at most {MAX_BEACONS} beacons, not {len(beacons)}")
        if self._owner != os.getpid():
            self._begin()  # threads and workers are those of the process that forked us
        batch = _Batch(verifier, beacons, self._worth_a_process(verifier, max(of or 0, len(beacons))))
        with self._changed:
            if self.closed:
                raise VerifiersClosed("the verifiers are closed")
            if len(self._waiting) >= self._free and len(self._hands) < self.width:
                hand = _Hand(self, self._patience_s)
                threading.Thread(target=hand.serve, name="drand verifying", daemon=True).start()
                self._hands.add(hand)
            self._waiting.append(batch)
            self._changed.notify()
        return batch.verdict

    def in_order(
        self, verifier: ChainVerifier, batches: Iterable[Sequence[Beacon]]
    ) -> Iterator[tuple[Sequence[Beacon], frozenset[Round]]]:
        """Each batch and its rounds that do not verify; at most `width` + 1 are taken ahead of the reader. Blocks."""
        under_way: deque[tuple[Sequence[Beacon], Future[frozenset[Round]]]] = deque()
        seen = 0
        for taken in batches:
            seen += len(taken)
            under_way.append((taken, self.submit(verifier, taken, of=seen)))
            if len(under_way) > self.width:
                batch, verdict = under_way.popleft()
                yield batch, verdict.result()
        for batch, verdict in under_way:
            yield batch, verdict.result()

    def close(self) -> None:
        """Kill the workers; who waits for a verdict gets VerifiersClosed. A second close does nothing."""
        self.closed = True
        if self._owner != os.getpid():
            return  # nothing of this is ours
        with self._changed:
            workers = [hand.worker for hand in self._hands if hand.worker is not None]
            batches = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for worker in workers:
            worker.kill()
        for batch in batches:
            if batch.verdict.set_running_or_notify_cancel():
                batch.verdict.set_exception(VerifiersClosed("the verifiers were closed"))

    def _worth_a_process(self, verifier: ChainVerifier, beacons: int) -> bool:
        """A worker knows schemes by name, so one with a backend of its own is not for it."""
        name = verifier.scheme.name
        known = name in SCHEME_NAMES and scheme_named(name) is verifier.scheme
        return self.most > 0 and beacons >= self._worth and known

    # ------------------------------------------------------------ for the hands

    def next_batch(self, hand: "_Hand") -> _Batch | None:
        """Wait for work; None when the hand is to end, because of `close` or for want of work."""
        with self._changed:
            self._free += 1
            self._changed.wait_for(lambda: self._waiting or self.closed, timeout=self._idle_s)
            self._free -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._hands.discard(hand)
            self.hopeless = False
            return None

    def assign(self, hand: "_Hand", worker: Worker | None) -> None:
        """Note the worker of a hand, where `close` finds it; raises VerifiersClosed when that was before."""
        with self._changed:
            hand.worker = worker
            if self.closed and worker is not None:
                raise VerifiersClosed("the verifiers were closed")


class _Hand:
    """One thread of this process, and the worker to which it gives its batches."""

    def __init__(self, shared: Verifiers, patience_s: float) -> None:
        self.worker: Worker | None = None
        self._shared = shared
        self._patience_s = patience_s

    def serve(self) -> None:
        """The thread: one batch after the other, until there are no more."""
        while (batch := self._shared.next_batch(self)) is not None:
            if batch.verdict.set_running_or_notify_cancel():
                try:
                    batch.verdict.set_result(self._verified(batch))
                except BaseException as error:  # noqa: BLE001  # whatever it is: it is theirs who wait
                    batch.verdict.set_exception(error)
        self._dismiss()

    def _verified(self, batch: _Batch) -> frozenset[Round]:
        if not batch.abroad or self._shared.hopeless:
            return batch.verify_here()
        for _ in range(ATTEMPTS):
            try:
                return batch.verify_abroad(self.worker or self._hire())
            except TooLong:
                return batch.verify_here()
            except WorkerLost as error:
                self._dismiss()
                if self._shared.closed:
                    raise VerifiersClosed("the verifiers were closed") from error
                log.warning("a verification worker is lost: %s", error)
        self._shared.hopeless = True
        log.warning("verification workers keep getting lost: verifying in this process for now, which is slower")
        return batch.verify_here()

    def _hire(self) -> Worker:
        worker = Worker(self._patience_s)
        try:
            self._shared.assign(self, worker)
        except VerifiersClosed:
            self._dismiss()
            raise
        return worker

    def _dismiss(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self._shared.assign(self, None)
