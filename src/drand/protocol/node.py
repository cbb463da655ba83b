"""The machine of one beacon id: setup, key generation and rounds, one after the other, as one value that is stepped.

    IDLE --LeadCeremony--> LEADING --group accepted--> GENERATING --shares combined--> RUNNING
    IDLE --JoinCeremony--> JOINING --group pushed----> GENERATING
    LEADING, JOINING, GENERATING --failure, AbandonCeremony--> IDLE
    IDLE --Restarted with a journal--> GENERATING;  IDLE --Restarted with an epoch--> RUNNING

It decides which part hears of an event and what one part's end means for the next; what the parts do is in
setup_leader, setup_follower, dkg and beacon_node. An event that is refused raises, and nothing has changed.
"""

from collective.errors import CollectiveError, OutOfTurn
from collective.machine import Due, Persist, Restarted, WakeAt
from drand.model.chain import Beacon, canonical_beacon_id
from drand.model.group import Identity
from drand.model.packets import DkgPacket, GroupPush, PartialPacket, SignalPacket
from drand.model.records import CeremonyEnded, CeremonyStarted, Epoch, EpochStarted, Record
from drand.model.vault_messages import OpenEpoch, RequestId, UserEntropy, VaultRefused, VaultReply
from drand.protocol import setup_rules
from drand.protocol.beacon_node import BeaconNode
from drand.protocol.ceremony_view import (
    TRANSITIONS,
    CeremonyView,
    State,
    named,
    view_of_group,
    view_of_keygen,
    view_of_setup,
)
from drand.protocol.dkg import PHASE_ALARM, HandedOver, KeyGenerated, KeyGeneration, KeyGenerationFailed
from drand.protocol.early import EarlyBundles
from drand.protocol.restart import check_belongs, sort_records
from drand.protocol.setup_follower import SetupFollower
from drand.protocol.setup_leader import PUSH_PATIENCE_S, SetupLeader
from drand.protocol.setup_rules import DEFAULT_PHASE_S, AlreadyDone, AlreadyRunning, Candidates, SetupFailed
from drand.protocol.steps import (
    AbandonCeremony,
    Answered,
    AskVault,
    BeaconsChecked,
    BeaconsReceived,
    CallFailed,
    CeremonyFailed,
    CeremonyFinished,
    Command,
    Commanded,
    Effect,
    Event,
    GroupProposed,
    Ids,
    JoinCeremony,
    LeadCeremony,
    Noted,
    Received,
    Report,
    StreamEnded,
    VaultReplied,
)
from drand.protocol.transition import fresh_epoch, fresh_terms

OPEN_ALARM = "open-epoch"  # asks an absent vault again to open the epoch
OPEN_RETRY_S = 5.0


