"""The seeded world: one heap of (time, sequence, action), one seed, one true time.

Everything random is drawn from `world.random`, everything that happens is an action on the heap, so that a seed repeats
a run exactly: `trace` is a hash over all that was noted, and two runs of one seed end with the same one.
"""

import hashlib
import heapq
import random
from collections.abc import Callable
from itertools import count

Action = Callable[[], None]


class SafetyViolated(AssertionError):
    """The world saw something that must never happen. Carries the seed that repeats it."""

    def __init__(self, what: str, *, seed: int, now: float) -> None:
        super().__init__(f"seed {seed}, at {now:.6f} s: {what}")
        self.seed = seed


class World:
    """Time, chance and the order of things.

    seed       repeats the run
    start_s    true unix time at which the run begins
    """

    def __init__(self, seed: int, *, start_s: float = 1_700_000_000.0) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.now = start_s
        self.steps = 0
        self._heap: list[tuple[float, int, Action]] = []
        self._sequence = count()
        self._trace = hashlib.sha256()

    def at(self, unix_s: float, action: Action) -> None:
        """Do `action` at `unix_s` of true time, or now when that is past. Equal times happen in the order asked."""
        heapq.heappush(self._heap, (max(unix_s, self.now), next(self._sequence), action))

    def after(self, delay_s: float, action: Action) -> None:
        """Do `action` in `delay_s` seconds."""
        self.at(self.now + delay_s, action)

    def run(self, until_s: float, *, stop: Callable[[], bool] | None = None) -> None:
        """Let everything up to `until_s` happen; end early, at that moment, once `stop()` is true."""
        while self._heap and self._heap[0][0] <= until_s:
            self.now, _, action = heapq.heappop(self._heap)
            self.steps += 1
            action()
            if stop is not None and stop():
                return
        self.now = max(self.now, until_s)

    def note(self, what: str) -> None:
        """Add to the trace."""
        self._trace.update(f"{self.now:.6f} {what}\n".encode())

    @property
    def trace(self) -> str:
        """64 hex digits over everything noted so far."""
        return self._trace.hexdigest()

    def violated(self, what: str) -> SafetyViolated:
        """The error to raise when an invariant fails."""
        return SafetyViolated(what, seed=self.seed, now=self.now)


class SeededEntropy:
    """Random bytes from the world's seed: the simulated stand-in for the operating system's."""

    def __init__(self, world: World, name: str) -> None:
        self._random = random.Random(f"{world.seed}/{name}")

    def bytes(self, count: int) -> bytes:
        """`count` bytes; the same for every run of one seed."""
        return self._random.randbytes(count)
