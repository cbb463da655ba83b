"""A small network for tests: whole beacon processes with real vaults, a virtual clock and a first-in-first-out wire.

It carries effects out as a daemon would, in order, with `Persist` onto a list that survives a crash. No chance in it:
the same script gives the same run.
"""

import heapq
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from collective.errors import CollectiveError
from collective.machine import Due, Persist, Restarted, WakeAt
from drand.model.chain import Beacon
from drand.model.group import Peer
from drand.model.packets import AskIdentity, DkgPacket, Message
from drand.model.records import (
    BeaconsStored,
    BeaconStored,
    BundleKept,
    CeremonyEnded,
    CeremonyStarted,
    EpochStarted,
    Phase,
    PhaseEntered,
    Record,
)
from drand.model.schemes import Scheme
from drand.model.vault_messages import VaultRefused, VaultRequest
from drand.protocol.ceremony_view import State
from drand.protocol.chain import check_follows
from drand.protocol.echo import EchoBroadcast
from drand.protocol.node import BeaconProcess
from drand.protocol.steps import (
    Abandon,
    Answered,
    AskVault,
    BeaconsChecked,
    BeaconsReceived,
    Call,
    CallFailed,
    CheckBeacons,
    Command,
    Commanded,
    Effect,
    Event,
    Fact,
    FetchBeacons,
    Ids,
    JoinCeremony,
    LeadCeremony,
    Publish,
    Received,
    Report,
    Send,
    StreamEnded,
    VaultReplied,
)
from drand.vault.keeper import KeyPair
from drand.vault.state import MemoryStateFile
from drand.vault.vault import Vault
from tests.support.committee import TOY_CHAINED
from tests.support.entropy import SeededEntropy
from tests.support.people import Person, people

WIRE_S = 0.02
VAULT_S = 0.002
SECRET = b"a secret of at least 32 characters"
START_S = 1_700_000_000.25

Wire = Callable[[int, int, Message], Message | None]  # (from, to, message) -> what arrives, None: lost


@dataclass
class Disk:
    """What a store would hold."""

    epoch: EpochStarted | None = None
    journal: list[Record] = field(default_factory=list)
    beacons: list[Beacon] = field(default_factory=list)

    def persist(self, record: Record, scheme: Scheme) -> None:
        match record:
            case BeaconStored(beacon):
                self._append(beacon, scheme)
            case BeaconsStored(beacons):
                for beacon in beacons:
                    self._append(beacon, scheme)
            case CeremonyStarted():
                self.journal = [record]
            case BundleKept() | PhaseEntered():
                assert self.journal, "a journal begins with its ceremony"
                self.journal.append(record)
            case EpochStarted():
                self.epoch, self.journal = record, []
            case CeremonyEnded():
                self.journal = []

    def _append(self, beacon: Beacon, scheme: Scheme) -> None:
        if self.beacons:
            check_follows(self.beacons[-1], beacon, scheme)
        else:
            assert beacon.round == 0
        self.beacons.append(beacon)

    def records(self) -> tuple[Record, ...]:
        """What a process is given when it starts."""
        first = [] if self.epoch is None else [self.epoch]
        last = [BeaconStored(self.beacons[-1])] if self.beacons else []
        return (*first, *self.journal, *last)