class BeaconProcess:
    """One beacon id of one node. See the module's text for its states.

    Read-only from outside: `state`, `epoch`, `head`, `ceremony`, `running`.
    """

    def __init__(self, identity: Identity, beacon_id: str, ids: Ids) -> None:
        """`identity` is our own, as the vault shows it; `ids` numbers calls and requests."""
        self._identity = identity
        self._beacon_id = canonical_beacon_id(beacon_id)
        self._ids = ids
        self._state = State.IDLE
        self._setup: SetupLeader | SetupFollower | None = None
        self._followed: SetupFollower | None = None  # the setup that led to the running key generation
        self._held: set[int] = set()  # genesis times of all ceremonies since the start, and of the journal's
        self._early = EarlyBundles()
        self._entropy: UserEntropy | None = None
        self._candidates: Candidates | None = None
        self._keygen: KeyGeneration | None = None
        self._finished: KeyGeneration | None = None  # one that succeeded, and still helps others to finish
        self._running: BeaconNode | None = None
        self._epoch: Epoch | None = None
        self._open_request: RequestId | None = None
        self._failure: str | None = None

    # ------------------------------------------------------------ views

    @property
    def identity(self) -> Identity:
        """Our own identity."""
        return self._identity

    @property
    def beacon_id(self) -> str:
        """The canonical id."""
        return self._beacon_id

    @property
    def state(self) -> State:
        """Where we stand."""
        return self._state

    @property
    def epoch(self) -> Epoch | None:
        """The current group with our place in it; None before a key generation succeeded."""
        return self._epoch

    @property
    def head(self) -> Beacon | None:
        """The last beacon of the chain; None before there is one."""
        return None if self._running is None else self._running.head

    @property
    def running(self) -> BeaconNode | None:
        """The machine that makes rounds, for its own views."""
        return self._running

    @property
    def ceremony(self) -> CeremonyView:
        """The ceremony as status pages and progress displays may show it."""
        if self._setup is not None:
            return view_of_setup(self._state, self._setup)
        if self._keygen is not None and self._candidates is not None:
            return view_of_keygen(self._state, self._candidates.group, self._keygen)
        if self._epoch is not None:
            return view_of_group(self._state, self._epoch.group)
        return CeremonyView(state=self._state, failure=self._failure)

    # ------------------------------------------------------------ events

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event at unix time `now`; answer with effects, to be carried out in order.

        raises    CollectiveError where the protocol does not allow the event now, or a message breaks it
        """
        match event:
            case Due(alarm=alarm):
                return self._on_due(alarm, now)
            case Received():
                return self._on_message(event, now)
            case VaultReplied(reply=reply):
                return self._on_vault_reply(reply, now)
            case Commanded(command=command):
                return self._on_command(command, now)
            case Answered() | CallFailed():
                return self._on_call_ended(event, now)
            case BeaconsReceived() | StreamEnded() | BeaconsChecked():
                return [] if self._running is None else self._running.handle(event, now)
            case Restarted(records=records):
                return self._on_restart(records, now)

    def _on_command(self, command: Command, now: float) -> list[Effect]:
        if isinstance(command, AbandonCeremony):
            return self._abandon(command)
        if self._epoch is not None:
            raise AlreadyDone(f"dkg phase already done: beacon {self._beacon_id} has a group")
        if self._state is not State.IDLE:
            raise AlreadyRunning(f"a ceremony is already running for beacon {self._beacon_id} ({self._state.value})")
        setup: SetupLeader | SetupFollower
        match command:
            case LeadCeremony():
                setup = SetupLeader(command, self._identity, self._beacon_id, self._ids, self._held)
            case JoinCeremony():
                setup = SetupFollower(command, self._identity, self._beacon_id, self._ids, self._held)
        self._setup, self._entropy, self._failure = setup, command.entropy, None
        self._early = EarlyBundles()
        self._enter(State.LEADING if isinstance(setup, SetupLeader) else State.JOINING)
        return self._after_setup(setup.start(now), now)

    def _abandon(self, command: AbandonCeremony) -> list[Effect]:
        if self._setup is not None:
            return self._setup.abandon() + self._give_up(f"abandoned: {command.reason}")
        if self._keygen is not None:
            return self._give_up(f"abandoned: {command.reason}")
        raise OutOfTurn(f"no ceremony is running for beacon {self._beacon_id}")

    def _on_message(self, event: Received, now: float) -> list[Effect]:
        match event.message:
            case PartialPacket() as partial:
                if self._running is None:
                    raise OutOfTurn("DKG not finished yet")
                return self._running.on_partial(event.sender, partial, now, event.origin)
            case DkgPacket() as packet:
                return self._on_bundle(event, packet, now)
            case SignalPacket() as signal:
                if not isinstance(self._setup, SetupLeader):
                    raise OutOfTurn(f"no DKG in progress for beaconID {self._beacon_id}")
                return self._after_setup(self._setup.on_signal(signal, now), now)
            case GroupPush() as push:
                return self._on_group(push, now)

    def _on_bundle(self, event: Received, packet: DkgPacket, now: float) -> list[Effect]:
        if self._keygen is not None:
            return self._after_keygen(self._keygen.on_bundle(packet.bundle, now, event.origin), now)
        if self._setup is not None:
            self._early.keep(event.sender, packet.bundle, event.origin)
            return []
        if self._running is not None:
            return []  # late, as about every fourth is: its sender is honest
        raise OutOfTurn(f"no dkg running and yet received a DKGPacket for beacon {self._beacon_id}")

    def _on_group(self, push: GroupPush, now: float) -> list[Effect]:
        if isinstance(self._setup, SetupFollower):
            return self._after_setup(self._setup.on_group(push, now), now)
        known, phase_s = self._candidates, push.dkg_timeout_s or DEFAULT_PHASE_S
        if known is not None and (push.group, phase_s) == (known.group, known.phase_s):
            return []  # pushed again: our first answer got lost
        if self._followed is not None and (other := self._followed.other_version(push, now)):
            self._followed = None  # told once
            return [Report(Noted("error", other))]
        raise OutOfTurn(f"no receiver setup for beaconID {self._beacon_id}: no group is expected now")

    def _on_vault_reply(self, reply: VaultReply, now: float) -> list[Effect]:
        if reply.request_id == self._open_request:
            return self._on_epoch_opened(reply, now)
        if isinstance(self._setup, SetupLeader):
            return self._after_setup(self._setup.on_vault_reply(reply, now), now)
        if self._keygen is not None:
            return self._after_keygen(self._keygen.on_vault_reply(reply, now), now)
        if self._running is not None:
            return self._running.on_vault_reply(reply, now)
        return []  # of a ceremony that is over

    def _on_due(self, alarm: str, now: float) -> list[Effect]:
        if alarm == setup_rules.ALARM:
            return [] if self._setup is None else self._after_setup(self._setup.on_due(now), now)
        if alarm == OPEN_ALARM:
            return [] if self._open_request is None or self._epoch is None else [self._open(self._epoch)]
        if self._keygen is not None:
            return self._after_keygen(self._keygen.on_due(alarm, now), now)
        if alarm == PHASE_ALARM:
            effects = [] if self._finished is None else self._finished.on_due(alarm, now)
            if not any(isinstance(effect, WakeAt) for effect in effects):
                self._finished = None  # it has helped for the last time: let everybody's bundles go
            return effects
        return [] if self._running is None else self._running.on_due(alarm, now)

    def _on_call_ended(self, event: Answered | CallFailed, now: float) -> list[Effect]:
        match self._setup, event:
            case SetupLeader() as leader, Answered():
                effects = leader.on_answered(event.call_id, now)
            case SetupFollower() as follower, Answered():
                effects = follower.on_answered(event.call_id, event.answer, now)
            case SetupLeader() as leader, CallFailed():
                effects = leader.on_call_failed(event.call_id, event.reason, now, busy=event.busy)
            case SetupFollower() as follower, CallFailed():
                effects = follower.on_call_failed(event.call_id, event.reason, now)
            case _:
                return []
        return self._after_setup(effects, now)

    # ------------------------------------------------------------ from setup to key generation

    def _after_setup(self, effects: list[Effect], now: float) -> list[Effect]:
        """What the setup answered, and what its end means."""
        match self._setup and self._setup.outcome:
            case SetupFailed(reason=reason):
                return effects + self._give_up(reason)
            case Candidates() as candidates:
                self._followed = self._setup if isinstance(self._setup, SetupFollower) else None
                self._setup = None
                return effects + self._generate(candidates, now)
            case _:
                return effects

    def _generate(self, candidates: Candidates, now: float) -> list[Effect]:
        started = CeremonyStarted(
            group=candidates.group,
            leader=candidates.leader,
            phase_s=candidates.phase_s,
            started_unix_s=now,
            entropy=self._entropy,
        )
        keygen = self._begin_keygen(candidates)
        # A participant left without a bundle begins alone one phase after this; but until the leader begins, it may
        # wait for another candidate's answer for as long as its patience lasts.
        start = keygen.start(now if candidates.leader else now + PUSH_PATIENCE_S)
        effects: list[Effect] = [Persist(started), Report(GroupProposed(candidates.group)), *start]
        return self._after_keygen(effects + self._replay_early(keygen, now), now)

    def _begin_keygen(self, candidates: Candidates) -> KeyGeneration:
        """Only the state changes here: what the key generation does first is its `start` or `replay`."""
        keygen = KeyGeneration(
            fresh_terms(candidates.group),
            self._identity.key,
            {node.identity.key: node.identity.peer for node in candidates.group.nodes_but(self._identity)},
            phase_s=candidates.phase_s,
            leader=candidates.leader,
            ids=self._ids,
            entropy=self._entropy,
        )
        self._candidates, self._keygen = candidates, keygen
        self._enter(State.GENERATING)
        return keygen

    def _replay_early(self, keygen: KeyGeneration, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._early.dropped:
            text = f"{self._early.dropped} bundles came too early and were dropped"
            effects.append(Report(Noted("warning", text)))
        for sender, bundle, origin, _ in self._early.take_all():
            try:
                effects += keygen.on_bundle(bundle, now, origin, early=True)
            except CollectiveError as error:
                effects.append(Report(Noted("info", f"a bundle that came early from {sender} was refused: {error}")))
        return effects

    # ------------------------------------------------------------ from key generation to rounds

    def _after_keygen(self, effects: list[Effect], now: float) -> list[Effect]:
        """What the key generation answered, and what its end means."""
        assert self._keygen is not None
        match self._keygen.outcome:
            case None:
                return effects
            case KeyGenerated() as made:
                return effects + self._finish(made, now)
            case KeyGenerationFailed(reason=reason, culprits=culprits):
                group = self._candidates.group if self._candidates is not None else None
                return effects + self._give_up(reason + named(culprits, group))
            case HandedOver():
                return effects + self._give_up("this node has no place in the new group")

    def _finish(self, made: KeyGenerated, now: float) -> list[Effect]:
        assert self._candidates is not None
        try:
            epoch = fresh_epoch(self._candidates.group, made.qualified, made.commits, made.index, made.epoch_id)
            running = BeaconNode(epoch, self._identity.peer, None, self._ids)
        except CollectiveError as error:
            return self._give_up(f"the result of the key generation contradicts itself: {error}")
        self._finished = self._keygen
        self._forget_ceremony()
        # Group and share's name are one record: after a crash there is all of an epoch, or the last step is done again.
        started: list[Effect] = [Persist(EpochStarted(epoch))]
        return started + self._run(epoch, running, now, Report(CeremonyFinished(epoch)))

    def _run(self, epoch: Epoch, running: BeaconNode, now: float, *facts: Effect) -> list[Effect]:
        """Make rounds from now on. Genesis may be past already: then the chain begins by catching up."""
        self._epoch, self._running = epoch, running
        self._enter(State.RUNNING)
        return [self._open(epoch), *facts, *running.start(now)]

    def _open(self, epoch: Epoch) -> Effect:
        self._open_request = self._ids.request("open-epoch")
        return AskVault(OpenEpoch(self._open_request, epoch.epoch_id, epoch.group))

    def _on_epoch_opened(self, reply: VaultReply, now: float) -> list[Effect]:
        match reply:
            case VaultRefused(retry=True):
                text = f"the vault does not open our share now: {reply.reason}"
                return [Report(Noted("warning", text)), WakeAt(OPEN_ALARM, now + OPEN_RETRY_S)]
            case VaultRefused():
                self._open_request = None
                text = f"this node follows the chain but cannot sign: the vault refused our share: {reply.reason}"
                return [Report(Noted("error", text))]
            case _:
                self._open_request = None
                return []

    def _give_up(self, reason: str) -> list[Effect]:
        """The ceremony is over without a key; another one may begin."""
        ended: list[Effect] = [] if self._keygen is None else [Persist(CeremonyEnded(reason))]
        self._forget_ceremony()
        self._failure = reason
        self._enter(State.IDLE)
        return [*ended, Report(CeremonyFailed(reason))]

    def _forget_ceremony(self) -> None:
        self._setup = self._keygen = self._candidates = self._entropy = self._followed = None
        self._early = EarlyBundles()

    def _enter(self, state: State) -> None:
        assert state in TRANSITIONS[self._state], f"{self._state} -> {state}"
        self._state = state

    # ------------------------------------------------------------ restart

    def _on_restart(self, records: tuple[Record, ...], now: float) -> list[Effect]:
        """Go on where the records end: with rounds, or with the key generation they are the journal of.

        raises    InvalidGroup where the records are of another key or beacon than ours, and what BeaconNode raises
        """
        if self._state is not State.IDLE:
            raise OutOfTurn("a process restarts once, before anything else")
        kept = sort_records(records)
        if kept.epoch is not None:
            check_belongs(kept.epoch.group, self._identity, self._beacon_id, kept.epoch.index)
            return self._run(kept.epoch, BeaconNode(kept.epoch, self._identity.peer, kept.head, self._ids), now)
        if kept.started is None:
            return []
        check_belongs(kept.started.group, self._identity, self._beacon_id)
        self._entropy = kept.started.entropy
        self._held.add(kept.started.group.genesis_unix_s)
        candidates = Candidates(group=kept.started.group, phase_s=kept.started.phase_s, leader=kept.started.leader)
        return self._after_keygen(self._begin_keygen(candidates).replay(kept.journal, now), now)
