"""The leader's side of a ceremony's setup."""

from dataclasses import replace

import pytest

from collective.errors import BadSetting, InvalidSignature, OutOfTurn
from collective.machine import WakeAt
from drand.errors import InvalidGroup
from drand.model.group import minimum_threshold
from drand.model.packets import GroupPush, SignalPacket
from drand.model.vault_messages import GroupSigned, IdentityShown, RequestId, SignGroup, VaultRefused
from drand.protocol.setup_leader import DuplicateCandidate, LeaderStage, SetupLeader
from drand.protocol.setup_rules import ALARM, Candidates, SetupFailed, WrongSecret, fresh_genesis_unix_s
from drand.protocol.steps import Abandon, AskVault, Call, CandidateJoined, Ids, LeadCeremony, Noted, Report
from tests.support.committee import TOY_UNCHAINED
from tests.support.people import people, person

NOW = 1_000_000.5
SECRET = b"a secret of at least 32 characters"
TWO_WEEKS_S = 14 * 86_400
LEADER, ANN, BOB, CARL = people(4)


def command(**changes: object) -> LeadCeremony:
    usual = LeadCeremony(
        nodes=4, threshold=3, period_s=30, catchup_period_s=1, dkg_timeout_s=0, beacon_offset_s=0, secret=SECRET
    )
    return replace(usual, **changes)


def leading(**changes: object) -> SetupLeader:
    leader = SetupLeader(command(**changes), LEADER.identity, "default", Ids())
    leader.start(NOW)
    return leader


def signal(who, secret: bytes = SECRET) -> SignalPacket:
    return SignalPacket(who.identity, secret)


def asked(effects) -> SignGroup:
    (request,) = [effect.request for effect in effects if isinstance(effect, AskVault)]
    return request


def calls(effects) -> list[Call]:
    return [effect for effect in effects if isinstance(effect, Call)]


def complete(leader: SetupLeader) -> SignGroup:
    effects = []
    for who in (ANN, BOB, CARL):
        effects = leader.on_signal(signal(who), NOW)
    return asked(effects)


def pushing(leader: SetupLeader) -> list[Call]:
    request = complete(leader)
    return calls(leader.on_vault_reply(GroupSigned(request.request_id, b"signed"), NOW))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"threshold": 2}, "invalid threshold: 4 nodes need a threshold of at least 3, not 2"),
        ({"threshold": 5}, "invalid threshold: 4 nodes cannot have a threshold of 5"),
        ({"nodes": 0}, "1 to 1024 nodes, not 0"),
        ({"nodes": 1025}, "1 to 1024 nodes, not 1025"),
        ({"period_s": 0}, "a period of 0 s"),
        ({"period_s": 2**32}, "a period of"),
        ({"catchup_period_s": -1}, "a catch-up period of -1 s"),
        ({"beacon_offset_s": -1}, "a beacon delay of -1 s"),
        ({"dkg_timeout_s": -1}, "a phase of -1 s"),
        ({"dkg_timeout_s": 86_401}, "a phase of 86401 s"),
        ({"secret": b""}, "no secret"),
    ],
)
def test_numbers_that_cannot_work_are_refused_with_what_to_try(changes, complaint):
    with pytest.raises(BadSetting, match=complaint) as caught:
        leading(**changes)
    assert caught.value.advice or "phase" in complaint


def test_a_phase_may_take_a_day():
    assert leading(dkg_timeout_s=86_400).outcome is None


def test_a_leader_without_a_self_signature_cannot_lead():
    with pytest.raises(InvalidSignature, match="not self-signed") as caught:
        SetupLeader(command(), person("leader", signed=False).identity, "default", Ids())
    assert "self-sign" in caught.value.advice


