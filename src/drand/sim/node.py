"""One node of the simulated world: production machines and a production vault, carried out on simulated everything.

It is the twin of drand.daemon.beacon: effects are carried out in the order the machine gave them, `Persist` is a
barrier, what takes time comes back as an event. Unlike a daemon it can die between any two effects of one list. Then
everything in memory is gone, the disk keeps what was synced, and a new life starts with `Restarted(records)`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from collective.errors import CollectiveError
from collective.machine import Due, Persist, Restarted, WakeAt
from collective.runner import LONGEST_NAP_S, STEPPED_BACK_S
from collective.sim.clocks import SimulatedClock
from collective.sim.world import SeededEntropy, World
from drand.model.group import Identity, Peer
from drand.model.packets import AskIdentity, DkgPacket, Message, PartialPacket
from drand.model.records import CeremonyStarted, EpochStarted, Record
from drand.model.schemes import Scheme
from drand.model.vault_messages import VaultReply, VaultRequest
from drand.model.verification import ChainVerifier
from drand.protocol.node import BeaconProcess
from drand.protocol.steps import (
    Abandon,
    Answered,
    AskVault,
    BeaconsChecked,
    Call,
    CallFailed,
    CeremonyFailed,
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
from drand.sim.checks import Checks
from drand.sim.disk import RecordDisk, SimulatedStateFile
from drand.sim.liars import Liar
from drand.sim.links import Links, decoded, encoded, encoded_answer
from drand.sim.streams import Stream
from drand.sim.trace import event_tag
from drand.sim.vault_path import VaultHost
from drand.vault.keeper import KeyPair
from drand.vault.vault import Vault

CALL_DEADLINE_S = 10.0
CHECK_MEAN_S = 0.02
REVIVE_AFTER_S = 5.0  # after its disk refused a record
CLOCK_SLACK_S = 2e-6  # alarms never ring early, whatever floating point does to the clock


@dataclass(kw_only=True)
class Around:
    """What all nodes of one world share."""

    world: World
    links: Links
    checks: Checks
    scheme: Scheme
    started: "Callable[[SimulatedNode], None]"  # somebody's operator sees that a node is up
    beacon_id: str = "default"
    nodes: "dict[Peer, SimulatedNode]" = field(default_factory=dict)


class SimulatedNode:
    """A node. `up` and `life` say whether it runs, and for which time; `process` and `vault` are those of this life."""

    process_type: type[BeaconProcess] = BeaconProcess  # tests plant bugs here

    def __init__(
        self, keys: KeyPair, around: Around, clock: SimulatedClock, host: VaultHost, liar: Liar | None = None
    ) -> None:
        self.keys = keys
        self.around = around
        self.clock = clock
        self.host = host
        self.liar = liar
        self.name = keys.identity.address
        self.disk = RecordDisk(chained=around.scheme.chained)
        self.state_file = SimulatedStateFile()
        self.followers: list[Stream] = []
        self.up = False
        self.life = 0
        self.failures: list[str] = []  # ceremonies that failed here
        self.refusals = 0
        self.effects_to_live: int | None = None  # dies before carrying out that many more
        self._down_s = 0.0
        self._spared = False  # the effects to live are not counted yet
        self._entropy = SeededEntropy(around.world, self.name)
        self._alarms: dict[str, int] = {}
        self._calls: set[int] = set()
        self._streams: dict[int, Stream] = {}
        self.vault = self._new_vault()
        self.process = self._new_process()

    @property
    def honest(self) -> bool:
        """Whether the checks hold for what it says and stores."""
        return self.liar is None

    @property
    def identity(self) -> Identity:
        """Its long-term identity."""
        return self.keys.identity

    # ------------------------------------------------------------ lives

    def start(self) -> None:
        """A new life begins with what the disk holds."""
        if self.up:
            return
        self.up = True
        self.process = self._new_process()
        if not self.host.remote:
            self.vault = self._new_vault()
        error = self.step(Restarted(self.disk.records()))
        if error is not None:
            raise self.around.world.violated(f"{self.name} does not start with its own records: {error}")
        self.around.started(self)

    def crash(self, down_s: float) -> None:
        """Die now, and come back in `down_s` seconds."""
        if not self.up:
            return
        self.around.world.note(f"{self.name} dies")
        self.up = False
        self.life += 1
        self.effects_to_live = None
        self._alarms.clear()
        self._calls.clear()
        self._streams.clear()
        self.followers.clear()
        self.disk.crash()
        self.around.world.after(down_s, self.start)

    def crash_soon(self, effects: int, down_s: float, *, in_setup: bool = True) -> None:
        """Die before carrying out `effects` more effects, which may be in the middle of a list.

        in_setup   False: effects count from the beginning of the key generation
        """
        self.effects_to_live, self._down_s, self._spared = effects, down_s, not in_setup

    def _new_process(self) -> BeaconProcess:
        return self.process_type(self.identity, self.around.beacon_id, Ids(f"{self.name}/{self.life}"))

    def _new_vault(self) -> Vault:
        return Vault(self.keys, self.state_file, entropy=self._entropy, clock=self.host.clock)

    # ------------------------------------------------------------ events

    def step(self, event: Event) -> CollectiveError | None:
        """Hand an event to the machine and carry out what it answers; a refusal is counted and returned."""
        self.around.world.note(f"{self.name} {event_tag(event)}")
        try:
            effects = self.process.handle(event, self.clock.now())
        except CollectiveError as error:
            self.refusals += 1
            return error
        self._carry_out(effects)
        return None

    def _carry_out(self, effects: list[Effect]) -> None:
        life = self.life
        for effect in effects:
            if self.effects_to_live is not None and not self._spared:
                self.effects_to_live -= 1
                if self.effects_to_live < 0:
                    self._die_at(effect)
            if self.life != life:
                return
            self._perform(effect)

    def _die_at(self, effect: Effect) -> None:
        if isinstance(effect, Persist) and self.around.world.random.random() < 0.5:
            self.disk.tear(effect.record)
        self.crash(self._down_s)

    def _later(self, event: Event, delay_s: float) -> None:
        """An event of this life, in a while."""
        life = self.life

        def happen() -> None:
            if self.life == life:
                self.step(event)

        self.around.world.after(delay_s, happen)

    # ------------------------------------------------------------ effects

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Persist(record):
                self._persist(record)
            case Send(peers, message):
                self._send(peers, message)
            case Call():
                self._call(effect)
            case FetchBeacons():
                stream = Stream(effect, self, self.around.nodes[effect.peer])
                self._streams[effect.call_id] = stream
                stream.open()
            case Abandon(call_id):
                self._calls.discard(call_id)
                if call_id in self._streams:
                    self._streams.pop(call_id).abandon()
            case CheckBeacons():
                self._check(effect)
            case AskVault(request):
                self._ask_vault(request)
            case WakeAt():
                self._wake(effect)
            case Publish(beacon):
                if self.honest:
                    self.around.checks.published(self, beacon)
                self.followers = [stream for stream in self.followers if not stream.over]
                for stream in self.followers:
                    stream.pump()
            case Report(fact):
                self._hear_fact(fact)
            case _:
                assert_never(effect)

    def _persist(self, record: Record) -> None:
        if self.honest:
            self.around.checks.persisted(self, record)
        try:
            self.disk.persist(record)
        except OSError:
            self.crash(REVIVE_AFTER_S)
            return
        if isinstance(record, CeremonyStarted | EpochStarted):
            self._spared = False
            self.around.world.note(f"{self.name} stores {type(record).__name__}")

    def _hear_fact(self, fact: Fact) -> None:
        if isinstance(fact, CeremonyFailed):
            self.failures.append(fact.reason)

    def _wake(self, wake: WakeAt) -> None:
        serial = self._alarms[wake.alarm] = self._alarms.get(wake.alarm, 0) + 1
        asked_s = max(0.0, wake.unix_s - self.clock.now())
        self._sleep(wake, serial, self.life, self.around.world.now + asked_s + STEPPED_BACK_S)

    def _sleep(self, wake: WakeAt, serial: int, life: int, latest_s: float) -> None:
        """Ring as collective.runner.Alarms does: by the clock or, if it is set back, at true time `latest_s`."""

        def look() -> None:
            if self.life != life or self._alarms.get(wake.alarm) != serial:
                return
            if self.clock.now() < wake.unix_s and self.around.world.now < latest_s:
                self._sleep(wake, serial, life, latest_s)
            else:
                self.step(Due(wake.alarm))

        world = self.around.world
        world.at(min(self.clock.true_time(wake.unix_s) + CLOCK_SLACK_S, latest_s, world.now + LONGEST_NAP_S), look)

    # ------------------------------------------------------------ peers

    def _send(self, peers: tuple[Peer, ...], message: PartialPacket | DkgPacket) -> None:
        if self.liar is None:
            data = encoded(message, self.around.beacon_id)
            self.around.checks.sent(self, message, data)
            for peer in peers:
                self.post(peer, message, data)
            return
        for place, peer in enumerate(peers):
            for said in self.liar.said(message, place, len(peers)):
                self.post(peer, said, encoded(said, self.around.beacon_id))

    def post(self, peer: Peer, message: Message, data: bytes) -> None:
        """Send bytes to one peer; `message` is what they encode."""
        target = self.around.nodes[peer]

        def deliver() -> None:
            target.receive(self.name, message, data)

        self.around.links.once(self.name, target.name, deliver)

    def receive(self, sender: str, message: Message, data: bytes) -> CollectiveError | None:
        """Bytes came in from a peer; returns the refusal, of the wire's decoder or of the machine."""
        if not self.up:
            return None
        try:
            arrived = decoded(message, data, self.around.scheme)
        except CollectiveError as error:
            self.refusals += 1
            return error
        if self.liar is not None:
            self.liar.heard(arrived)
        return self.step(Received(sender, arrived))

    def _call(self, call: Call) -> None:
        self._calls.add(call.call_id)
        world, target = self.around.world, self.around.nodes[call.peer]
        data = b""
        if not isinstance(call.question, AskIdentity):
            data = encoded(call.question, self.around.beacon_id)
            self.around.checks.no_secret_in(self, data)
        late = CallFailed(call.call_id, "no answer")
        life = self.life
        world.after(CALL_DEADLINE_S, lambda: self._end_call(life, late))
        self.around.links.surely(self.name, target.name, lambda: target.asked(self, life, call, data))

    def asked(self, asker: "SimulatedNode", life: int, call: Call, data: bytes) -> None:
        """A peer's question came in; the answer goes back."""
        event: Answered | CallFailed
        if not self.up:
            event = CallFailed(call.call_id, "connection refused")
        elif isinstance(call.question, AskIdentity):
            self.around.checks.no_secret_in(self, encoded_answer(self.identity))
            event = Answered(call.call_id, self.identity)
        else:
            error = self.receive(asker.name, call.question, data)
            event = Answered(call.call_id, None) if error is None else CallFailed(call.call_id, str(error))
        self.around.links.surely(self.name, asker.name, lambda: asker._end_call(life, event))

    def _end_call(self, life: int, event: Answered | CallFailed) -> None:
        if self.life == life and event.call_id in self._calls:
            self._calls.discard(event.call_id)
            self.step(event)

    def end_stream(self, event: StreamEnded) -> None:
        """A stream that this node had opened is over."""
        self._streams.pop(event.call_id, None)
        self.step(event)

    # ------------------------------------------------------------ the vault, and the mathematics

    def _ask_vault(self, request: VaultRequest) -> None:
        life = self.life

        def done(reply: VaultReply) -> None:
            if self.life == life:
                self.step(VaultReplied(reply))

        def answer(asked: VaultRequest) -> VaultReply | None:
            alive = self.host.remote or self.life == life
            return self._answer(asked) if alive else None

        self.host.ask(request, answer, done)

    def _answer(self, request: VaultRequest) -> VaultReply:
        """The vault's own reply, or a liar's."""
        reply = self.vault.answer(request)
        if self.liar is not None:
            return self.liar.signed(request, reply)
        self.around.checks.vault_answered(self, request, reply)
        return reply

    def _check(self, check: CheckBeacons) -> None:
        bad = ChainVerifier(check.group.scheme, check.group.public_key[0]).bad_rounds(check.beacons, self._entropy)
        delay_s = self.around.world.random.expovariate(1 / CHECK_MEAN_S)
        self._later(BeaconsChecked(check.check_id, bad), delay_s)
