"""The only reader of the clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Machines never see a clock: they are handed `now`."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Unix time in seconds, as the operating system tells it."""
        return time.time()


def monotonic_s() -> float:
    """Seconds on a clock that never steps; for deadlines and for measuring how long something took."""
    return time.monotonic()
