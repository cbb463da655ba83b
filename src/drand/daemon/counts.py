"""What a daemon tells whoever counts. Without a metrics port nobody could read the counts, and none are kept.

prometheus-client, with the web server it brings, weighs as much as a large beacon's connections: it is imported
(drand.daemon.metrics) by a daemon that has such a port.
"""

from collections.abc import Callable, Mapping

from drand.model.group import Group
from drand.protocol.ceremony_view import State
from drand.protocol.steps import Fact


class Counts:
    """Hears of everything and keeps nothing."""

    def close(self) -> None:
        """Close the port."""

    def settled(self, beacon_id: str, group: Group) -> None:
        """A beacon has a group."""

    def stands(self, beacon_id: str, state: State) -> None:
        """Where a beacon stands after what happened."""

    def unloaded(self, beacon_id: str) -> None:
        """A beacon was stopped."""

    def observe(self, beacon_id: str, fact: Fact) -> None:
        """Something happened."""

    def sent(self, beacon_id: str, outcome: Mapping[str, bool]) -> None:
        """A partial was sent: by the address of a member, whether it got there."""

    def compared(self, beacon_id: str, others: int) -> None:
        """Members were asked for their chain; `others` hold another one than this node."""

    def called(self, method: str) -> None:
        """A peer or the operator called."""

    def answered(self, method: str, code: int) -> None:
        """An HTTP request was answered."""

    def count_displaced(self, so_far: Callable[[], int]) -> None:
        """`so_far` tells how many messages to peers were given up because too many were under way."""
