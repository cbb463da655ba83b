"""A participant's side of a ceremony's setup."""

from dataclasses import replace

import pytest

from collective.errors import BadSetting, InvalidSignature, OutOfTurn
from collective.machine import WakeAt
from drand.errors import InvalidGroup
from drand.model.group import NANOSECONDS, Group, Node, Peer, indexed
from drand.model.packets import AskIdentity, GroupPush, SignalPacket
from drand.protocol.ceremony_view import State, view_of_setup
from drand.protocol.setup_follower import RETRY_PATIENCE_S, FollowerStage, SetupFollower
from drand.protocol.setup_rules import ALARM, Candidates, SetupFailed, SharedSecret, WrongSecret
from drand.protocol.steps import Abandon, Call, Ids, JoinCeremony, Noted, Report
from tests.support.committee import TOY_UNCHAINED
from tests.support.people import people, person

NOW = 1_000_000.5
SECRET = b"a secret of at least 32 characters"
LEADER, ANN, BOB = people(3)
STRANGER = person("stranger")


def joining(leader: str = "node0:4000") -> SetupFollower:
    return SetupFollower(JoinCeremony(leader=Peer(leader, tls=False), secret=SECRET), ANN.identity, "default", Ids())


def call_of(effects) -> Call:
    (call,) = [effect for effect in effects if isinstance(effect, Call)]
    return call


def signalling() -> tuple[SetupFollower, Call]:
    follower = joining()
    question = call_of(follower.start(NOW))
    return follower, call_of(follower.on_answered(question.call_id, LEADER.identity, NOW))


def waiting() -> SetupFollower:
    follower, signal = signalling()
    follower.on_answered(signal.call_id, None, NOW)
    return follower


def group_of(*members, **changes: object) -> Group:
    usual = Group(
        nodes=indexed(member.identity for member in members),
        threshold=2,
        period_ns=30 * NANOSECONDS,
        catchup_period_ns=0,
        genesis_unix_s=int(NOW) + 60,
        genesis_seed=b"",
        scheme=ANN.identity.scheme,
    )
    changed = replace(usual, **changes)
    return changed if changed.genesis_seed else changed.with_seed()


def push_of(group: Group, signer=LEADER, secret: bytes = SECRET, dkg_timeout_s: int = 10) -> GroupPush:
    return GroupPush(group, secret, dkg_timeout_s, signer.schnorr(group.hash()))


GROUP = group_of(LEADER, ANN, BOB)


def test_the_leader_is_asked_who_it_is_and_then_told_who_we_are():
    follower = joining()
    effects = follower.start(NOW)
    question = call_of(effects)
    assert (question.peer.address, question.question) == ("node0:4000", AskIdentity())
    assert effects[-1] == WakeAt(ALARM, NOW + 90)
    signal = call_of(follower.on_answered(question.call_id, LEADER.identity, NOW))
    assert signal.question == SignalPacket(ANN.identity, SECRET)
    assert follower.joined == ("node0:4000",)
    effects = follower.on_answered(signal.call_id, None, NOW)
    assert effects[-1] == WakeAt(ALARM, NOW + 60)
    assert follower.stage is FollowerStage.WAITING
    assert follower.joined == ("node0:4000", "node1:4000")


def test_nobody_joins_itself_or_without_a_secret_or_unsigned():
    with pytest.raises(BadSetting, match="node1:4000 is our own address"):
        joining("node1:4000")
    command = JoinCeremony(leader=Peer("node0:4000", tls=False), secret=b"")
    with pytest.raises(BadSetting, match="no secret"):
        SetupFollower(command, ANN.identity, "default", Ids())
    command = JoinCeremony(leader=Peer("node0:4000", tls=False), secret=SECRET)
    with pytest.raises(InvalidSignature, match="not self-signed"):
        SetupFollower(command, person("x", signed=False).identity, "default", Ids())


