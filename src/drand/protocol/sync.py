"""Catching up: the beacons that we lack, fetched from one peer at a time and verified in batches.

    FetchBeacons -> BeaconsReceived... : do they follow each other?  no: next peer
                 -> CheckBeacons -> BeaconsChecked : do they verify?  no: the peer lied, next peer
                 -> verified beacons, to be stored in order

Fetching, verifying and storing overlap, and everything is bounded: one stream at a time, of at most WINDOW_ROUNDS; at
most MAX_CHECKS batches of BATCH_ROUNDS being verified; the next window is opened once half of the last is verified.
Source of the exchange: drand v1.5.11, chain/beacon/sync_manager.go (which verifies one by one, in one go, at random).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, Index, Round
from drand.model.group import Group, Node
from drand.protocol.chain import as_stored, check_follows
from drand.protocol.steps import (
    Abandon,
    BeaconsChecked,
    BeaconsReceived,
    CheckBeacons,
    CulpritNamed,
    Effect,
    FetchBeacons,
    Ids,
    Noted,
    Report,
    StreamEnded,
)

WINDOW_ROUNDS: Final = 4096  # asked of one stream; about 2 MB of beacons
BATCH_ROUNDS: Final = 1024  # verified together
MAX_CHECKS: Final = 2  # batches being verified at a time
LEAST_PATIENCE_S: Final = 2.0
MOST_PATIENCE_S: Final = 20.0
LEAST_PACE_ROUNDS: Final = 32  # a peer must bring us so much closer in one patience; a thousand arrive in a second
CHECK_PATIENCE_S: Final = 120.0  # a batch takes a few seconds at most, on the slowest curve
WARN_EVERY: Final = 5  # failures for one round in a row, one or two a period: less is normal while a chain catches up


@dataclass(frozen=True, slots=True)
class _Stream:
    call_id: int
    node: Node
    up_to: Round


@dataclass(slots=True)
class _Batch:
    """Beacons of one peer that follow each other. `bad` is None until the check has come back."""

    node: Node
    beacons: tuple[Beacon, ...]
    check_id: int = 0
    bad: frozenset[Round] | None = None

    def good_prefix(self) -> tuple[Beacon, ...]:
        """The beacons before the first bad one."""
        bad = self.bad or frozenset()
        for place, beacon in enumerate(self.beacons):
            if beacon.round in bad:
                return self.beacons[:place]
        return self.beacons


@dataclass(slots=True)
class _Stall:
    """How many times in a row something did not get better."""

    what: int = 0
    least: int = 0
    ticks: int = 0

    def grows(self, what: int, value: int, by: int = 1) -> int:
        """The times for which `what` was the same thing and `value` had not fallen by `by`."""
        if what == self.what and value > self.least - by:
            self.ticks += 1
        else:
            self.what, self.least, self.ticks = what, value, 0
        return self.ticks


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check has made certain: beacons to be stored now, in order, and how to go on."""

    beacons: tuple[Beacon, ...]
    effects: tuple[Effect, ...]