def test_the_leader_is_the_first_candidate_and_waits_two_weeks_at_most():
    leader = SetupLeader(command(), LEADER.identity, "default", Ids())
    assert leader.start(NOW) == [
        Report(CandidateJoined("node0:4000", 1, 4)),
        WakeAt(ALARM, NOW + TWO_WEEKS_S),
    ]
    assert leader.joined == ("node0:4000",)
    assert leader.on_due(NOW + 5) == [WakeAt(ALARM, NOW + TWO_WEEKS_S)]
    leader.on_signal(signal(ANN), NOW)
    assert leader.on_due(NOW + TWO_WEEKS_S) == []
    assert leader.outcome == SetupFailed("only 2 of 4 nodes joined within two weeks")
    assert leader.on_due(NOW + TWO_WEEKS_S) == []


def test_a_candidate_is_reported_when_it_joins_and_not_when_it_repeats_itself():
    leader = leading()
    assert leader.on_signal(signal(ANN), NOW) == [Report(CandidateJoined("node1:4000", 2, 4))]
    assert leader.on_signal(signal(ANN), NOW) == []
    assert leader.on_signal(signal(LEADER), NOW) == []
    assert leader.joined == ("node0:4000", "node1:4000")


def test_a_wrong_secret_is_refused_before_anything_else_is_looked_at():
    leader = leading()
    unsigned = person("x", signed=False)
    with pytest.raises(WrongSecret, match="shared secret is incorrect") as caught:
        leader.on_signal(signal(unsigned, b"guess"), NOW)
    assert "same secret" in caught.value.advice
    assert leader.joined == ("node0:4000",)


@pytest.mark.parametrize(
    ("who", "error", "complaint"),
    [
        (person("x", scheme=TOY_UNCHAINED), InvalidGroup, "scheme toy-unchained, this beacon's scheme is toy-chained"),
        (person("x", signed=False), InvalidSignature, "invalid sig: x:4000"),
        (person("x", address="node1:4000"), DuplicateCandidate, "node1:4000 joined already with another key"),
        (person("node1", address="x:4000"), DuplicateCandidate, "x:4000 has the key with which node1:4000 joined"),
        (person("x", address="node0:4000"), DuplicateCandidate, "node0:4000 joined already with another key"),
    ],
)
def test_an_identity_that_does_not_fit_is_refused_and_changes_nothing(who, error, complaint):
    leader = leading()
    leader.on_signal(signal(ANN), NOW)
    with pytest.raises(error, match=complaint):
        leader.on_signal(signal(who), NOW)
    assert leader.joined == ("node0:4000", "node1:4000")


def test_a_self_signature_by_another_key_is_refused():
    leader = leading()
    forged = replace(ANN.identity, signature=BOB.identity.signature)
    with pytest.raises(InvalidSignature, match="invalid sig: node1:4000"):
        leader.on_signal(SignalPacket(forged, SECRET), NOW)
    assert leader.stage is LeaderStage.COLLECTING


def test_a_candidate_that_comes_back_with_another_tls_setting_is_told_so():
    leader = leading()
    leader.on_signal(signal(ANN), NOW)
    with pytest.raises(DuplicateCandidate, match="another TLS setting"):
        leader.on_signal(SignalPacket(replace(ANN.identity, tls=True), SECRET), NOW)


def test_a_signal_for_a_resharing_is_refused_by_a_fresh_ceremony():
    with pytest.raises(OutOfTurn, match="inconsistent previous group hash"):
        leading().on_signal(SignalPacket(ANN.identity, SECRET, b"old group"), NOW)


def test_the_complete_group_is_ordered_by_key_seeded_with_its_own_hash_and_signed_by_the_vault():
    group = complete(leading()).group
    keys = [node.identity.key for node in group.nodes]
    assert keys == sorted(keys)
    assert [node.index for node in group.nodes] == [0, 1, 2, 3]
    assert group.genesis_seed == replace(group, genesis_seed=b"").hash()
    assert (group.threshold, group.period_s, group.catchup_period_s, group.beacon_id) == (3, 30, 1, "default")
    assert group.genesis_unix_s == fresh_genesis_unix_s(NOW, phase_s=10, offset_s=1, period_s=30)


