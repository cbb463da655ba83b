"""Links between nodes: delay, loss, duplication, reordering, and cuts that may be one-way."""

from collections.abc import Callable
from dataclasses import dataclass

from collective.sim.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRules:
    """What a message may suffer. Probabilities lie between 0 and 1."""

    delay_mean_s: float = 0.05  # exponential on top of the least delay
    delay_min_s: float = 0.001
    loss: float = 0.0
    duplication: float = 0.0  # a second copy, with a delay of its own
    reordering: float = 0.0  # held back for up to ten mean delays


class Network:
    """Carries messages between named places. Delays are drawn per message, so messages overtake each other anyway."""

    def __init__(self, world: World, rules: LinkRules) -> None:
        self._world = world
        self.rules = rules
        self._cut: set[tuple[str, str]] = set()
        self.sent = 0
        self.lost = 0

    def cut(self, source: str, target: str) -> None:
        """Nothing passes from `source` to `target` until `mend` or `heal`; the other direction is not touched."""
        self._cut.add((source, target))

    def mend(self, source: str, target: str) -> None:
        """The cut from `source` to `target` ends, if there is one."""
        self._cut.discard((source, target))

    def heal(self) -> None:
        """All cuts end, and from now on nothing is lost, doubled or held back."""
        self._cut.clear()
        self.rules = LinkRules(delay_mean_s=self.rules.delay_mean_s, delay_min_s=self.rules.delay_min_s)

    def passes(self, source: str, target: str) -> bool:
        """Whether a message sent now would arrive at all; draws the loss."""
        if (source, target) in self._cut:
            return False
        return self._world.random.random() >= self.rules.loss

    def delay_s(self) -> float:
        """One message's way, in seconds."""
        chance = self._world.random
        delay_s = self.rules.delay_min_s + chance.expovariate(1 / self.rules.delay_mean_s)
        if chance.random() < self.rules.reordering:
            delay_s += chance.random() * 10 * self.rules.delay_mean_s
        return delay_s

    def carry(self, source: str, target: str, deliver: Callable[[], None]) -> bool:
        """Send once; `deliver` is called when (and if, and as often as) it arrives. False when it was lost."""
        self.sent += 1
        if not self.passes(source, target):
            self.lost += 1
            return False
        self._world.after(self.delay_s(), deliver)
        if self._world.random.random() < self.rules.duplication:
            self._world.after(self.delay_s(), deliver)
        return True
