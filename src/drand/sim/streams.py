"""SyncChain streams between simulated nodes: stored beacons in batches, then every new one, as a daemon does it."""

from typing import TYPE_CHECKING, Final

from collective.sim.world import Action
from drand.model.chain import Beacon, Round
from drand.protocol.steps import BeaconsReceived, FetchBeacons, StreamEnded

if TYPE_CHECKING:
    from drand.sim.node import SimulatedNode

BATCH: Final = 8  # small, so that a stream often breaks in the middle
BATCH_S: Final = 0.002  # between two batches read from the store


class Stream:
    """One stream, both of its ends. It is over when its asker has ended it, or has died."""

    def __init__(self, fetch: FetchBeacons, asker: "SimulatedNode", server: "SimulatedNode") -> None:
        self.fetch = fetch
        self._asker = asker
        self._life = asker.life
        self._server = server
        self._server_life = server.life
        self._upcoming = fetch.from_round
        self._arrival_s = 0.0  # of the last batch sent: batches do not overtake each other
        self._heard_s = asker.around.world.now
        self._over = False

    # ------------------------------------------------------------ the asker's end

    def open(self) -> None:
        """Send the request, and watch for silence."""
        asker = self._asker
        asker.around.links.surely(asker.name, self._server.name, self._serve)
        self._watch()

    def abandon(self) -> None:
        """The asker closes it; nothing comes back."""
        self._over = True

    @property
    def over(self) -> bool:
        """Whether the asker has closed it, or has died."""
        return self._over or self._asker.life != self._life

    def _watch(self) -> None:
        due_s = self._heard_s + self.fetch.patience_s
        if self.over:
            return
        if self._asker.around.world.now >= due_s:
            self._end(f"nothing came for {self.fetch.patience_s:g} s")
        else:
            self._asker.around.world.at(due_s, self._watch)

    def _end(self, reason: str | None) -> None:
        if not self.over:
            self._over = True
            self._asker.end_stream(StreamEnded(self.fetch.call_id, reason))

    def _hear(self, beacons: tuple[Beacon, ...]) -> None:
        if self.over:
            return
        self._heard_s = self._asker.around.world.now
        wanted = tuple(beacon for beacon in beacons if beacon.round <= self.fetch.up_to)
        self._asker.step(BeaconsReceived(self.fetch.call_id, wanted))
        if wanted and wanted[-1].round >= self.fetch.up_to:
            self._end(None)

    # ------------------------------------------------------------ the server's end

    def _serve(self) -> None:
        server = self._server
        last = server.disk.store.last() if server.up else None
        if last is None or last.round < self.fetch.from_round:
            reason = "no beacon stored above requested round" if server.up else "connection refused"
            self._answer(lambda: self._end(reason))
            return
        self._server_life = server.life
        server.followers.append(self)
        self.pump()

    def pump(self) -> None:
        """Send what is stored and not sent yet; at the end wait for the next `pump`."""
        server = self._server
        if self.over or server.life != self._server_life or not server.up:
            return
        batch = tuple(server.disk.store.range(self._upcoming, BATCH))
        if not batch:
            return
        self._upcoming = Round(batch[-1].round + 1)
        sent = batch if server.liar is None else server.liar.served(batch)
        self._answer(lambda: self._hear(sent))
        if len(batch) == BATCH:
            server.around.world.after(BATCH_S, self.pump)

    def _answer(self, deliver: Action) -> None:
        server = self._server
        arrival_s = server.around.links.surely(
            server.name, self._asker.name, deliver, not_before_s=self._arrival_s + 1e-6
        )
        self._arrival_s = max(self._arrival_s, arrival_s)