def test_a_secret_is_never_printed():
    assert repr(SharedSecret(SECRET)) == "SharedSecret(<redacted>)"


@pytest.mark.parametrize(
    ("identity", "complaint"),
    [
        (person("node0", scheme=TOY_UNCHAINED).identity, "this beacon's scheme is toy-chained"),
        (person("node0", signed=False).identity, "not self-signed"),
        (replace(LEADER.identity, signature=BOB.identity.signature), "invalid sig"),
    ],
)
def test_a_leader_that_cannot_prove_its_key_is_not_given_the_secret(identity, complaint):
    follower = joining()
    question = call_of(follower.start(NOW))
    assert follower.on_answered(question.call_id, identity, NOW) == []
    assert isinstance(follower.outcome, SetupFailed)
    assert complaint in follower.outcome.reason


def test_a_leader_behind_another_name_is_noted():
    follower = joining("proxy:443")
    question = call_of(follower.start(NOW))
    effects = follower.on_answered(question.call_id, LEADER.identity, NOW)
    assert effects[0] == Report(Noted("warning", "the leader dialled at proxy:443 calls itself node0:4000"))
    assert isinstance(call_of(effects).question, SignalPacket)


def test_a_leader_that_is_not_up_yet_is_asked_again_with_growing_pauses_for_ten_minutes():
    follower = joining()
    effects, now, pauses = follower.start(NOW), NOW, []
    while follower.outcome is None:
        effects = follower.on_call_failed(call_of(effects).call_id, "connection refused", now)
        if follower.outcome is None:
            wake = effects[-1]
            pauses.append(wake.unix_s - now)
            now = wake.unix_s
            effects = follower.on_due(now)
    assert pauses[:6] == [1, 2, 4, 8, 15, 15]
    assert NOW + 600 <= now < NOW + 620
    assert follower.outcome == SetupFailed("no leader at node0:4000 for 10 minutes: connection refused")


def test_a_leader_that_does_not_lead_yet_is_signalled_again():
    follower, signal = signalling()
    effects = follower.on_call_failed(signal.call_id, "no DKG in progress for beaconID default", NOW)
    assert effects == [
        Report(
            Noted(
                "info",
                "the leader node0:4000 does not lead yet (no DKG in progress for beaconID default); next try in 1 s",
            )
        ),
        WakeAt(ALARM, NOW + 1),
    ]
    assert call_of(follower.on_due(NOW + 1)).question == signal.question


@pytest.mark.parametrize(
    "reason", ["shared secret is incorrect", "invalid sig: bad", "invalid id: no port", "Incompatible node version."]
)
def test_a_refusal_that_time_does_not_heal_is_final(reason):
    follower, signal = signalling()
    assert follower.on_call_failed(signal.call_id, reason, NOW) == []
    assert follower.outcome == SetupFailed(f"the leader node0:4000 refused us: {reason}")


def test_a_leader_of_another_scheme_is_not_waited_for():
    follower = joining()
    question = call_of(follower.start(NOW))
    assert follower.on_call_failed(question.call_id, "node0:4000 uses scheme a, we use b", NOW) == []
    assert follower.outcome == SetupFailed("we cannot join this leader: node0:4000 uses scheme a, we use b")


def test_a_leader_that_has_not_answered_has_not_joined():
    follower = joining()
    question = call_of(follower.start(NOW))
    assert follower.joined == ()
    follower.on_call_failed(question.call_id, "connection refused", NOW)
    assert follower.joined == ()


def test_a_call_that_the_shell_lost_is_made_again():
    follower, signal = signalling()
    effects = follower.on_due(NOW + 90)
    assert effects[0] == Abandon(signal.call_id)
    assert follower.on_answered(signal.call_id, None, NOW + 91) == []
    assert follower.on_call_failed(signal.call_id, "late", NOW + 91) == []
    assert call_of(follower.on_due(effects[-1].unix_s)).call_id != signal.call_id