def test_genesis_leaves_room_for_three_phases_and_is_a_multiple_of_the_period_with_a_whole_one_added():
    assert fresh_genesis_unix_s(999.9, phase_s=10, offset_s=1, period_s=30) == 1050
    assert fresh_genesis_unix_s(1000.0, phase_s=10, offset_s=1, period_s=7) == 1036  # 1031 is the end of three phases
    assert fresh_genesis_unix_s(989.0, phase_s=10, offset_s=1, period_s=30) == 1050  # 1020 is a multiple already


def test_a_signal_after_the_group_is_complete_is_too_late_unless_it_is_a_members():
    leader = leading()
    complete(leader)
    assert leader.on_signal(signal(ANN), NOW) == []
    with pytest.raises(OutOfTurn, match="no DKG in progress for beaconID default"):
        leader.on_signal(signal(person("late")), NOW)


def test_the_signed_group_is_pushed_to_everybody_else_at_once():
    leader = leading()
    request = complete(leader)
    effects = leader.on_vault_reply(GroupSigned(request.request_id, b"signed"), NOW)
    pushes = calls(effects)
    assert {call.peer.address for call in pushes} == {"node1:4000", "node2:4000", "node3:4000"}
    assert {call.question for call in pushes} == {GroupPush(request.group, SECRET, 10, b"signed")}
    assert effects[-1] == WakeAt(ALARM, NOW + 60)


def test_replies_of_the_vault_to_something_else_are_passed_over():
    leader = leading()
    request = complete(leader)
    assert leader.on_vault_reply(GroupSigned(RequestId("other"), b"x"), NOW) == []
    assert leader.on_vault_reply(IdentityShown(request.request_id, LEADER.identity), NOW) == []
    assert leader.stage is LeaderStage.SIGNING


def test_a_vault_that_refuses_for_good_ends_the_ceremony():
    leader = leading()
    request = complete(leader)
    leader.on_vault_reply(VaultRefused(request.request_id, "no such key"), NOW)
    assert leader.outcome == SetupFailed("the vault refused to sign the group: no such key")


def test_a_vault_out_of_reach_is_asked_again_until_genesis_is_too_near():
    leader = leading()
    request = complete(leader)
    effects = leader.on_vault_reply(VaultRefused(request.request_id, "no link", retry=True), NOW)
    assert effects[-1] == WakeAt(ALARM, NOW + 5)
    again = asked(leader.on_due(NOW + 5))
    assert again.group == request.group
    assert leader.on_due(request.group.genesis_unix_s - 30) == []
    assert leader.outcome == SetupFailed("the vault did not sign the group before its genesis came too near")


def test_the_setup_ends_when_everybody_has_accepted():
    leader = leading()
    pushes = pushing(leader)
    assert leader.on_answered(pushes[0].call_id, NOW + 1) == [WakeAt(ALARM, NOW + 61)]
    assert leader.on_answered(pushes[1].call_id, NOW + 1) == [WakeAt(ALARM, NOW + 6)]
    assert leader.outcome is None
    assert leader.on_answered(pushes[2].call_id, NOW + 1) == []
    assert isinstance(leader.outcome, Candidates)
    assert leader.outcome.leader
    assert leader.outcome.phase_s == 10


def test_a_threshold_of_acceptances_is_enough_and_the_others_are_named():
    leader = leading()
    first, second, third = pushing(leader)
    leader.on_answered(first.call_id, NOW)
    leader.on_call_failed(second.call_id, "invalid secret", NOW)
    effects = leader.on_answered(third.call_id, NOW)
    text = f"{second.peer.address} has not accepted the group: invalid secret"
    assert effects == [Report(Noted("warning", text))]
    assert isinstance(leader.outcome, Candidates)


def test_once_a_threshold_has_the_group_the_slow_are_waited_for_half_a_phase_and_may_still_take_it():
    leader = leading()
    first, second, third = pushing(leader)
    leader.on_answered(first.call_id, NOW)
    leader.on_answered(second.call_id, NOW)
    effects = leader.on_due(NOW + 5)
    assert effects == [Report(Noted("warning", f"{third.peer.address} has not accepted the group: no answer for 5 s"))]
    assert isinstance(leader.outcome, Candidates)


