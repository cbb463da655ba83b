"""The ticker: which round falls due now, and when to wake for the next one."""

from typing import Final

from collective.machine import WakeAt
from drand.model.chain import Round, Schedule

ROUND_ALARM: Final = "round"


class Ticker:
    """Ticks once a round, on the exact second at which it is due.

    Everything is derived from the schedule and the `now` of the call, nothing from the time that passed in between, so
    a clock that is stepped only moves the ticks. Go nodes tick up to a second late (v1.5.11, chain/beacon/ticker.go
    counts whole seconds from a truncated clock); partials of a round are welcome from its due second on.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._ticked = Round(0)

    def current(self, now: float) -> Round:
        """The latest round due at `now`; 0 before genesis, when no round is."""
        return Round(0) if now < self._schedule.genesis_unix_s else self._schedule.current_round(now)

    def start(self, now: float) -> WakeAt:
        """Wake for the first round due after `now`; the round that runs already does not tick any more."""
        self._ticked = self.current(now)
        return self._next(now)

    def on_due(self, now: float) -> tuple[Round | None, WakeAt]:
        """The round whose tick this is, and the alarm for the next one.

        The round is None when the alarm rang too early, or when this round has ticked already (the clock was stepped).
        """
        round_ = self.current(now)
        if round_ in (0, self._ticked):
            return None, self._next(now)
        self._ticked = round_
        return round_, self._next(now)

    def _next(self, now: float) -> WakeAt:
        return WakeAt(ROUND_ALARM, float(self._schedule.next_round(now)[1]))
