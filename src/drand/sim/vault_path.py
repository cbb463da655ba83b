"""How a simulated node reaches its vault: in its own process, or over a link that exists only during contacts."""

from collections.abc import Callable

from collective.sim.clocks import SimulatedClock
from collective.sim.contacts import Contact, ContactLink
from collective.sim.world import World
from drand.model.vault_messages import VaultRefused, VaultReply, VaultRequest

SERVICE_MEAN_S = 0.003  # what an answer takes
NO_CONTACT_S = 0.01  # until the node knows that nobody is there
LOST_AFTER_S = 3.0  # an answer that has not come by then counts as lost
MESSAGE_BYTES = 400
CYCLE_S = 60.0  # a contact begins once in so long

Answer = Callable[[VaultRequest], VaultReply | None]  # None: the process that was to answer is dead
Done = Callable[[VaultReply], None]


class VaultHost:
    """The vault with the place it runs in. In the node's process it dies with it; behind a link it does not.

    plan   None: in the node's own process
    """

    def __init__(self, world: World, clock: SimulatedClock, plan: tuple[Contact, ...] | None) -> None:
        self.clock = clock
        self.remote = plan is not None
        self._world = world
        self._up = None if plan is None else ContactLink(world, plan)
        self._down = None if plan is None else ContactLink(world, plan)
        self._free_s = 0.0

    def ask(self, request: VaultRequest, answer: Answer, done: Done) -> None:
        """Put `request` to the vault; `answer` is called there, `done` with its reply here. One after the other."""
        if self._up is None:
            self._free_s = max(self._free_s, self._world.now) + self._service_s()
            self._world.at(self._free_s, lambda: self._answer_near(request, answer, done))
        elif not self._up.carry(MESSAGE_BYTES, lambda: self._answer_far(request, answer, done)):
            refused = VaultRefused(request.request_id, "no contact with the vault", retry=True)
            self._world.after(NO_CONTACT_S, lambda: done(refused))

    @staticmethod
    def _answer_near(request: VaultRequest, answer: Answer, done: Done) -> None:
        reply = answer(request)
        if reply is not None:
            done(reply)

    def _answer_far(self, request: VaultRequest, answer: Answer, done: Done) -> None:
        assert self._down is not None
        reply = answer(request)
        if reply is not None and not self._down.carry(MESSAGE_BYTES, lambda: done(reply)):
            lost = VaultRefused(request.request_id, "the vault's answer was lost", retry=True)
            self._world.after(LOST_AFTER_S, lambda: done(lost))

    def _service_s(self) -> float:
        return self._world.random.expovariate(1 / SERVICE_MEAN_S)


def contact_plan(world: World, *, first_s: float, calm_s: float, open_s: float) -> tuple[Contact, ...]:
    """Always in contact until `first_s`, then for `open_s` out of every CYCLE_S, and from `calm_s` on for good."""
    shape = {"one_way_s": world.random.uniform(0.01, 0.15), "bytes_per_s": 100_000.0}
    contacts = [Contact(start_unix_s=world.now, end_unix_s=first_s, **shape)]
    start_s = first_s + world.random.uniform(0, CYCLE_S)
    while start_s + open_s < calm_s:
        contacts.append(Contact(start_unix_s=start_s, end_unix_s=start_s + open_s, **shape))
        start_s += CYCLE_S
    contacts.append(Contact(start_unix_s=calm_s, end_unix_s=float("inf"), **shape))
    return tuple(contacts)
