"""The clock of a key generation: when its phases are over, and when to send again.

Time is counted in half phases from the start of the first phase, whenever a later phase is entered, as in v1.5.11
(kyber v1.2.0, share/dkg/protocol.go, TimePhaser).
"""

from drand.model.records import Phase

_OVER = {Phase.DEALING: 2, Phase.RESPONDING: 4, Phase.JUSTIFYING: 6, Phase.FINISHED: 8}  # after so many half phases


class PhaseClock:
    """Told the time, never reading it. It stands until `start`. A phase takes `phase_s`, which is not 0."""

    def __init__(self, phase_s: float) -> None:
        self.phase_s = phase_s
        self._started_unix_s: float | None = None
        self._halves = 0
        self._hears_until = 0  # half phases

    @property
    def started(self) -> bool:
        """True once the first phase has begun."""
        return self._started_unix_s is not None

    def start(self, now: float) -> None:
        """The first phase begins."""
        self._started_unix_s = now

    def pass_to(self, now: float) -> bool:
        """Count the half phases over at `now`; True when the last of them ended in the middle of a working phase."""
        middle = False
        while self._halves < _OVER[Phase.FINISHED] and now >= self._unix_s(self._halves + 1):
            self._halves += 1
            middle = self._halves % 2 == 1 and self._halves < _OVER[Phase.JUSTIFYING]
        return middle

    def restart(self, now: float) -> None:
        """We were down until `now`: what others have sent meanwhile, they send again in the next middle of a phase."""
        self.pass_to(now)
        middle = self._halves + 1 + self._halves % 2
        self._hears_until = middle + 1 if middle < _OVER[Phase.JUSTIFYING] else 0

    @property
    def hears_again(self) -> bool:
        """True from a restart until what others send again has had half a phase to come."""
        return self._halves < self._hears_until

    def over(self, phase: Phase) -> bool:
        """True when the time of `phase` has passed; that of FINISHED is one phase more, for the vault to combine."""
        return self._halves >= _OVER[phase]

    def long_over(self, phase: Phase) -> bool:
        """True when the time of `phase` has passed for everybody, whose clocks started within half a phase of ours."""
        return self._halves > _OVER[phase]

    @property
    def last_middle_passed(self) -> bool:
        """True when no phase will reach its middle any more."""
        return self._halves >= _OVER[Phase.JUSTIFYING] - 1

    def next_unix_s(self) -> float:
        """When the current half phase ends."""
        return self._unix_s(self._halves + 1)

    def _unix_s(self, halves: int) -> float:
        assert self._started_unix_s is not None  # only a clock that was started is asked
        return self._started_unix_s + halves * self.phase_s / 2