def test_a_leader_without_an_answer_is_asked_again():
    follower = joining()
    question = call_of(follower.start(NOW))
    effects = follower.on_answered(question.call_id, None, NOW)
    assert effects[-1] == WakeAt(ALARM, NOW + 1)


def test_the_signal_is_repeated_while_waiting_so_that_a_restarted_leader_finds_us_again():
    follower = waiting()
    again = call_of(follower.on_due(NOW + 60))
    assert isinstance(again.question, SignalPacket)
    assert follower.on_call_failed(again.call_id, "connection refused", NOW + 61)[-1] == WakeAt(ALARM, NOW + 121)
    again = call_of(follower.on_due(NOW + 121))
    assert follower.on_answered(again.call_id, None, NOW + 122)[-1] == WakeAt(ALARM, NOW + 182)
    again = call_of(follower.on_due(NOW + 182))
    assert follower.on_answered(again.call_id, None, NOW + 183) == [WakeAt(ALARM, NOW + 243)]
    assert follower.outcome is None


def test_the_last_reason_why_the_leader_does_not_answer_is_there_to_be_shown_until_it_does():
    follower = joining()
    question = call_of(follower.start(NOW))
    assert follower.trouble == ""
    follower.on_call_failed(question.call_id, "connection refused", NOW)
    assert follower.trouble == "connection refused"
    question = call_of(follower.on_due(NOW + 1))
    signal = call_of(follower.on_answered(question.call_id, LEADER.identity, NOW + 1))
    follower.on_call_failed(signal.call_id, "no DKG in progress", NOW + 1)
    assert view_of_setup(State.JOINING, follower).trouble == "no DKG in progress"
    follower.on_answered(call_of(follower.on_due(NOW + 3)).call_id, None, NOW + 3)
    assert view_of_setup(State.JOINING, follower).trouble == ""


def test_a_leader_lost_while_waiting_is_told_of_once_and_again_when_it_is_back():
    follower, told, now = waiting(), [], NOW
    for reason in ("connection refused", "connection refused", "no answer", None, None):
        now += 60
        call = call_of(follower.on_due(now))
        if reason is None:
            effects = follower.on_answered(call.call_id, None, now)
        else:
            effects = follower.on_call_failed(call.call_id, reason, now)
        told.append([effect.fact.text for effect in effects if isinstance(effect, Report)])
    assert told == [
        ["the leader node0:4000, which expects us, does not answer now (connection refused)"],
        [],
        ["the leader node0:4000, which expects us, does not answer now (no answer)"],
        ["the leader node0:4000 answers again"],
        [],
    ]


def test_a_participant_that_is_expected_waits_longer_than_one_that_finds_no_leader():
    follower = waiting()
    assert any(isinstance(effect, Call) for effect in follower.on_due(NOW + 2 * RETRY_PATIENCE_S))
    assert follower.outcome is None


def test_waiting_ends_after_two_weeks():
    follower = waiting()
    assert follower.on_due(NOW + 14 * 86_400) == []
    assert follower.outcome == SetupFailed("the leader pushed no group within two weeks")
    assert follower.on_due(NOW + 14 * 86_400 + 1) == []


def test_the_leaders_group_ends_the_setup_once():
    follower = waiting()
    assert follower.on_group(push_of(GROUP), NOW + 5) == []
    assert follower.outcome == Candidates(group=GROUP, phase_s=10, leader=False)
    with pytest.raises(OutOfTurn, match="no receiver setup"):
        follower.on_group(push_of(GROUP), NOW + 5)


def test_an_alarm_after_the_end_asks_nobody_any_more():
    follower = waiting()
    follower.on_group(push_of(GROUP), NOW + 5)
    assert follower.on_due(NOW + 60) == []


def test_the_group_may_overtake_the_answer_to_our_signal():
    follower, signal = signalling()
    assert follower.on_group(push_of(GROUP, dkg_timeout_s=0), NOW) == [Abandon(signal.call_id)]
    assert isinstance(follower.outcome, Candidates)
    assert follower.outcome.phase_s == 10


