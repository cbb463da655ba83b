"""Which source is asked next: ranking, racing, hedging, back-off. A machine: told what happened, it says what to do.

A `Race` is one question put to the sources of a `Pool`; the pool remembers how each of them behaved. Neither reads a
clock, waits or draws randomness: every method is given `now`, seconds on any clock that never steps back.

    Begin            -> Ask the best `race` sources, WakeAt for the hedge
    Failed(source)   -> Ask the next one at once; Lost when nobody is left
    Alarm            -> Ask one more (the hedge) beside the slow one; Lost at the deadline
    Answered(source) -> Drop the others, Won
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias, assert_never


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How sources are asked."""

    race: int = 1  # how many are asked at the same time from the start
    hedge_after_s: float = 0.5  # when another is asked beside one whose usual latency is not known
    hedge_factor: float = 3.0  # else after this many times the usual latency
    hedge_least_s: float = 0.05
    hedge_most_s: float = 2.0
    rest_first_s: float = 1.0  # back-off after a failure; doubles with each in a row
    rest_most_s: float = 60.0
    lie_rest_s: float = 600.0  # one that lied is asked last of all for so long
    memory_s: float = 300.0  # a latency not confirmed for so long counts as unknown again


class Fault(Enum):
    """How a source failed."""

    ABSENT = auto()  # it does not have this round; no fault
    BEHIND = auto()  # its latest is old
    UNAVAILABLE = auto()
    CONFUSED = auto()  # it answered, but not as drand does
    LIED = auto()


# ---------------------------------------------------------------- events and effects


@dataclass(frozen=True, slots=True)
class Begin:
    """The question is put."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """The time of a WakeAt has come."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A source gave an answer that verifies."""

    source: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A source failed."""

    source: str
    fault: Fault
    retry_after_s: float | None = None  # what it asks for, if anything


@dataclass(frozen=True, slots=True)
class Ask:
    """Put the question to a source."""

    source: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Cancel the question to a source."""

    source: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Come back with an Alarm at this time; replaces an earlier one."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Won:
    """The answer of `source` is the answer."""

    source: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody answered."""


Event: TypeAlias = Begin | Alarm | Answered | Failed
Effect: TypeAlias = Ask | Drop | WakeAt | Won | Lost


# ---------------------------------------------------------------- memory


@dataclass(slots=True)
class Health:
    """What is remembered about one source. Times are on the caller's steady clock."""

    latency_s: float | None = None  # smoothed; None when not known
    heard_at_s: float = 0.0  # when the latency was last confirmed
    failures: int = 0  # in a row
    rests_until_s: float = float("-inf")
    lies: int = 0  # since the start
    lied_until_s: float = float("-inf")

    def resting(self, now: float) -> bool:
        """Whether it is in back-off."""
        return now < self.rests_until_s


