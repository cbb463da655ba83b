"""A small stage for beacon machines: time, alarms, vaults, streams and stores, with no chance in it but seeded loss.

It carries effects out as a shell would and holds them to the contract: what is stored follows and verifies, what is
published is stored already, no vault is asked twice at once for one round.
"""

import heapq
from dataclasses import dataclass
from itertools import count
from random import Random

from collective.errors import CollectiveError
from collective.machine import Due, Persist, WakeAt
from drand.model.chain import Beacon, Round
from drand.model.group import Peer
from drand.model.packets import PartialPacket
from drand.model.records import BeaconsStored, BeaconStored
from drand.model.vault_messages import PartialSigned, SignPartial, VaultRefused
from drand.protocol.beacon_node import BeaconNode
from drand.protocol.chain import check_follows
from drand.protocol.steps import (
    Abandon,
    AskVault,
    BeaconsChecked,
    BeaconsReceived,
    CheckBeacons,
    Effect,
    Event,
    Fact,
    FetchBeacons,
    Ids,
    Publish,
    Received,
    Report,
    Send,
    StreamEnded,
    VaultReplied,
)
from tests.support.committee import Committee

WIRE_S = 0.02
VAULT_S = 0.005


def words(effects: list[Effect]) -> list[str]:
    """Effects as short phrases, so that a test reads as a conversation."""
    return [_phrase(effect) for effect in effects]


def _phrase(effect: Effect) -> str:
    match effect:
        case Persist(BeaconStored(beacon)):
            return f"persist {beacon.round}"
        case Persist(BeaconsStored(beacons)):
            return f"persist {beacons[0].round}..{beacons[-1].round}"
        case Send(peers, PartialPacket() as packet):
            return f"send partial {packet.round} to {len(peers)}"
        case AskVault(SignPartial() as request):
            return f"ask vault for {request.round}"
        case FetchBeacons() as fetch:
            return f"fetch {fetch.from_round}..{fetch.up_to} from {fetch.peer.address}"
        case CheckBeacons() as check:
            return f"check {check.beacons[0].round}..{check.beacons[-1].round}"
        case Abandon():
            return "abandon"
        case WakeAt(alarm, unix_s):
            return f"wake {alarm} at {unix_s:g}"
        case Publish(beacon):
            return f"publish {beacon.round}"
        case Report(fact):
            return f"report {type(fact).__name__}"
        case _:
            return repr(effect)


@dataclass
class _Stream:
    call_id: int
    asker: int
    server: int
    sent: int
    up_to: int