def test_no_group_is_taken_before_the_leader_is_known():
    follower = joining()
    follower.start(NOW)
    with pytest.raises(OutOfTurn, match="no receiver setup for beaconID default"):
        follower.on_group(push_of(GROUP), NOW)


def test_a_push_without_the_secret_or_the_leaders_signature_is_refused_and_we_go_on_waiting():
    follower = waiting()
    with pytest.raises(WrongSecret, match="invalid secret"):
        follower.on_group(push_of(GROUP, secret=b"guess"), NOW)
    with pytest.raises(InvalidSignature, match="invalid group sig"):
        follower.on_group(push_of(GROUP, signer=BOB), NOW)
    with pytest.raises(InvalidSignature, match="invalid group sig"):
        follower.on_group(replace(push_of(GROUP), signature=b"short"), NOW)
    assert follower.outcome is None
    assert follower.on_group(push_of(GROUP), NOW) == []


SWAPPED = tuple(Node(node.identity, 2 - node.index) for node in reversed(GROUP.nodes))
UNSIGNED_BOB = replace(BOB.identity, signature=b"")
OTHER_SCHEME_BOB = replace(BOB.identity, scheme=TOY_UNCHAINED)


@pytest.mark.parametrize(
    ("group", "complaint"),
    [
        (group_of(LEADER, ANN, BOB, scheme=TOY_UNCHAINED), "mismatch in scheme name"),
        (group_of(LEADER, ANN, BOB, beacon_id="other"), "the group is of beacon 'other', ours is 'default'"),
        (group_of(LEADER, ANN, BOB, threshold=1), "threshold 1 is below the minimum 2"),
        (group_of(LEADER, ANN, BOB, threshold=4), "threshold 4 is greater than the number of nodes"),
        (group_of(LEADER, ANN, BOB, period_ns=0), "at least one second"),
        (group_of(LEADER, ANN, BOB, transition_unix_s=5), "transition time already"),
        (group_of(LEADER, ANN, BOB, public_key=(ANN.identity.key, BOB.identity.key)), "has a key"),
        (group_of(LEADER, ANN, BOB, nodes=SWAPPED), "not numbered in the order of their keys"),
        (group_of(LEADER, ANN, BOB, genesis_unix_s=int(NOW)), "genesis time in the past"),
        (group_of(LEADER, ANN, BOB, genesis_seed=b"s" * 32), "seed is not the hash of the group"),
        (group_of(LEADER, STRANGER, BOB), r"our key and address \(node1:4000\) are not in the group"),
        (group_of(STRANGER, ANN, BOB), "the leader is not in its own group"),
        (group_of(LEADER, ANN, person("x", address="node1:4000")), "share one address"),
        (group_of(nodes=indexed([LEADER.identity, ANN.identity, UNSIGNED_BOB])), "node2:4000.*not self-signed"),
        (group_of(nodes=indexed([LEADER.identity, ANN.identity, OTHER_SCHEME_BOB])), "key of another scheme"),
    ],
)
def test_a_signed_group_that_we_should_not_be_part_of_is_refused(group, complaint):
    follower = waiting()
    with pytest.raises(InvalidGroup, match=f"group from leader invalid: .*{complaint}"):
        follower.on_group(push_of(group), NOW)
    assert follower.outcome is None


def test_a_phase_of_more_than_a_day_is_refused():
    with pytest.raises(InvalidGroup, match="a phase of 90000 s"):
        waiting().on_group(push_of(GROUP, dkg_timeout_s=90_000), NOW)


def test_an_abandoned_setup_takes_no_group():
    follower, signal = signalling()
    assert follower.abandon() == [Abandon(signal.call_id)]
    with pytest.raises(OutOfTurn):
        follower.on_group(push_of(GROUP), NOW)
