"""A participant's side of a fresh ceremony's setup: find the leader, signal to it, wait for the group it pushes.

    ASKING      the leader's identity: its key must have signed the group that comes later
    SIGNALLING  our identity, with the shared secret, on its way to the leader
    WAITING     signalled; the leader is collecting the others

A leader that is not up or not leading yet is asked again, with growing pauses, for ten minutes (v1.5.11 gives up at the
first error). While waiting, the signal is repeated now and then: a leader that was restarted finds us again, any other
accepts it and changes nothing. Source: drand v1.5.11, core/group_setup.go (setupReceiver), drand_beacon_control.go.
"""

from enum import Enum

from collective.errors import BadSetting, CollectiveError, InvalidSignature, Malformed, OutOfTurn
from collective.machine import WakeAt
from collective.signatures import schnorr
from drand.errors import InvalidGroup
from drand.model.group import Identity
from drand.model.packets import Answer, AskIdentity, GroupPush, SignalPacket
from drand.protocol.setup_rules import (
    ALARM,
    SETUP_PATIENCE_S,
    Candidates,
    SetupFailed,
    SetupOutcome,
    SharedSecret,
    check_fresh_candidates,
    check_identity,
    check_phase_length,
    differences,
)
from drand.protocol.steps import Abandon, Call, Effect, Ids, JoinCeremony, Noted, Report

RETRY_PATIENCE_S = 600.0  # how long the leader may take to be up and leading
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
CALL_PATIENCE_S = 90.0  # a shell that has not answered a call by then has lost it
REPEAT_S = 60.0  # between two signals while waiting

# What a leader says when trying again will not help (v1.5.11's texts and our own leader's).
FINAL_REFUSALS = (
    "shared secret",
    "invalid id",
    "invalid sig",
    "invalid candidate",
    "inconsistent previous group hash",
    "incompatible node version",
)
MISFIT = "uses scheme"  # and not ours: neither key will change while we wait


class FollowerStage(Enum):
    """Where the setup stands."""

    ASKING = "asking"
    SIGNALLING = "signalling"
    WAITING = "waiting"
    OVER = "over"