class Stage:
    """Some nodes of a committee, each with its machine, its store, its vault and its alarms."""

    def __init__(self, committee: Committee, now: float, batch: int = 4, loss: float = 0, seed: int = 0) -> None:
        self.committee = committee
        self.now = now
        self.batch = batch
        self.loss = loss
        self._chance = Random(seed)
        self.nodes: dict[int, BeaconNode] = {}
        self.stores: dict[int, list[Beacon]] = {}
        self.published: dict[int, list[Round]] = {}
        self.facts: dict[int, list[Fact]] = {}
        self.refused: list[tuple[int, CollectiveError]] = []
        self.log: list[tuple[float, int, Effect | CollectiveError]] = []
        self.offset: dict[int, float] = {}  # how much a node's clock is ahead
        self.vault_away: set[int] = set()
        self.liars: dict[int, int] = {}  # node -> the round about which its streams lie
        self.cut: set[int] = set()  # nodes that hear and reach nobody
        self._alarms: dict[tuple[int, str], int] = {}
        self._streams: list[_Stream] = []
        self._queue: list[tuple[float, int, int, Event]] = []
        self._count = count()

    def boot(self, index: int) -> None:
        """Start a node, or start it again, from its store."""
        store = self.stores.setdefault(index, [])
        self.published.setdefault(index, [])
        self.facts.setdefault(index, [])
        last = store[-1] if store else None
        node = BeaconNode(self.committee.epoch(index), self.committee.peer(index), last, Ids(f"{index}@{self.now}"))
        self.nodes[index] = node
        self.perform(index, node.start(self.now + self.offset.get(index, 0)))

    def kill(self, index: int) -> None:
        """The process is gone; its store stays."""
        del self.nodes[index]
        self._alarms = {key: value for key, value in self._alarms.items() if key[0] != index}
        self._queue = [entry for entry in self._queue if entry[2] != index]
        heapq.heapify(self._queue)
        for stream in [stream for stream in self._streams if index in (stream.asker, stream.server)]:
            self._streams.remove(stream)
            if stream.server == index:
                self._post(stream.asker, StreamEnded(stream.call_id, "connection lost"), WIRE_S)

    def run(self, until: float) -> None:
        """Let everything happen up to and including `until`."""
        while self._queue and self._queue[0][0] <= until:
            self.now, number, index, event = heapq.heappop(self._queue)
            if index not in self.nodes:
                continue
            if isinstance(event, Due) and self._alarms.get((index, event.alarm)) != number:
                continue  # replaced by a later WakeAt
            try:
                effects = self.nodes[index].handle(event, self.now + self.offset.get(index, 0))
            except CollectiveError as error:
                self.refused.append((index, error))
                self.log.append((self.now, index, error))
            else:
                self.perform(index, effects)
        self.now = until

    def head(self, index: int) -> int:
        """The last round on a node's disk."""
        return self.stores[index][-1].round

    def phrases(self, index: int) -> list[str]:
        """What a node did so far."""
        return words([what for _, at, what in self.log if at == index and not isinstance(what, CollectiveError)])

    def times(self, index: int, fact: type[Fact]) -> list[float]:
        """When a node reported facts of this kind."""
        return [
            when
            for when, at, what in self.log
            if at == index and isinstance(what, Report) and isinstance(what.fact, fact)
        ]

    def hear(self, index: int, packet: PartialPacket, at: float) -> None:
        """Somebody unknown sends a node a partial at a certain time."""
        heapq.heappush(self._queue, (at, next(self._count), index, Received("10.9.9.9", packet)))

    def _post(self, index: int, event: Event, delay_s: float) -> None:
        heapq.heappush(self._queue, (self.now + delay_s, next(self._count), index, event))

    def perform(self, index: int, effects: list[Effect]) -> None:
        """Carry out effects in order."""
        for effect in effects:
            self.log.append((self.now, index, effect))
            self._perform(index, effect)

    def _perform(self, index: int, effect: Effect) -> None:
        match effect:
            case Persist(BeaconStored(beacon)):
                self._store(index, beacon)
            case Persist(BeaconsStored(beacons)):
                for beacon in beacons:
                    self._store(index, beacon)
            case Publish(beacon):
                assert self.stores[index][beacon.round] == beacon
                self.published[index].append(beacon.round)
            case Send(peers, message):
                for at in self._reached(index, peers):
                    if self._chance.random() < self.loss:
                        continue
                    self._post(at, Received(f"10.0.0.{index}", message), WIRE_S)
            case AskVault(SignPartial() as request):
                self._ask_vault(index, request)
            case WakeAt(alarm, unix_s):
                number = next(self._count)
                self._alarms[index, alarm] = number
                when = max(unix_s - self.offset.get(index, 0), self.now)
                heapq.heappush(self._queue, (when, number, index, Due(alarm)))
            case FetchBeacons() as fetch:
                self._fetch(index, fetch)
            case Abandon(call_id):
                self._streams = [
                    stream for stream in self._streams if stream.call_id != call_id or stream.asker != index
                ]
            case CheckBeacons(check_id, _, beacons):
                bad = frozenset(b.round for b in beacons if b != self.committee.beacon(b.round))
                self._post(index, BeaconsChecked(check_id, bad), WIRE_S)
            case Report(fact):
                self.facts[index].append(fact)
            case _:
                raise AssertionError(f"unexpected {effect}")

    def _reached(self, index: int, peers: tuple[Peer, ...]) -> list[int]:
        addressed = [node.index for node in self.committee.group.nodes if node.identity.peer in peers]
        assert index not in addressed, "a node sends to itself"
        return [at for at in addressed if at in self.nodes and index not in self.cut and at not in self.cut]

    def _store(self, index: int, beacon: Beacon) -> None:
        store = self.stores[index]
        if store:
            check_follows(store[-1], beacon, self.committee.scheme)
        assert beacon == self.committee.beacon(beacon.round)
        store.append(beacon)
        for stream in [stream for stream in self._streams if stream.server == index]:
            self._serve(stream)

    def _ask_vault(self, index: int, request: SignPartial) -> None:
        if index in self.vault_away:
            self._post(index, VaultReplied(VaultRefused(request.request_id, "no contact", retry=True)), VAULT_S)
            return
        assert self.now >= self.committee.due(request.round), f"round {request.round} is asked for before it is due"
        packet = self.committee.partial(index, request.round, request.previous_signature)
        reply = PartialSigned(request.request_id, packet.round, packet.previous_signature, packet.partial)
        self._post(index, VaultReplied(reply), VAULT_S)

    def _fetch(self, index: int, fetch: FetchBeacons) -> None:
        server = next(node.index for node in self.committee.group.nodes if node.identity.peer == fetch.peer)
        if server not in self.nodes or index in self.cut or server in self.cut:
            self._post(index, StreamEnded(fetch.call_id, "connection refused"), WIRE_S)
        elif self.head(server) < fetch.from_round:
            self._post(index, StreamEnded(fetch.call_id, "no beacon stored above requested round"), WIRE_S)
        else:
            stream = _Stream(fetch.call_id, index, server, fetch.from_round - 1, fetch.up_to)
            self._streams.append(stream)
            self._serve(stream)

    def _serve(self, stream: _Stream) -> None:
        last = min(stream.up_to, self.head(stream.server))
        lie = self.liars.get(stream.server)
        while stream.sent < last:
            rounds = range(stream.sent + 1, min(stream.sent + self.batch, last) + 1)
            sent = tuple(self.committee.lie(r) if r == lie else self.stores[stream.server][r] for r in rounds)
            self._post(stream.asker, BeaconsReceived(stream.call_id, sent), WIRE_S)
            stream.sent = rounds[-1]
        if stream.sent == stream.up_to:
            self._streams.remove(stream)
            self._post(stream.asker, StreamEnded(stream.call_id, None), WIRE_S)