class Network:
    """`size` nodes, node0 the leader of what `ceremony` starts."""

    def __init__(
        self, size: int, *, scheme: Scheme = TOY_CHAINED, beacon_id: str = "default", now: float = START_S
    ) -> None:
        self.now = now
        self.beacon_id = beacon_id
        self.people: list[Person] = people(size, scheme)
        self.disks = [Disk() for _ in range(size)]
        self.vaults = [self.new_vault(number, who) for number, who in enumerate(self.people)]
        self.nodes: dict[int, BeaconProcess] = {}
        self.facts: list[list[Fact]] = [[] for _ in range(size)]
        self.published: list[list[Beacon]] = [[] for _ in range(size)]
        self.refused: list[tuple[int, Event, CollectiveError]] = []
        self.wire: Wire = lambda _from, _to, message: message
        self.vault_away: set[int] = set()
        self.crash_after: dict[int, int] = {}  # node -> how many more effects it carries out before it dies
        self.watchful = False  # compare a process that refuses with what it was before
        self.log: list[tuple[int, Effect]] = []
        self._alarms: dict[tuple[int, str], int] = {}
        self._closed: set[tuple[int, int]] = set()
        self._queue: list[tuple[float, int, int, Event]] = []
        self._count = count()

    def new_vault(self, number: int, who: Person) -> Vault:
        """A vault that has dealt and signed nothing yet."""
        return Vault(
            KeyPair(who.identity, who.secret), MemoryStateFile(), entropy=SeededEntropy(number), clock=_At(self)
        )

    # ------------------------------------------------------------ what tests do

    def start(self, *numbers: int) -> None:
        """Start processes, or start them again."""
        for number in numbers or range(len(self.people)):
            boot = f"{number}@{next(self._count)}"
            self.nodes[number] = BeaconProcess(self.people[number].identity, self.beacon_id, Ids(boot))
            self.step(number, Restarted(self.disks[number].records()))

    def kill(self, number: int) -> None:
        """The process is gone; its disk and its vault stay."""
        del self.nodes[number]
        self._alarms = {key: value for key, value in self._alarms.items() if key[0] != number}
        self._closed = {call for call in self._closed if call[0] != number}
        self._queue = [entry for entry in self._queue if entry[2] != number]
        heapq.heapify(self._queue)

    def command(self, number: int, command: Command) -> None:
        """What an operator types; raises what the process raises."""
        self.step(number, Commanded(command))

    def lead(self, *, threshold: int, period_s: int = 3, timeout_s: int = 10, number: int = 0) -> None:
        """Node `number` leads a ceremony of everybody."""
        self.command(
            number,
            LeadCeremony(
                nodes=len(self.people),
                threshold=threshold,
                period_s=period_s,
                catchup_period_s=1,
                dkg_timeout_s=timeout_s,
                beacon_offset_s=1,
                secret=SECRET,
            ),
        )

    def join(self, number: int, *, secret: bytes = SECRET) -> None:
        """Node `number` joins node0's ceremony."""
        self.command(number, JoinCeremony(leader=self.people[0].identity.peer, secret=secret))

    def ceremony(self, *, threshold: int, period_s: int = 3, timeout_s: int = 10) -> None:
        """Start everybody, with node0 as leader and the others as participants."""
        self.start()
        self.lead(threshold=threshold, period_s=period_s, timeout_s=timeout_s)
        for number in range(1, len(self.people)):
            self.join(number)

    def run(self, seconds: float) -> None:
        """Let everything happen that happens within `seconds`."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], within_s: float) -> None:
        """Go on until `condition` holds, or `within_s` seconds have passed."""
        end = self.now + within_s
        while self._queue and self._queue[0][0] <= end:
            if condition():
                return
            self.now, serial, number, event = heapq.heappop(self._queue)
            if number not in self.nodes:
                continue
            if isinstance(event, Due) and self._alarms.get((number, event.alarm)) != serial:
                continue  # replaced by a later WakeAt
            if isinstance(event, Answered | CallFailed | BeaconsReceived | StreamEnded) and (
                (number, event.call_id) in self._closed
            ):
                continue
            self._try(number, event)
        self.now = max(self.now, end)

    def states(self) -> list[State]:
        """Where everybody that is up stands."""
        return [self.nodes[number].state for number in sorted(self.nodes)]

    def rounds(self, number: int) -> int:
        """The last round on a node's disk, -1 for none."""
        return len(self.disks[number].beacons) - 1

    def facts_of(self, number: int, kind: type) -> list[Fact]:
        """What a node reported, of one kind."""
        return [fact for fact in self.facts[number] if isinstance(fact, kind)]

    def number_of(self, peer: Peer) -> int:
        """Who listens there."""
        return next(n for n, who in enumerate(self.people) if who.identity.peer == peer)

    # ------------------------------------------------------------ carrying out

    def step(self, number: int, event: Event) -> None:
        """Hand one event to a process now; one that refuses it must not have changed."""
        node = self.nodes[number]
        before = snapshot(node) if self.watchful else b""
        try:
            effects = node.handle(event, self.now)
        except CollectiveError:
            assert not self.watchful or snapshot(node) == before, f"refused {event}, but changed"
            raise
        for effect in effects:
            if number in self.crash_after:
                self.crash_after[number] -= 1
                if self.crash_after[number] < 0:
                    del self.crash_after[number]
                    self.kill(number)
                    return
            self.log.append((number, effect))
            self._perform(number, effect)

    def _try(self, number: int, event: Event) -> CollectiveError | None:
        try:
            self.step(number, event)
        except CollectiveError as error:
            self.refused.append((number, event, error))
            return error
        return None

    def post(self, number: int, event: Event, delay_s: float) -> None:
        """Hand an event to a process after a delay; a refusal is noted in `refused`."""
        heapq.heappush(self._queue, (self.now + delay_s, next(self._count), number, event))

    def _perform(self, number: int, effect: Effect) -> None:
        match effect:
            case Persist(record):
                self.disks[number].persist(record, self.people[number].identity.scheme)
            case Send(peers, message):
                for peer in peers:
                    self._deliver(number, self.number_of(peer), message)
            case Call():
                self._call(number, effect)
            case AskVault(request):
                self._ask_vault(number, request)
            case WakeAt(alarm, unix_s):
                serial = next(self._count)
                self._alarms[number, alarm] = serial
                heapq.heappush(self._queue, (max(unix_s, self.now), serial, number, Due(alarm)))
            case Publish(beacon):
                assert beacon in self.disks[number].beacons[-50:], "published before it was stored"
                self.published[number].append(beacon)
            case Report(fact):
                self.facts[number].append(fact)
            case Abandon(call_id):
                self._closed.add((number, call_id))
            case FetchBeacons():
                self._fetch(number, effect)
            case CheckBeacons(check_id, group, beacons):
                bad = frozenset(b.round for b in beacons if not _valid(group, b))
                self.post(number, BeaconsChecked(check_id, bad), VAULT_S)

    def _deliver(self, sender: int, receiver: int, message: Message) -> None:
        arrived = self.wire(sender, receiver, message)
        if arrived is not None:
            self.post(receiver, Received(f"10.0.0.{sender}", arrived), WIRE_S)

    def _call(self, number: int, call: Call) -> None:
        """Answered at once by whoever is up; the answer takes as long as two messages."""
        target = self.number_of(call.peer)
        if target not in self.nodes:
            self.post(number, CallFailed(call.call_id, "connection refused"), WIRE_S)
        elif isinstance(call.question, AskIdentity):
            self.post(number, Answered(call.call_id, self.nodes[target].identity), 2 * WIRE_S)
        else:
            arrived = self.wire(number, target, call.question)
            if arrived is None:
                return  # black hole: no answer ever
            error = self._try(target, Received(f"10.0.0.{number}", arrived))
            answer = Answered(call.call_id, None) if error is None else CallFailed(call.call_id, str(error))
            lost = CallFailed(call.call_id, "connection reset")
            self.post(number, answer if target in self.nodes else lost, 2 * WIRE_S)

    def _ask_vault(self, number: int, request: VaultRequest) -> None:
        if number in self.vault_away:
            reply = VaultRefused(request.request_id, "no contact", retry=True)
        else:
            reply = self.vaults[number].answer(request)
        self.post(number, VaultReplied(reply), VAULT_S)

    def _fetch(self, number: int, fetch: FetchBeacons) -> None:
        server = self.number_of(fetch.peer)
        stored = self.disks[server].beacons[fetch.from_round : fetch.up_to + 1] if server in self.nodes else []
        if stored:
            self.post(number, BeaconsReceived(fetch.call_id, tuple(stored)), 2 * WIRE_S)
        whole = stored and stored[-1].round == fetch.up_to
        self.post(number, StreamEnded(fetch.call_id, None if whole else "no more beacons"), 3 * WIRE_S)


