"""What is looked at once a minute: whether peers are reached, whether the clock was set, and files."""

import asyncio
import logging
from collections.abc import Callable, Collection

from collective.clock import Clock, monotonic_s
from drand.daemon.beacon import BeaconShell

MINUTE_S = 60.0
STEP_WORTH_A_LINE_S = 0.5  # within a minute; a clock that is slewed drifts by 30 ms

log = logging.getLogger("drand")


class ClockWatch:
    """Notices that the wall clock was set: every round is due by it."""

    def __init__(self, clock: Clock, steady_s: Callable[[], float] = monotonic_s) -> None:
        self._clock = clock
        self._steady_s = steady_s
        self._offset_s = self._offset()

    def stepped_s(self) -> float:
        """By how much the clock was set since the last call, forwards if positive; 0 for less than is worth a line."""
        before, self._offset_s = self._offset_s, self._offset()
        step_s = self._offset_s - before
        return step_s if abs(step_s) >= STEP_WORTH_A_LINE_S else 0.0

    def _offset(self) -> float:
        return self._clock.now() - self._steady_s()


class MinuteWatch:
    """Runs `look` every minute until it is closed."""

    def __init__(
        self,
        clock: Clock,
        shells: Callable[[], Collection[BeaconShell]],
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        """`refresh` is called each time: files that others may have renewed."""
        self._clock = ClockWatch(clock)
        self._shells = shells
        self._refresh = refresh
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(MINUTE_S)
            try:
                self.look()
            except Exception:  # a bug of one minute must not keep the next from being looked at
                log.exception("internal error in the look once a minute; going on")

    def look(self) -> None:
        """Say what the last minute was like."""
        step_s = self._clock.stepped_s()
        if step_s:
            way = "forward" if step_s > 0 else "back"
            log.warning("the system clock was set %s by %.1f s; rounds are due by it", way, abs(step_s))
        self._refresh()
        for shell in self._shells():
            shell.on_minute()
