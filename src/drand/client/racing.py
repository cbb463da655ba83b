"""The thin shell around `drand.client.pool`: carries out what a race decides."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeAlias, TypeVar, assert_never

from collective.clock import monotonic_s
from drand.client.contract import Source
from drand.client.errors import (
    ClientClosed,
    ClientError,
    NoHonestSource,
    NoSourceAnswered,
    RateLimited,
    RoundMissing,
    SourceBehind,
    SourceConfused,
    SourceFault,
    SourceLied,
    SourceTimeout,
    SourceUnreachable,
)
from drand.client.observing import Observer
from drand.client.pool import (
    Alarm,
    Answered,
    Ask,
    Begin,
    Drop,
    Effect,
    Event,
    Failed,
    Fault,
    Lost,
    Pool,
    Race,
    WakeAt,
    Won,
)

T = TypeVar("T")
Question: TypeAlias = Callable[[Source], Awaitable[T]]


class Runner:
    """Puts questions to sources: the best first, another beside a slow one, the next after a failed one."""

    def __init__(self, sources: Mapping[str, Source], pool: Pool, observer: Observer, *, deadline_s: float) -> None:
        self.sources = sources
        self.pool = pool
        self.observer = observer
        self.deadline_s = deadline_s
        self.closed = False

    def require_open(self) -> None:
        """Raise ClientClosed when the client was closed during the call."""
        if self.closed:
            raise ClientClosed("the client was closed during the call")

    async def ask(self, what: str, question: Question[T]) -> T:
        """The first good answer to `question`, which verifies what it returns.

        what     begins the message when everybody failed
        raises   as `Runner.verdict` says
        """
        contest = _Contest(self, question)
        try:
            return await contest.run(what)
        finally:
            await contest.stop()

    def verdict(self, what: str, failures: Mapping[str, SourceFault]) -> ClientError:
        """The error for a question that nobody answered.

        ClientClosed when that is why; the only source's own error; RoundMissing when no source has the round; else
        NoSourceAnswered, or NoHonestSource when one of them lied
        """
        if self.closed:
            return ClientClosed("the client was closed during the call")
        errors = list(failures.values())
        if len(errors) == 1 or (errors and all(isinstance(error, RoundMissing) for error in errors)):
            return errors[0]
        lied = any(isinstance(error, SourceLied) for error in errors)
        return (NoHonestSource if lied else NoSourceAnswered)(what, failures)

    def note_failure(self, error: SourceFault, took_s: float) -> None:
        """Remember a failure that no race saw, for instance in the middle of a stream."""
        self.pool.note_failure(failed(error), monotonic_s())
        self.observer.failed(error.source, error, took_s)


def failed(error: SourceFault) -> Failed:
    """What the pool is told about an error."""
    match error:
        case RoundMissing():
            return Failed(error.source, Fault.ABSENT)
        case SourceBehind():
            return Failed(error.source, Fault.BEHIND)
        case SourceLied():
            return Failed(error.source, Fault.LIED)
        case SourceConfused():
            return Failed(error.source, Fault.CONFUSED)
        case RateLimited():
            return Failed(error.source, Fault.UNAVAILABLE, error.retry_after_s)
        case _:
            return Failed(error.source, Fault.UNAVAILABLE)


def _ended_by_itself(source: str) -> SourceUnreachable:
    """A question that nobody cancelled was: a connection that is closed does that to its calls."""
    return SourceUnreachable(source, "gave up in the middle of the call")


class _Contest(Generic[T]):
    """One race while it runs."""

    def __init__(self, runner: Runner, question: Question[T]) -> None:
        self._runner = runner
        self._question = question
        self._race = Race(runner.pool, monotonic_s() + runner.deadline_s)
        self._tasks: dict[asyncio.Task[T], tuple[str, float]] = {}  # -> whose, asked when
        self._wake_at_s = self._race.deadline_s
        self._failures: dict[str, SourceFault] = {}

    async def run(self, what: str) -> T:
        """Until somebody has won or all have lost."""
        winner: asyncio.Task[T] | None = None
        self._perform(self._race.handle(Begin(), monotonic_s()))
        while winner is None and not self._race.over:
            done = await self._wait()
            for task in done:
                winner = winner or self._settle(task)
            if not done:
                self._perform(self._race.handle(Alarm(), monotonic_s()))
        if winner is None:
            raise self._runner.verdict(what, self._failures)
        return winner.result()

    async def stop(self) -> None:
        """Cancel what is still under way and wait for its end: nothing outlives the question."""
        tasks, self._tasks = list(self._tasks), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self) -> "Iterable[asyncio.Task[T]]":
        patience_s = max(self._wake_at_s - monotonic_s(), 0.0)
        done, _ = await asyncio.wait(self._tasks, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        return done

    def _settle(self, task: "asyncio.Task[T]") -> "asyncio.Task[T] | None":
        """Tell the race how a task ended; the task itself when it won. An error of ours goes up as it is."""
        name, since_s = self._tasks.pop(task)
        now = monotonic_s()
        error = _ended_by_itself(name) if task.cancelled() else task.exception()
        event: Event
        if error is None:
            self._runner.observer.answered(name, now - since_s)
            event = Answered(name)
        elif isinstance(error, SourceFault):
            self._fail(name, error, now - since_s)
            event = failed(error)
        else:
            raise error
        effects = self._race.handle(event, now)
        self._perform(effects)
        return task if Won(name) in effects else None

    def _fail(self, name: str, error: SourceFault, took_s: float) -> None:
        self._failures[name] = error
        self._runner.observer.failed(name, error, took_s)

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Ask(name):
                    self._runner.require_open()  # a source that is closed fails, and the race would go on to the next
                    self._runner.observer.asked(name)
                    task = asyncio.ensure_future(self._question(self._runner.sources[name]))
                    self._tasks[task] = (name, monotonic_s())
                case WakeAt(at_s):
                    self._wake_at_s = at_s
                case Drop() | Won():
                    continue  # `stop` cancels all that is under way
                case Lost():
                    self._time_out()
                case _:
                    assert_never(effect)

    def _time_out(self) -> None:
        for name, since_s in self._tasks.values():
            waited_s = monotonic_s() - since_s
            self._fail(name, SourceTimeout(name, f"no answer within {waited_s:.1f} s"), waited_s)
