"""The thin shell around a step machine: hands it events one at a time and carries out its effects in order.

Records come first: all that one event makes the machine keep is kept in one go, before any of its other effects.

Everything happens in the thread of one asyncio loop. `step` runs the machine and performs its effects before it
returns, so "one machine is stepped by one task" holds without a lock: an event that comes up while effects are being
performed waits in a queue until they are done. `perform` must not block for long; what takes time (a call to a peer, a
vault behind a link) is started there and comes back later as an event of its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from collective.clock import Clock
from collective.errors import CollectiveError
from collective.machine import Due, Machine, WakeAt, records_first

EventT = TypeVar("EventT")
EffectT = TypeVar("EffectT")

MAX_NESTED = 10_000  # events raised by effects within one step; more means two machines feed each other
LONGEST_NAP_S = 5.0  # alarms look at the wall clock at least this often, so that a clock set forward is noticed
STEPPED_BACK_S = 1.0  # an alarm that is later than this by a clock that never steps rings although it seems too early


class Runner(Generic[EventT, EffectT]):
    """Steps `machine`.

    persist   keeps records, in this order, all or none; nothing else of the event's effects is performed before
    perform   carries out one effect, no `Persist`
    refused   hears of posted events that the machine refused
    """

    def __init__(
        self,
        machine: Machine[EventT, EffectT],
        *,
        persist: Callable[[Sequence[Any]], None],
        perform: Callable[[EffectT], None],
        refused: Callable[[EventT, CollectiveError], None],
        clock: Clock,
    ) -> None:
        self.machine = machine
        self._persist = persist
        self._perform = perform
        self._refused = refused
        self._clock = clock
        self._waiting: deque[EventT] = deque()
        self._stepping = False

    def step(self, event: EventT) -> None:
        """Hand over `event`, perform what follows, then whatever was posted meanwhile.

        Raises the machine's own refusal of `event`, and whatever `persist` and `perform` raise (then the rest of that
        event's effects were not carried out: a record that is not on disk must hold back what depends on it).
        """
        if self._stepping:
            raise RuntimeError("step() called while effects are performed; use post()")
        self._stepping = True
        try:
            self._carry_out(event)
            self._drain()
        finally:
            self._stepping = False
            self._waiting.clear()

    def post(self, event: EventT) -> None:
        """Hand over `event` now, or after the current effects; the machine's refusal goes to `refused`.

        What `persist` and `perform` raise is raised here, too: it is no refusal, the machine is ahead of what was done.
        """
        self._waiting.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            self._drain()
        finally:
            self._stepping = False
            self._waiting.clear()

    def _carry_out(self, event: EventT) -> None:
        self._perform_all(self.machine.handle(event, self._clock.now()))

    def _perform_all(self, effects: list[EffectT]) -> None:
        records, others = records_first(effects)
        if records:
            self._persist(records)
        for effect in others:
            self._perform(effect)

    def _drain(self) -> None:
        for _ in range(MAX_NESTED):
            if not self._waiting:
                return
            event = self._waiting.popleft()
            try:
                effects = self.machine.handle(event, self._clock.now())
            except CollectiveError as error:
                self._refused(event, error)
                continue
            self._perform_all(effects)
        raise RuntimeError(f"more than {MAX_NESTED} events within one step")


class Alarms:
    """Named alarms on the wall clock, rung through the asyncio loop: at the time asked for or a moment later.

    Where the clock is set back meanwhile, an alarm rings once that much time has passed all the same. A clock that was
    an hour ahead for a moment would otherwise silence its node for an hour after it was set right.
    """

    def __init__(self, clock: Clock, ring: Callable[[Due], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def set(self, wake: WakeAt) -> None:
        """Set, or move, the alarm of this name."""
        self.cancel(wake.alarm)
        asked_s = max(0.0, wake.unix_s - self._clock.now())
        self._schedule(wake, asyncio.get_running_loop().time() + asked_s + STEPPED_BACK_S)

    def cancel(self, alarm: str) -> None:
        """Forget the alarm of this name; no harm when there is none."""
        handle = self._handles.pop(alarm, None)
        if handle is not None:
            handle.cancel()

    def cancel_all(self) -> None:
        """Forget every alarm."""
        for alarm in list(self._handles):
            self.cancel(alarm)

    def _schedule(self, wake: WakeAt, latest_s: float) -> None:
        """`latest_s` is on the loop's own clock, which never steps."""
        loop = asyncio.get_running_loop()
        nap_s = min(wake.unix_s - self._clock.now(), latest_s - loop.time(), LONGEST_NAP_S)
        self._handles[wake.alarm] = loop.call_later(max(0.0, nap_s), self._look, wake, latest_s)

    def _look(self, wake: WakeAt, latest_s: float) -> None:
        if self._clock.now() < wake.unix_s and asyncio.get_running_loop().time() < latest_s:
            self._schedule(wake, latest_s)
            return
        del self._handles[wake.alarm]
        self._ring(Due(wake.alarm))