def test_fewer_than_a_threshold_end_the_ceremony_with_everybodys_reason():
    leader = leading()
    first, second, third = pushing(leader)
    leader.on_call_failed(first.call_id, "invalid secret", NOW)
    leader.on_answered(second.call_id, NOW)
    effects = leader.on_due(NOW + 60)
    assert effects == [Abandon(third.call_id)]
    reasons = sorted([f"{first.peer.address}: invalid secret", f"{third.peer.address}: no answer for 60 s"])
    assert leader.outcome == SetupFailed(
        f"push group failure: 2 of 4 nodes have the group, 3 are needed ({'; '.join(reasons)})"
    )


def test_a_candidate_that_was_too_busy_to_look_at_the_group_is_asked_again():
    """Under a flood of calls a node turns away whatever comes, the leader's push too."""
    leader = leading(threshold=4)
    first, second, third = pushing(leader)
    leader.on_answered(first.call_id, NOW)
    leader.on_answered(second.call_id, NOW)
    assert leader.on_call_failed(third.call_id, "1024 calls run already", NOW + 2, busy=True) == [
        WakeAt(ALARM, NOW + 3)
    ]
    again, wake = leader.on_due(NOW + 3)
    assert (again.peer, again.question) == (third.peer, third.question)
    assert wake == WakeAt(ALARM, NOW + 60), "being turned away is no answer: it prolongs nothing"
    assert leader.on_answered(again.call_id, NOW + 4) == []
    assert isinstance(leader.outcome, Candidates)


def test_another_candidates_answer_does_not_forget_the_busy_one():
    leader = leading(threshold=4)
    first, second, third = pushing(leader)
    leader.on_call_failed(third.call_id, "1024 calls run already", NOW, busy=True)
    assert leader.on_answered(first.call_id, NOW + 0.5) == [WakeAt(ALARM, NOW + 1.5)]
    assert leader.on_answered(second.call_id, NOW + 0.5) == [WakeAt(ALARM, NOW + 1.5)]
    assert [call.peer for call in calls(leader.on_due(NOW + 1.5))] == [third.peer]


def test_a_candidate_that_stays_too_busy_is_given_up_with_its_reason():
    leader = leading(threshold=4)
    first, second, third = pushing(leader)
    leader.on_answered(first.call_id, NOW)
    leader.on_answered(second.call_id, NOW)
    for second_ in range(60):
        (again,) = calls(leader.on_due(NOW + second_)) or [third]
        leader.on_call_failed(again.call_id, "1024 calls run already", NOW + second_, busy=True)
    assert leader.outcome is None
    assert leader.on_due(NOW + 60) == []
    assert isinstance(leader.outcome, SetupFailed)
    assert f"({third.peer.address}: 1024 calls run already)" in leader.outcome.reason


def test_a_minute_is_counted_from_the_last_answer():
    leader = leading()
    first, *_ = pushing(leader)
    leader.on_answered(first.call_id, NOW + 50)
    assert leader.on_due(NOW + 60) == [WakeAt(ALARM, NOW + 110)]


def test_an_answer_to_a_call_we_do_not_wait_for_changes_nothing():
    leader = leading()
    pushes = pushing(leader)
    leader.on_answered(pushes[0].call_id, NOW)
    assert leader.on_answered(pushes[0].call_id, NOW) == []
    assert leader.on_call_failed(pushes[0].call_id, "late", NOW) == []
    assert leader.outcome is None


def test_a_leader_alone_needs_nobody():
    leader = SetupLeader(command(nodes=1, threshold=minimum_threshold(1)), LEADER.identity, "default", Ids())
    request = asked(leader.start(NOW))
    assert leader.on_vault_reply(GroupSigned(request.request_id, b"signed"), NOW) == []
    assert isinstance(leader.outcome, Candidates)


def test_an_abandoned_setup_closes_its_calls():
    leader = leading()
    pushes = pushing(leader)
    assert leader.abandon() == [Abandon(call.call_id) for call in pushes]
    assert leader.on_answered(pushes[0].call_id, NOW) == []
    assert leader.outcome is None
