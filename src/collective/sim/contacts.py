"""Links that exist only now and then: a contact plan, as satellites and ground stations have one."""

from collections.abc import Callable
from dataclasses import dataclass

from collective.sim.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One window in which both ends hear each other."""

    start_unix_s: float
    end_unix_s: float
    one_way_s: float  # light time and queueing, per message
    bytes_per_s: float


class ContactLink:
    """Carries messages while a contact is open, one after another at the contact's rate; refuses them otherwise."""

    def __init__(self, world: World, plan: tuple[Contact, ...]) -> None:
        self._world = world
        self._plan = tuple(sorted(plan, key=lambda contact: contact.start_unix_s))
        self._busy_until_s = 0.0

    def contact(self) -> Contact | None:
        """The contact that is open now."""
        now = self._world.now
        return next((c for c in self._plan if c.start_unix_s <= now < c.end_unix_s), None)

    def carry(self, size_bytes: int, deliver: Callable[[], None]) -> bool:
        """Send `size_bytes`; False, and nothing sent, where the contact is closed or ends before the last byte left."""
        contact = self.contact()
        if contact is None:
            return False
        started_s = max(self._world.now, self._busy_until_s)
        sent_s = started_s + size_bytes / contact.bytes_per_s
        if sent_s > contact.end_unix_s:
            return False
        self._busy_until_s = sent_s
        self._world.at(sent_s + contact.one_way_s, deliver)
        return True