@dataclass
class _At:
    """The vaults' clock: the network's."""

    network: Network

    def now(self) -> float:
        return self.network.now


class _Snapshot(pickle.Pickler):
    """Leaves out what only remembers decoded keys: whether they are decoded already is no part of the state."""

    def reducer_override(self, value: object) -> object:
        if isinstance(value, EchoBroadcast):
            return object.__new__, (EchoBroadcast,), {name: v for name, v in vars(value).items() if name != "_keys"}
        return NotImplemented


def snapshot(node: BeaconProcess) -> bytes:
    """The whole state of a process. That it works says something by itself: no secret scalar lets itself be pickled."""
    buffer = io.BytesIO()
    _Snapshot(buffer).dump(node)
    return buffer.getvalue()


def _valid(group, beacon: Beacon) -> bool:
    digest = group.scheme.digest(beacon.round, beacon.previous_signature)
    try:
        group.scheme.bls.verify(group.scheme.decode_key(group.public_key[0]), digest, beacon.signature)
    except CollectiveError:
        return False
    return True


def without_bundles_from(*silent: int) -> Wire:
    """A wire on which some nodes' bundles never arrive, not even echoed: they are silent in the key generation."""

    def wire(sender: int, _receiver: int, message: Message) -> Message | None:
        return None if sender in silent and isinstance(message, DkgPacket) else message

    return wire


def finished(network: Network) -> bool:
    """Whether every node has its group."""
    return all(state is State.RUNNING for state in network.states())


def running_network(size: int = 5, threshold: int = 3, **settings) -> Network:
    """Nodes that have held their ceremony."""
    network = Network(size, **settings)
    network.ceremony(threshold=threshold)
    network.run_until(lambda: finished(network), 60)
    assert finished(network)
    return network


def generating_network(phase: Phase | None = None, now: float = START_S) -> Network:
    """Five nodes somewhere in their key generation."""
    network = Network(5, now=now)
    network.ceremony(threshold=3)
    network.run_until(lambda: network.states() == [State.GENERATING] * 5, 30)
    if phase is not None:
        network.run_until(lambda: network.nodes[2].ceremony.phase is phase, 30)
    return network


def a_bundle(network: Network) -> DkgPacket:
    """The first bundle that anybody sent."""
    sent = (effect.message for _, effect in network.log if isinstance(effect, Send))
    return next(message for message in sent if isinstance(message, DkgPacket))
