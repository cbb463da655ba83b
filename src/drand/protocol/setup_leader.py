"""The leader's side of a fresh ceremony's setup: collect the candidates, form the group, push it to everybody.

    COLLECTING  every participant signals its identity, with the shared secret
    SIGNING     the group is complete; the vault signs its hash
    PUSHING     the group goes to every other candidate, in parallel; their answers are counted

Source: drand v1.5.11, core/group_setup.go (setupManager) and drand_beacon_control.go (leaderRunSetup, pushDKGInfo).
Unlike there, a second signal of one address with another key (or the other way round) is refused aloud, and once a
threshold has the group the others are waited for half a phase, not a minute: whoever gets it later still joins in.
A candidate that has no room for the call (a node of ours under a flood turns calls away) is asked again.
"""

from enum import Enum

from collective.errors import BadSetting, OutOfTurn
from collective.machine import WakeAt
from drand.model.group import MAX_GROUP_SIZE, NANOSECONDS, Group, Identity, Peer, indexed, minimum_threshold
from drand.model.packets import GroupPush, Question, SignalPacket
from drand.model.vault_messages import GroupSigned, RequestId, SignGroup, VaultRefused, VaultReply
from drand.protocol.setup_rules import (
    ALARM,
    DEFAULT_OFFSET_S,
    SETUP_PATIENCE_S,
    Candidates,
    SetupFailed,
    SetupOutcome,
    SharedSecret,
    check_identity,
    check_phase_length,
    fresh_genesis_unix_s,
)
from drand.protocol.steps import (
    Abandon,
    AskVault,
    Call,
    CandidateJoined,
    Effect,
    Ids,
    LeadCeremony,
    Noted,
    Report,
)

PUSH_PATIENCE_S = 60.0  # without any new answer (v1.5.11, pushDKGInfo: one minute)
PUSH_AGAIN_S = 1.0  # to a candidate that was too busy to look at the group
VAULT_RETRY_S = 5.0
U32_MAX = 2**32 - 1  # the wire's bound for periods


class DuplicateCandidate(OutOfTurn):
    """Somebody signals an address or a key that another candidate has."""

    hint = "every node needs its own address and its own key; to replace a key, start the ceremony anew"


class LeaderStage(Enum):
    """Where the setup stands."""

    COLLECTING = "collecting"
    SIGNING = "signing"
    PUSHING = "pushing"
    OVER = "over"


def check_lead_command(command: LeadCeremony) -> None:
    """Raise BadSetting unless the numbers of `command` can make a group."""
    size, threshold, least = command.nodes, command.threshold, minimum_threshold(command.nodes)
    if not 1 <= size <= MAX_GROUP_SIZE:
        raise BadSetting(f"a group has 1 to {MAX_GROUP_SIZE} nodes, not {size}", hint="see --nodes")
    if threshold < least:
        raise BadSetting(
            f"invalid threshold: {size} nodes need a threshold of at least {least}, not {threshold}",
            hint=f"choose --threshold between {least} and {size}: below it two halves could both make beacons",
        )
    if threshold > size:
        raise BadSetting(
            f"invalid threshold: {size} nodes cannot have a threshold of {threshold}",
            hint=f"choose --threshold between {least} and {size}",
        )
    if not 1 <= command.period_s <= U32_MAX:
        raise BadSetting(f"a period of {command.period_s} s; it must be at least 1 s", hint="see --period")
    if not 0 <= command.catchup_period_s <= U32_MAX:
        raise BadSetting(f"a catch-up period of {command.catchup_period_s} s", hint="see --catchup-period")
    if not 0 <= command.beacon_offset_s <= U32_MAX:
        raise BadSetting(f"a beacon delay of {command.beacon_offset_s} s", hint="see --beacon-delay")