class Pool:
    """The sources of one client, by name, and what is remembered about each."""

    def __init__(self, names: Sequence[str], policy: Policy | None = None) -> None:
        if not names or len(set(names)) != len(names):
            raise ValueError("a pool needs sources, each with a name of its own")
        self.policy = policy or Policy()
        self.health = {name: Health() for name in names}
        self._place = {name: place for place, name in enumerate(names)}

    def order(self, now: float) -> list[str]:
        """All sources, best first: those awake, fastest first (unknown ones are tried), then resting, then liars."""
        return sorted(self.health, key=lambda name: self._rank(name, now))

    def hedge_delay_s(self, name: str, now: float) -> float:
        """How long to wait for `name` before another source is asked beside it."""
        policy, latency_s = self.policy, self._latency_s(name, now)
        if latency_s is None:
            return policy.hedge_after_s
        return min(max(policy.hedge_factor * latency_s, policy.hedge_least_s), policy.hedge_most_s)

    def note_answer(self, name: str, took_s: float, now: float) -> None:
        """A good answer: the back-off ends."""
        health = self.health[name]
        health.failures, health.rests_until_s = 0, float("-inf")
        self._blend(name, took_s, now)

    def note_slow(self, name: str, waited_s: float, now: float) -> None:
        """Given up for a faster one after `waited_s`: its latency is at least that."""
        known = self._latency_s(name, now)
        if known is None or waited_s > known:
            self._blend(name, waited_s, now)

    def note_failure(self, failed: Failed, now: float) -> None:
        """Back-off as the fault deserves; a round that is not there deserves none."""
        health, policy = self.health[failed.source], self.policy
        if failed.fault is Fault.ABSENT:
            return
        health.failures += 1
        doubled = policy.rest_first_s * 2.0 ** min(health.failures - 1, 32)
        rest_s = max(min(doubled, policy.rest_most_s), min(failed.retry_after_s or 0.0, policy.lie_rest_s))
        health.rests_until_s = max(health.rests_until_s, now + rest_s)
        if failed.fault is Fault.LIED:
            health.lies += 1
            health.lied_until_s = now + policy.lie_rest_s

    def _rank(self, name: str, now: float) -> tuple[bool, bool, float, int]:
        health = self.health[name]
        lied, resting = now < health.lied_until_s, health.resting(now)
        within = health.rests_until_s if resting else self._latency_s(name, now) or 0.0
        return lied, resting, within, self._place[name]

    def _latency_s(self, name: str, now: float) -> float | None:
        health = self.health[name]
        return health.latency_s if now - health.heard_at_s <= self.policy.memory_s else None

    def _blend(self, name: str, took_s: float, now: float) -> None:
        known = self._latency_s(name, now)
        health = self.health[name]
        health.latency_s = took_s if known is None else 0.7 * known + 0.3 * took_s
        health.heard_at_s = now


# ---------------------------------------------------------------- one question


@dataclass(slots=True)
class Race:
    """One question put to the pool. `handle` is called by one task; after Won or Lost nothing more happens."""

    pool: Pool
    deadline_s: float  # on the clock of `now`
    waiting: list[str] = field(default_factory=list)  # not asked yet, best first
    under_way: dict[str, float] = field(default_factory=dict)  # source -> when it was asked
    over: bool = False

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What to do about `event`, in this order."""
        if self.over:
            return []
        match event:
            case Begin():
                self.waiting = self.pool.order(now)
                return [*self._ask(max(self.pool.policy.race, 1), now), *self._settle(now)]
            case Answered(source):
                return self._won(source, now)
            case Failed(source):
                return self._failed(event, now) if source in self.under_way else []
            case Alarm():
                return self._alarm(now)
            case _:
                assert_never(event)

    def _ask(self, count: int, now: float) -> Iterator[Effect]:
        for _ in range(min(count, len(self.waiting))):
            source = self.waiting.pop(0)
            self.under_way[source] = now
            yield Ask(source)

    def _settle(self, now: float) -> list[Effect]:
        """The alarm to set, or Lost when nobody is asked any more."""
        if not self.under_way:
            self.over = True
            return [Lost()]
        if not self.waiting:
            return [WakeAt(self.deadline_s)]
        newest = max(self.under_way, key=lambda name: self.under_way[name])
        hedge_at = self.under_way[newest] + self.pool.hedge_delay_s(newest, now)
        return [WakeAt(min(max(hedge_at, now), self.deadline_s))]

    def _won(self, source: str, now: float) -> list[Effect]:
        asked_at = self.under_way.pop(source, None)
        if asked_at is None:
            return []
        self.pool.note_answer(source, now - asked_at, now)
        self.over = True
        for slow, since in self.under_way.items():
            self.pool.note_slow(slow, now - since, now)
        return [*(Drop(name) for name in self.under_way), Won(source)]

    def _failed(self, failed: Failed, now: float) -> list[Effect]:
        del self.under_way[failed.source]
        self.pool.note_failure(failed, now)
        missing = max(self.pool.policy.race, 1) - len(self.under_way)
        return [*self._ask(max(missing, 0), now), *self._settle(now)]

    def _alarm(self, now: float) -> list[Effect]:
        if now >= self.deadline_s:
            self.over = True
            for name in self.under_way:
                self.pool.note_failure(Failed(name, Fault.UNAVAILABLE), now)
            return [*(Drop(name) for name in self.under_way), Lost()]
        newest = max(self.under_way, key=lambda name: self.under_way[name])
        due = now >= self.under_way[newest] + self.pool.hedge_delay_s(newest, now)
        return [*(self._ask(1, now) if due else ()), *self._settle(now)]
