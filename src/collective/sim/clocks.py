"""Clocks that are wrong: offset, drift and steps against the world's true time."""

from collective.sim.world import World


class SimulatedClock:
    """One node's clock.

    offset_s    how far ahead of true time it starts
    drift_ppm   how much too fast it runs, in microseconds a second
    """

    def __init__(self, world: World, *, offset_s: float = 0.0, drift_ppm: float = 0.0) -> None:
        self._world = world
        self._since = world.now
        self._offset_s = offset_s
        self._rate = 1.0 + drift_ppm / 1e6

    def now(self) -> float:
        """What this clock shows."""
        return self._since + self._offset_s + (self._world.now - self._since) * self._rate

    def step(self, by_s: float) -> None:
        """Someone sets the clock: it jumps by `by_s` seconds."""
        self._offset_s += by_s

    def true_time(self, shown_s: float) -> float:
        """When, in true time, this clock will show `shown_s` (if nobody steps it meanwhile)."""
        return self._since + (shown_s - self._since - self._offset_s) / self._rate