class SetupLeader:
    """Collects `nodes` candidates (ourselves first), then pushes their group. `outcome` says how it ended.

    Every method answers with effects or raises without having changed anything.
    """

    def __init__(
        self, command: LeadCeremony, identity: Identity, beacon_id: str, ids: Ids, held: set[int] | None = None
    ) -> None:
        """Raises BadSetting for numbers that cannot work, InvalidSignature when our own identity is not signed.

        held   genesis times of ceremonies that this node has been in; that of this one is added
        """
        check_lead_command(command)
        self._phase_s = check_phase_length(command.dkg_timeout_s)
        self._secret = SharedSecret(command.secret)
        check_identity(identity, identity.scheme)
        self._command = command
        self._own = identity
        self._beacon_id = beacon_id
        self._ids = ids
        self._held = set() if held is None else held
        self._candidates = [identity]
        self._deadline = 0.0
        self._group: Group | None = None
        self._sign_request: RequestId | None = None
        self._waiting: dict[int, Call] = {}  # by call id
        self._busy: list[Call] = []  # to be made again
        self._refusals: dict[str, str] = {}  # address -> why it did not accept
        self._accepted = 1  # we accept our own group
        self.stage = LeaderStage.COLLECTING
        self.outcome: SetupOutcome | None = None

    @property
    def joined(self) -> tuple[str, ...]:
        """The addresses of the candidates, ourselves first, then in the order they came."""
        return tuple(candidate.address for candidate in self._candidates)

    @property
    def wanted(self) -> int:
        """How many candidates make the group complete."""
        return self._command.nodes

    def start(self, now: float) -> list[Effect]:
        """Begin to wait for signals, two weeks at most."""
        self._deadline = now + SETUP_PATIENCE_S
        effects: list[Effect] = [self._joined_fact(self._own), WakeAt(ALARM, self._deadline)]
        return effects + (self._complete(now) if self.wanted == 1 else [])

    def on_signal(self, packet: SignalPacket, now: float) -> list[Effect]:
        """A participant wants to be in the group. The same signal again is accepted and changes nothing.

        raises    WrongSecret, DuplicateCandidate, OutOfTurn (the group is complete, or a resharing was meant),
                  InvalidGroup or InvalidSignature for an identity of another scheme or without its own signature
        """
        self._secret.check(packet.secret, "shared secret is incorrect")
        if packet.previous_group_hash:
            raise OutOfTurn("inconsistent previous group hash: this ceremony is fresh, the signal is for a resharing")
        if self._is_known(packet.identity):
            return []
        if self.stage is not LeaderStage.COLLECTING:
            raise OutOfTurn(f"no DKG in progress for beaconID {self._beacon_id}: the group is complete already")
        check_identity(packet.identity, self._own.scheme)
        self._candidates.append(packet.identity)
        effects: list[Effect] = [self._joined_fact(packet.identity)]
        return effects + (self._complete(now) if len(self._candidates) == self.wanted else [])

    def on_vault_reply(self, reply: VaultReply, now: float) -> list[Effect]:
        """The vault signed the group's hash, or would not."""
        if self.stage is not LeaderStage.SIGNING or reply.request_id != self._sign_request:
            return []
        match reply:
            case GroupSigned():
                return self._push(reply.signature, now)
            case VaultRefused(retry=True):
                text = f"the vault does not sign the group now: {reply.reason}"
                return [Report(Noted("warning", text)), WakeAt(ALARM, now + VAULT_RETRY_S)]
            case VaultRefused():
                return self._fail(f"the vault refused to sign the group: {reply.reason}")
            case _:
                return []

    def on_answered(self, call_id: int, now: float) -> list[Effect]:
        """A candidate accepted the group."""
        call = self._waiting.pop(call_id, None)
        if call is None:
            return []
        self._refusals.pop(call.peer.address, None)
        self._accepted += 1
        return self._after_answer(now)

    def on_call_failed(self, call_id: int, reason: str, now: float, *, busy: bool = False) -> list[Effect]:
        """A candidate refused the group, or did not answer, or was too busy to look at it."""
        call = self._waiting.pop(call_id, None)
        if call is None:
            return []
        self._refusals[call.peer.address] = reason
        if not busy:
            return self._after_answer(now)
        self._busy.append(call)
        return [WakeAt(ALARM, min(now + PUSH_AGAIN_S, self._deadline))]

    def on_due(self, now: float) -> list[Effect]:
        """The alarm rang: too few candidates, a vault to be asked again, or candidates that do not answer the push."""
        match self.stage:
            case LeaderStage.SIGNING:
                return self._ask_vault_again(now)
            case LeaderStage.OVER:
                return []
            case _ if now < self._deadline:
                return [*self._push_again(), WakeAt(ALARM, self._deadline)]
            case LeaderStage.COLLECTING:
                return self._fail(f"only {len(self._candidates)} of {self.wanted} nodes joined within two weeks")
            case LeaderStage.PUSHING:
                return self._stop_waiting()

    def abandon(self) -> list[Effect]:
        """Close what is open; the setup is over."""
        self.stage = LeaderStage.OVER
        closed: list[Effect] = [Abandon(call_id) for call_id in self._waiting]
        self._waiting, self._busy = {}, []
        return closed

    def _joined_fact(self, identity: Identity) -> Effect:
        return Report(CandidateJoined(identity.address, len(self._candidates), self.wanted))

    def _is_known(self, identity: Identity) -> bool:
        """True for a candidate we have; raises DuplicateCandidate for one that shares only its address or its key."""
        for candidate in self._candidates:
            if candidate.key == identity.key and candidate.peer == identity.peer:
                return True
            if candidate.address == identity.address and candidate.key == identity.key:
                raise DuplicateCandidate(f"invalid candidate: {identity.address} joined with another TLS setting")
            if candidate.address == identity.address:
                raise DuplicateCandidate(f"invalid candidate: {identity.address} joined already with another key")
            if candidate.key == identity.key:
                raise DuplicateCandidate(
                    f"invalid candidate: {identity.address} has the key with which {candidate.address} joined"
                )
        return False

    def _complete(self, now: float) -> list[Effect]:
        command = self._command
        genesis_unix_s = fresh_genesis_unix_s(
            now,
            phase_s=self._phase_s,
            offset_s=command.beacon_offset_s or DEFAULT_OFFSET_S,
            period_s=command.period_s,
        )
        while genesis_unix_s in self._held:  # it names the session: bundles of another one would count in this
            genesis_unix_s += command.period_s
        self._held.add(genesis_unix_s)
        self._group = Group(
            nodes=indexed(self._candidates),
            threshold=command.threshold,
            period_ns=command.period_s * NANOSECONDS,
            catchup_period_ns=command.catchup_period_s * NANOSECONDS,
            genesis_unix_s=genesis_unix_s,
            genesis_seed=b"",
            scheme=self._own.scheme,
            beacon_id=self._beacon_id,
        ).with_seed()
        self.stage = LeaderStage.SIGNING
        return [self._sign(self._group)]

    def _sign(self, group: Group) -> Effect:
        self._sign_request = self._ids.request("sign-group")
        return AskVault(SignGroup(self._sign_request, group))

    def _ask_vault_again(self, now: float) -> list[Effect]:
        assert self._group is not None
        if now + 3 * self._phase_s >= self._group.genesis_unix_s:
            return self._fail("the vault did not sign the group before its genesis came too near")
        return [self._sign(self._group)]

    def _push(self, signature: bytes, now: float) -> list[Effect]:
        assert self._group is not None
        push = GroupPush(self._group, self._secret.expose(), self._phase_s, signature)
        self.stage = LeaderStage.PUSHING
        peers = self._group.peers_but(self._own)
        return [*(self._call(peer, push) for peer in peers), *self._after_answer(now)]

    def _call(self, peer: Peer, push: Question) -> Call:
        call = Call(self._ids.call(), peer, push)
        self._waiting[call.call_id] = call
        return call

    def _push_again(self) -> list[Effect]:
        busy, self._busy = self._busy, []
        return [self._call(call.peer, call.question) for call in busy]

    def _after_answer(self, now: float) -> list[Effect]:
        if not self._waiting and not self._busy:
            return self._conclude()
        self._deadline = now + self._patience_s
        return [WakeAt(ALARM, min(now + PUSH_AGAIN_S, self._deadline) if self._busy else self._deadline)]

    @property
    def _enough(self) -> bool:
        return self._accepted >= self._command.threshold

    @property
    def _patience_s(self) -> float:
        """How long to wait for the next answer. A long wait at this point is taken from the time before genesis."""
        return min(PUSH_PATIENCE_S, self._phase_s / 2) if self._enough else PUSH_PATIENCE_S

    def _stop_waiting(self) -> list[Effect]:
        for call in self._waiting.values():
            self._refusals.setdefault(call.peer.address, f"no answer for {self._patience_s:g} s")
        # With a threshold the calls stay open: a slow candidate may yet take the group, and deal in time.
        stopped: list[Effect] = [] if self._enough else [Abandon(call_id) for call_id in self._waiting]
        self._waiting, self._busy = {}, []
        return stopped + self._conclude()

    def _conclude(self) -> list[Effect]:
        """Everybody answered or was given up: enough of them have the group, or the ceremony is over."""
        assert self._group is not None
        if not self._enough:
            blame = "; ".join(f"{address}: {why}" for address, why in sorted(self._refusals.items()))
            return self._fail(
                f"push group failure: {self._accepted} of {self.wanted} nodes have the group,"
                f" {self._command.threshold} are needed ({blame})"
            )
        self.stage = LeaderStage.OVER
        self.outcome = Candidates(group=self._group, phase_s=self._phase_s, leader=True)
        return [
            Report(Noted("warning", f"{address} has not accepted the group: {why}"))
            for address, why in sorted(self._refusals.items())
        ]

    def _fail(self, reason: str) -> list[Effect]:
        self.stage = LeaderStage.OVER
        self.outcome = SetupFailed(reason)
        return []