class Sync:
    """Fetches the rounds from the head to a target, from the group's other nodes.

    Peers are tried in an order that turns by one with every attempt and starts at another place for every node, so that
    a hundred nodes that fell behind together do not ask the same one; those that were caught lying come last.
    """

    def __init__(self, group: Group, own: Index, ids: Ids) -> None:
        self._group = group
        self._ids = ids
        self._peers = tuple(node for node in group.nodes if node.index != own)
        self._own = own
        self._patience_s = max(LEAST_PATIENCE_S, min(MOST_PATIENCE_S, group.period_s / 2))
        self._stalled = _Stall()
        self._unanswered = _Stall()
        self._failures = _Stall()
        self._attempts = 0
        self._liars: set[Index] = set()
        self.target = Round(0)
        self._tip = Beacon(Round(0), b"")  # the last beacon received, verified or not
        self._head = self._tip  # the last beacon of the chain, as far as we were told
        self._untried: list[Node] = []
        self._node: Node | None = None  # whom we fetch from
        self._stream: _Stream | None = None
        self._queue: deque[_Batch] = deque()  # received, not yet being verified
        self._checks: deque[_Batch] = deque()  # being verified, oldest first

    @property
    def running(self) -> bool:
        """Whether beacons are being fetched or verified."""
        return bool(self._stream or self._queue or self._checks)

    @property
    def verifying(self) -> bool:
        """Whether beacons that were received wait for their verification."""
        return bool(self._queue or self._checks)

    def want(self, target: Round, head: Beacon) -> list[Effect]:
        """Fetch what is missing up to `target`; a sync that runs already is only given the farther target."""
        if target <= head.round or not self._peers:
            return []
        if self.running:
            self.target = max(self.target, target)
            return []
        self.target = target
        self._tip = head
        self._node = None
        self._untried = self._order()
        self._attempts += 1
        return self._proceed()

    def _order(self) -> list[Node]:
        start = (self._own + self._attempts) % len(self._peers)
        turned = self._peers[start:] + self._peers[:start]
        return sorted(turned, key=lambda node: node.index in self._liars)

    def on_tick(self, current: Round) -> list[Effect]:
        """Watch over what runs, once a round: leave a peer that brings us closer to the current round at less than
        LEAST_PACE_ROUNDS a patience, so that nobody holds us by sending a beacon now and then, and start over when a
        check never comes back. When all peers are slow, their turn comes again at the next wish.
        """
        period_s = self._group.period_s
        if self._checks and self._unanswered.grows(self._checks[0].check_id, 0) * period_s >= CHECK_PATIENCE_S:
            return [*self.stop(), Report(Noted("error", "the verification of synced beacons does not answer"))]
        stream = self._stream
        if stream is None:
            return []
        stalled = self._stalled.grows(stream.call_id, current - self._tip.round, LEAST_PACE_ROUNDS)
        if stalled * period_s < self._patience_s:
            return []
        self._leave_peer()
        note = self._note("info", "a peer is too slow to catch up from", stream.node, f"round {self._tip.round} so far")
        return [Abandon(stream.call_id), note, *self._proceed()]

    # ------------------------------------------------------------ what streams bring

    def on_beacons(self, event: BeaconsReceived, head: Beacon) -> list[Effect]:
        """Link received beacons to those before them and have them verified; a peer that sends others is left."""
        stream = self._stream
        if stream is None or event.call_id != stream.call_id:
            return []
        linked, fault = self._link(event.beacons, stream.up_to)
        self._enqueue(stream.node, [beacon for beacon in linked if beacon.round > head.round])
        effects: list[Effect] = []
        if fault is not None:
            effects += [Abandon(stream.call_id), self._note("info", "a peer's stream is broken", stream.node, fault)]
            self._leave_peer()
        elif self._tip.round >= stream.up_to:
            self._stream = None  # the shell closes it; its StreamEnded is not waited for
        return effects + self._proceed()

    def _link(self, beacons: Sequence[Beacon], up_to: Round) -> tuple[list[Beacon], str | None]:
        """Those that follow the tip one after the other up to `up_to`, and why the next one does not, if so."""
        linked: list[Beacon] = []
        for received in beacons:
            beacon = as_stored(received, self._group.scheme)
            if self._tip.round >= up_to:
                break
            try:
                check_follows(self._tip, beacon, self._group.scheme)
            except InvalidBeacon as error:
                return linked, str(error)
            linked.append(beacon)
            self._tip = beacon
        return linked, None

    def _enqueue(self, node: Node, beacons: Sequence[Beacon]) -> None:
        """Queue beacons for verification; what comes in drops while others are verified becomes one batch."""
        for start in range(0, len(beacons), BATCH_ROUNDS):
            piece = tuple(beacons[start : start + BATCH_ROUNDS])
            last = self._queue[-1] if self._queue else None
            if last is not None and last.node == node and len(last.beacons) + len(piece) <= BATCH_ROUNDS:
                last.beacons += piece
            else:
                self._queue.append(_Batch(node, piece))

    def on_ended(self, event: StreamEnded) -> list[Effect]:
        """The peer has no more for us: what it sent stays, the rest comes from the next one."""
        stream = self._stream
        if stream is None or event.call_id != stream.call_id:
            return []
        self._leave_peer()
        why = event.reason or f"the stream ended after round {self._tip.round}"
        return [self._note("debug", "a peer's stream ended early", stream.node, why), *self._proceed()]

    def on_checked(self, event: BeaconsChecked, head: Beacon) -> Verified:
        """Hand out what is verified up to the first batch still open; a bad beacon makes us start over from there."""
        batch = next((batch for batch in self._checks if batch.check_id == event.check_id), None)
        if batch is None:
            return Verified((), ())
        batch.bad = event.bad
        verified: list[Beacon] = []
        effects: list[Effect] = []
        while self._checks and self._checks[0].bad is not None:
            done = self._checks.popleft()
            good = done.good_prefix()
            verified += [beacon for beacon in good if beacon.round > head.round]
            if len(good) < len(done.beacons):
                effects += self._expose(done.node, done.beacons[len(good)].round, verified[-1] if verified else head)
                break
        return Verified(tuple(verified), (*effects, *self._proceed()))

    def _expose(self, node: Node, bad_round: Round, last_good: Beacon) -> list[Effect]:
        """`node` sent a beacon that does not verify: drop all that came after, and ask the others.

        Nothing is proved by it: a beacon is not signed by who sends it.
        """
        effects = self.stop()
        self._liars.add(node.index)
        self._tip = last_good
        self._untried = [peer for peer in self._order() if peer.index not in self._liars]
        what = f"sent a beacon of round {bad_round} that does not verify"
        return [*effects, Report(CulpritNamed(node.index, what, proved=False))]

    # ------------------------------------------------------------ going on

    def appended(self, head: Beacon) -> list[Effect]:
        """The chain has grown by itself: stop when there is nothing left to fetch, skip what is not needed any more."""
        self._head = head
        return self.stop() if self.running and head.round >= self.target else []

    def stop(self) -> list[Effect]:
        """Close the stream and forget what is not verified."""
        effects: list[Effect] = [] if self._stream is None else [Abandon(self._stream.call_id)]
        self._leave_peer()
        self._queue.clear()
        self._checks.clear()
        return effects

    def _leave_peer(self) -> None:
        self._stream = None
        self._node = None

    def _proceed(self) -> list[Effect]:
        """Hand waiting batches to the verification, and open the next stream when there is room for what it brings."""
        effects: list[Effect] = []
        while self._queue and len(self._checks) < MAX_CHECKS:
            batch = self._queue.popleft()
            batch.check_id = self._ids.call()
            self._checks.append(batch)
            effects.append(CheckBeacons(batch.check_id, self._group, batch.beacons))
        waiting = sum(len(batch.beacons) for batch in (*self._queue, *self._checks))
        if self._stream is None and self._tip.round < self.target and waiting <= WINDOW_ROUNDS // 2:
            effects += self._open()
        return effects

    def _open(self) -> list[Effect]:
        """Ask the peer we have, or the next one; when none is left, what is being verified still counts."""
        self._tip = max(self._tip, self._head, key=lambda beacon: beacon.round)
        if self._node is None:
            if not self._untried:
                return [] if self.running else [self._failed(Round(self._tip.round + 1))]
            self._node = self._untried.pop(0)
        up_to = Round(min(self.target, self._tip.round + WINDOW_ROUNDS))
        self._stream = _Stream(self._ids.call(), self._node, up_to)
        peer = self._node.identity.peer
        from_round = Round(self._tip.round + 1)
        return [FetchBeacons(self._stream.call_id, peer, from_round, up_to, self._patience_s)]

    def _failed(self, missing: Round) -> Report:
        """Nobody has `missing` (yet): of interest to the operator only where it stays so."""
        failures = self._failures.grows(missing, 0) + 1
        level = "debug" if failures % WARN_EVERY else "warning"
        return Report(Noted(level, f"sync failed: no peer has round {missing}"))

    def _note(self, level: str, text: str, node: Node, why: str) -> Report:
        return Report(Noted(level, text, (("peer", node.identity.address), ("why", why))))