class SetupFollower:
    """Signals to the leader and accepts the group it pushes, once. `outcome` says how it ended.

    Every method answers with effects or raises without having changed anything.
    """

    def __init__(
        self, command: JoinCeremony, identity: Identity, beacon_id: str, ids: Ids, held: set[int] | None = None
    ) -> None:
        """Raises BadSetting for an empty secret or for ourselves as leader, InvalidSignature for our own identity.

        held   genesis times of ceremonies that this node has been in; that of the accepted group is added
        """
        self._secret = SharedSecret(command.secret)
        if command.leader.address == identity.address:
            raise BadSetting(
                f"{identity.address} is our own address", hint="name the leader's address, or lead with --leader"
            )
        check_identity(identity, identity.scheme)
        self._leader = command.leader
        self._own = identity
        self._beacon_id = beacon_id
        self._ids = ids
        self._held = set() if held is None else held
        self._leader_identity: Identity | None = None
        self._call_id: int | None = None
        self._signalled = False  # a leader has accepted our signal at least once
        self._give_up_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self.stage = FollowerStage.ASKING
        self.trouble = ""  # why the last call to the leader failed, "" when it did not
        self.outcome: SetupOutcome | None = None

    @property
    def joined(self) -> tuple[str, ...]:
        """The addresses this node knows to take part: the leader's once it answered, our own once it accepted us."""
        if self._leader_identity is None:
            return ()
        return (self._leader.address, self._own.address) if self._signalled else (self._leader.address,)

    def start(self, now: float) -> list[Effect]:
        """Ask the leader who it is."""
        self._give_up_at = now + RETRY_PATIENCE_S
        return self._try(now)

    def on_answered(self, call_id: int, answer: Answer, now: float) -> list[Effect]:
        """The leader said who it is, or accepted our signal."""
        if call_id != self._call_id:
            return []
        self._call_id = None
        if self.stage is FollowerStage.ASKING:
            return self._meet(answer, now)
        return self._signal_accepted(now)

    def on_call_failed(self, call_id: int, reason: str, now: float) -> list[Effect]:
        """The leader refused, or is not there (yet)."""
        if call_id != self._call_id:
            return []
        self._call_id = None
        return self._after_failure(reason, now)

    def on_due(self, now: float) -> list[Effect]:
        """The alarm rang: a call got lost, a pause is over, the signal is to be repeated, or patience is at its end."""
        if self.stage is FollowerStage.OVER:
            return []
        if self._call_id is not None:
            lost: list[Effect] = [Abandon(self._call_id)]
            self._call_id = None
            return lost + self._after_failure(f"no answer for {CALL_PATIENCE_S:.0f} s", now)
        if self._signalled and now >= self._give_up_at:
            return self._fail("the leader pushed no group within two weeks")
        return self._try(now)

    def on_group(self, push: GroupPush, now: float) -> list[Effect]:
        """The leader pushes the group of candidates; with it the setup is over and the key generation begins.

        raises    OutOfTurn      we are not waiting for a group
                  WrongSecret    the push does not carry the secret
                  InvalidSignature    it is not signed by the leader's key
                  InvalidGroup   signed, but nothing we should take part in
        After a refusal we go on waiting: the leader may lead another ceremony.
        """
        if self._leader_identity is None or self.stage is FollowerStage.OVER:
            raise OutOfTurn(f"no receiver setup for beaconID {self._beacon_id}: no group is expected now")
        candidates = self._checked(push, self._leader_identity, now)
        if push.group.genesis_unix_s in self._held:
            raise InvalidGroup(
                "a ceremony with this genesis time was held here before: what was said in it would count in this one",
                hint="the leader may begin again when the period is over",
            )
        self._held.add(push.group.genesis_unix_s)
        closed = self.abandon()
        self.outcome = candidates
        return closed

    def other_version(self, push: GroupPush, now: float) -> str:
        """What to tell the operator where `push` is another than the accepted one, else ""; raises as `on_group` does.

        The leader signs neither the period nor addresses nor the length of a phase, nor for which secret it does: who
        knows the secret and has seen the leader's signature can send a group of its own before the leader's comes.
        """
        assert isinstance(self.outcome, Candidates)
        assert self._leader_identity is not None
        candidates = self._checked(push, self._leader_identity, now)
        if candidates == self.outcome:
            return ""
        return (
            f"the leader's group came a second time, with {differences(self.outcome, candidates)}: the leader has "
            "changed it, or somebody who knows the secret has. Compare `drand show chain-info --hash` of all nodes "
            "before the chain is used; where they differ, begin again with another secret"
        )

    def _checked(self, push: GroupPush, leader: Identity, now: float) -> Candidates:
        self._secret.check(push.secret, "invalid secret")
        self._check_leader_signature(push, leader)
        try:
            check_fresh_candidates(push.group, self._own, self._beacon_id, now)
            if all(node.identity.key != leader.key for node in push.group.nodes):
                raise InvalidGroup("the leader is not in its own group")
            phase_s = check_phase_length(push.dkg_timeout_s)
        except CollectiveError as error:
            raise InvalidGroup(f"group from leader invalid: {error}", hint=error.advice) from error
        return Candidates(group=push.group, phase_s=phase_s, leader=False)

    def abandon(self) -> list[Effect]:
        """Close what is open; the setup is over."""
        self.stage = FollowerStage.OVER
        closed: list[Effect] = [] if self._call_id is None else [Abandon(self._call_id)]
        self._call_id = None
        return closed

    def _check_leader_signature(self, push: GroupPush, leader: Identity) -> None:
        scheme = self._own.scheme
        try:
            schnorr.verify(scheme.key_group, scheme.decode_key(leader.key), push.group.hash(), push.signature)
        except (InvalidSignature, Malformed) as error:
            raise InvalidSignature(f"invalid group sig: {error}") from error

    def _try(self, now: float) -> list[Effect]:
        """Put the question of this stage to the leader."""
        self._call_id = self._ids.call()
        met = self._leader_identity is not None
        question = SignalPacket(self._own, self._secret.expose()) if met else AskIdentity()
        return [Call(self._call_id, self._leader, question), WakeAt(ALARM, now + CALL_PATIENCE_S)]

    def _meet(self, answer: Answer, now: float) -> list[Effect]:
        if answer is None:
            return self._after_failure("the leader did not say who it is", now)
        try:
            check_identity(answer, self._own.scheme)
        except CollectiveError as error:
            return self._fail(f"the leader {self._leader.address} has no identity to rely on: {error}")
        effects: list[Effect] = []
        if answer.address != self._leader.address:
            text = f"the leader dialled at {self._leader.address} calls itself {answer.address}"
            effects.append(Report(Noted("warning", text)))
        self._leader_identity = answer
        self.stage = FollowerStage.SIGNALLING
        return effects + self._try(now)

    def _signal_accepted(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        troubled, self.trouble = self.trouble, ""
        if not self._signalled:
            self._signalled = True
            self._give_up_at = now + SETUP_PATIENCE_S
            text = f"the leader {self._leader.address} expects us; waiting for the others"
            effects.append(Report(Noted("info", text)))
        elif troubled:
            effects.append(Report(Noted("info", f"the leader {self._leader.address} answers again")))
        self.stage = FollowerStage.WAITING
        return [*effects, WakeAt(ALARM, min(now + REPEAT_S, self._give_up_at))]

    def _after_failure(self, reason: str, now: float) -> list[Effect]:
        if any(text in reason.lower() for text in FINAL_REFUSALS):
            return self._fail(f"the leader {self._leader.address} refused us: {reason}")
        if MISFIT in reason:
            return self._fail(f"we cannot join this leader: {reason}")
        repeated, self.trouble = reason == self.trouble, reason
        if self._signalled:
            text = f"the leader {self._leader.address}, which expects us, does not answer now ({reason})"
            noted: list[Effect] = [] if repeated else [Report(Noted("warning", text))]
            return [*noted, WakeAt(ALARM, min(now + REPEAT_S, self._give_up_at))]
        if now >= self._give_up_at:
            return self._fail(f"no leader at {self._leader.address} for {RETRY_PATIENCE_S / 60:.0f} minutes: {reason}")
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        text = f"the leader {self._leader.address} does not lead yet ({reason}); next try in {pause_s:.0f} s"
        return [Report(Noted("info", text)), WakeAt(ALARM, now + pause_s)]

    def _fail(self, reason: str) -> list[Effect]:
        closed = self.abandon()
        self.outcome = SetupFailed(reason)
        return closed
