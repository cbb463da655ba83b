"""The key generation's phases, its dealings with the vault, and its return from the journal."""

from dataclasses import replace

import pytest

from collective.errors import BadSetting, InvalidSignature
from collective.machine import Persist, WakeAt
from drand.model.bundles import Justification, JustificationBundle, Response
from drand.model.chain import Index
from drand.model.records import Phase, PhaseEntered
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    DealsJudged,
    EpochOpened,
    JudgeDeals,
    SharesDealt,
    ShowShares,
    UserEntropy,
    VaultRefused,
)
from drand.protocol.dkg import PHASE_ALARM, KeyGenerated, KeyGeneration, KeyGenerationFailed
from drand.protocol.faults import WrongSession
from drand.protocol.steps import CulpritNamed, Ids, PhaseChanged
from tests.support.dkg_bench import START, Bench, asked, facts, sent, wake


@pytest.fixture
def bench():
    return Bench()


# ---------------------------------------------------------------- phases


def test_a_leader_starts_at_once_and_writes_down_when(bench):
    effects = bench.start()
    assert effects[0] == Persist(PhaseEntered(Phase.DEALING, START))
    assert isinstance(asked(effects)[0], DealShares)
    assert wake(effects) == [START + 5]


def test_the_operators_randomness_is_named_to_the_vault():
    entropy = UserEntropy(script="/bin/dice", user_only=True)
    assert asked(Bench(entropy=entropy).start())[0].entropy == entropy


def test_a_participant_waits_for_the_first_bundle():
    bench = Bench(leader=False)
    waiting = bench.start()
    assert waiting[0] == WakeAt(PHASE_ALARM, START + 10)
    effects = bench.hear(bench.vaults[1].deal(bench.terms), now=START + 3)
    assert effects[0] == Persist(PhaseEntered(Phase.DEALING, START + 3))
    assert isinstance(asked(effects)[0], DealShares)
    assert wake(effects) == [START + 8]


def test_a_participant_has_its_vault_deal_while_it_waits_and_sends_the_deal_only_when_it_begins():
    bench = Bench(leader=False)
    waiting = bench.start()
    assert isinstance(asked(waiting)[0], DealShares)
    assert bench.answer(waiting) == []
    refused = VaultRefused(asked(waiting)[0].request_id, "not now", retry=True)
    assert bench.machine.on_vault_reply(refused, START) == []
    (deal,) = sent(bench.answer(bench.due(START + 10), now=START + 10))
    assert deal == bench.vaults[0].deal(bench.terms)


@pytest.mark.parametrize("begun", [False, True])
def test_a_vault_that_cannot_deal_ends_the_session_with_its_reason_whether_asked_ahead_or_in_turn(begun):
    """A script that hangs is run once and not twice, and its failure is not hidden behind a phase that ran out."""
    bench = Bench(leader=False)
    ahead = asked(bench.start())[0]
    if begun:
        assert asked(bench.due(START + 10))[0] != ahead
    effects = bench.machine.on_vault_reply(VaultRefused(ahead.request_id, "the script hangs"), START + 11)
    assert effects[0] == Persist(PhaseEntered(Phase.FAILED, START + 11))
    assert isinstance(bench.machine.outcome, KeyGenerationFailed)
    assert bench.machine.outcome.reason == "the vault refused: the script hangs"
    assert bench.due(START + 20) == []


def test_a_forged_bundle_does_not_start_the_clock():
    bench = Bench(leader=False)
    bench.start()
    with pytest.raises(InvalidSignature):
        bench.hear(bench.vaults[2].signed(bench.vaults[1].deal(bench.terms)))
    effects = bench.hear(bench.vaults[1].deal(bench.terms))
    assert effects[0] == Persist(PhaseEntered(Phase.DEALING, START))


def test_a_participant_that_hears_nothing_starts_after_one_phase():
    bench = Bench(leader=False)
    bench.start()
    effects = bench.due(START + 10)
    assert isinstance(asked(effects)[0], DealShares)
    assert wake(effects) == [START + 15]


def test_other_alarms_are_not_ours(bench):
    bench.start()
    assert bench.machine.on_due("tick", START + 99) == []


def test_an_alarm_that_rings_too_early_is_set_again(bench):
    bench.answer(bench.start())
    assert bench.due(START + 1) == [WakeAt(PHASE_ALARM, START + 5)]


def test_an_alarm_that_rings_too_early_ends_no_patience(bench):
    bench.to_responding()
    bench.respond(1, 2, 3)
    assert bench.due(START + 1) == [WakeAt(PHASE_ALARM, START + 5)]
    assert isinstance(asked(bench.due(START + 5))[0], CombineShares)


def test_in_the_middle_of_a_phase_own_bundles_go_out_again(bench):
    (deal,) = sent(bench.answer(bench.start()))
    effects = bench.due(START + 5)
    assert sent(effects) == [deal]
    assert wake(effects) == [START + 10]


def test_all_deals_in_means_judging_at_once(bench):
    bench.answer(bench.start())
    bench.deal(1, 2)
    effects = bench.deal(3)
    (request,) = asked(effects)
    assert isinstance(request, JudgeDeals)
    assert request.dealers == (0, 1, 2, 3)
    assert [deal.dealer_index for deal in request.deals] == [0, 1, 2, 3]
    assert facts(effects, PhaseChanged) == [PhaseChanged(Phase.RESPONDING, 4, 4)]
    assert bench.machine.progress == (0, 4)


def test_bundles_wait_for_the_vault_even_when_time_is_up(bench):
    dealing = bench.start()
    bench.deal(1, 2, 3)
    assert asked(bench.due(START + 10)) == []
    effects = bench.answer(dealing, now=START + 12)
    assert isinstance(asked(effects)[0], JudgeDeals)


def test_missing_deals_are_judged_when_time_is_up(bench):
    bench.answer(bench.start())
    bench.deal(1, 2)
    assert asked(bench.due(START + 9.9)) == []
    effects = bench.due(START + 10)
    (request,) = asked(effects)
    assert request.dealers == (0, 1, 2, 3)
    assert [deal.dealer_index for deal in request.deals] == [0, 1, 2]
    assert facts(effects, CulpritNamed) == [CulpritNamed(3, "dealer 3: sent no deal", False)]


def test_the_end_without_complaints_waits_until_nobody_can_hold_another_deal(bench):
    bench.to_responding()
    assert asked(bench.respond(1, 2, 3)) == []
    assert bench.machine.phase is Phase.RESPONDING
    effects = bench.copies()
    (request,) = asked(effects)
    assert isinstance(request, CombineShares)
    assert request.dealers == (0, 1, 2, 3)
    assert request.shown == ()


def test_it_also_waits_until_nobody_can_hold_another_response(bench):
    bench.to_responding()
    bench.respond(1, 2, 3)
    assert bench.copies(responses=False) == []
    valid = bench.verdicts(2)
    complaint = tuple(replace(response, valid=False) for response in valid.responses)
    effects = bench.hear(bench.vaults[2].signed(replace(valid, responses=complaint)))
    assert "signed two different response bundles" in facts(effects, CulpritNamed)[0].what
    assert bench.machine.phase is Phase.RESPONDING, "the others may wait for our justification now"


def test_that_wait_ends_with_the_next_alarm(bench):
    bench.to_responding()
    bench.respond(1, 2, 3)
    assert isinstance(asked(bench.due(START + 5))[0], CombineShares)


def test_the_result_names_nodes_key_and_share(bench):
    (request,) = asked(effects := bench.to_finished())
    bench.answer(effects)
    outcome = bench.machine.outcome
    combined = bench.vaults[0].answer(request)
    assert outcome == KeyGenerated(
        qualified=(0, 1, 2, 3), index=Index(0), commits=combined.commits, epoch_id=combined.epoch_id
    )
    assert bench.machine.ended


def test_a_complaint_leads_to_justifications(bench):
    bench.vaults[0].corrupt_for = frozenset({2})
    bench.to_responding()
    assert asked(bench.respond(1, 2, 3)) == []
    effects = bench.copies()
    (request,) = asked(effects)
    assert isinstance(request, ShowShares)
    assert request.holders == (2,)
    (shown,) = sent(bench.answer(effects))
    assert shown.justifications[0].share_index == 2
    effects = bench.due(START + 30)
    assert isinstance(asked(effects)[0], CombineShares)


def test_an_answer_with_two_faces_is_waited_for_although_somebody_complains(bench):
    """Who complains to some and not to others would be a member for those who go on with its complaint at once."""
    bench.to_responding()
    bench.respond(1, 2)
    complaint = bench.vaults[3].signed(replace(bench.verdicts(3), responses=(Response(Index(1), valid=False),)))
    assert asked(bench.hear(complaint)) == []
    (named,) = facts(bench.hear(bench.verdicts(3)), CulpritNamed)
    assert (named.index, named.proved) == (3, True)
    bench.answer(bench.due(START + 20))
    for place in (1, 2):
        bench.hear(bench.vaults[place].show(bench.terms, (Index(3),)))
    (combine,) = asked(bench.due(START + 30))
    assert combine.dealers == (0, 1, 2)


def to_justifying(bench):
    """Node 3 is silent as a holder, so that every dealer has to show its share."""
    bench.to_responding()
    bench.respond(1, 2)
    effects = bench.due(START + 20)
    assert asked(effects)[0].holders == (3,)
    bench.answer(effects)
    return [vault.show(bench.terms, (Index(3),)) for vault in bench.vaults]


def test_justifications_of_all_dealers_end_the_phase_once_everybody_has_passed_them_on(bench):
    shown = to_justifying(bench)
    for copies in range(3):
        for bundle in shown:
            effects = bench.hear(bundle)
        assert (asked(effects) == []) == (copies < 2)
    assert isinstance(asked(effects)[0], CombineShares)


def test_a_second_justification_convicts_its_dealer_whichever_came_first(bench):
    shown = to_justifying(bench)
    for bundle in shown:
        assert asked(bench.hear(bundle)) == []
    other = (Justification(Index(3), (1).to_bytes(32, "big")),)
    (named,) = facts(bench.hear(bench.vaults[2].signed(replace(shown[2], justifications=other))), CulpritNamed)
    assert (named.index, named.proved) == (2, True)
    ended = bench.due(START + 30)
    assert asked(ended) == []  # node 3 was silent and node 2 is out: two of four are fewer than the threshold
    assert isinstance(bench.machine.outcome, KeyGenerationFailed)


@pytest.mark.parametrize(("place", "what"), [(2, "justified twice"), (3, "responded twice")])
def test_a_proof_of_two_faces_counts_until_the_end_of_the_last_phase(bench, place, what):
    """The first face was heard when its phase ended; others may have heard the second one first."""
    bench.vaults[1].corrupt_for = frozenset({0})
    bench.to_responding()
    bench.copies()
    bench.hear(bench.vaults[1].show(bench.terms, (Index(0),)))
    if place == 2:
        for share in (1, 2):
            shown = (Justification(Index(0), share.to_bytes(32, "big")),)
            bench.hear(bench.vaults[2].signed(JustificationBundle(Index(2), shown, bench.terms.session_id)))
    else:
        bench.hear(bench.vaults[3].signed(replace(bench.verdicts(3), responses=(Response(Index(0), valid=True),))))
    ended = bench.due(START + 30)
    assert [one.what for one in facts(ended, CulpritNamed) if what in one.what]
    (combine,) = asked(ended)
    assert place not in combine.dealers


def test_late_and_stray_bundles_after_the_end_are_harmless(bench):
    effects = bench.to_finished()
    assert bench.hear(bench.vaults[1].deal(bench.terms)) == []
    bench.answer(effects)
    assert bench.hear(bench.vaults[1].deal(bench.terms)) == []
    assert bench.hear(replace(bench.vaults[1].deal(bench.terms), session_id=bytes(32))) == []


def test_another_session_s_bundle_is_refused_and_changes_nothing(bench):
    bench.start()
    with pytest.raises(WrongSession):
        bench.hear(bench.vaults[1].signed(replace(bench.vaults[1].deal(bench.terms), session_id=bytes(32))))
    assert bench.machine.progress == (0, 4)


def test_after_the_end_own_bundles_still_go_out_again_for_those_who_were_down(bench):
    bench.answer(bench.to_finished())
    assert len(sent(bench.due(START + 5))) == 2
    assert sent(bench.due(START + 10)) == []
    assert len(sent(bench.due(START + 15))) == 2
    assert len(sent(last := bench.due(START + 25))) == 2
    assert wake(last) == []


def test_what_proves_two_faces_goes_out_again_too(bench):
    bench.answer(bench.start())
    first = bench.vaults[1].deal(bench.terms)
    second = bench.vaults[1].signed(replace(first, deals=first.deals[1:]))
    bench.hear(first)
    bench.hear(second)
    again = sent(bench.due(START + 5))
    assert again[1:] == [first, second]


def test_justifications_of_others_go_out_again_since_nothing_comes_after_them(bench):
    bench.to_responding()
    bench.respond(1, 2)
    bench.answer(bench.due(START + 20))
    shown = bench.vaults[1].show(bench.terms, (Index(3),))
    bench.hear(shown)
    again = sent(bench.due(START + 25))
    assert again.count(shown) == 1
    assert len(again) == len(set(again)) == 4  # our own deal, response and justification besides


def test_a_key_in_neither_list_takes_no_part(bench):
    with pytest.raises(BadSetting):
        KeyGeneration(bench.terms, b"nobody", {}, phase_s=10, leader=False, ids=Ids())


# ---------------------------------------------------------------- the vault


def test_an_answer_to_something_else_is_ignored(bench):
    bench.start()
    assert bench.machine.on_vault_reply(SharesDealt("other", None), START) == []
    assert not bench.machine.ended


def test_a_refusal_ends_the_session_with_its_reason(bench):
    (request,) = asked(bench.start())
    effects = bench.machine.on_vault_reply(VaultRefused(request.request_id, "no key here"), START)
    assert bench.machine.outcome == KeyGenerationFailed(reason="the vault refused: no key here")
    assert effects[0] == Persist(PhaseEntered(Phase.FAILED, START))
    assert bench.due(START + 5) == []
    assert bench.machine.on_vault_reply(VaultRefused(request.request_id, "again"), START) == []


def test_a_vault_that_refuses_for_now_is_asked_again(bench):
    (request,) = asked(bench.start())
    effects = bench.machine.on_vault_reply(VaultRefused(request.request_id, "no contact", retry=True), START)
    assert wake(effects) == [START + 1.25]
    assert asked(bench.due(START + 1.25)) == [request]
    assert asked(bench.due(START + 1.5)) == []


def test_a_vault_that_answers_nonsense_ends_the_session(bench):
    (request,) = asked(bench.start())
    bench.machine.on_vault_reply(EpochOpened(request.request_id, b""), START)
    assert bench.machine.outcome == KeyGenerationFailed(reason="the vault answered with EpochOpened")


def test_a_vault_that_never_answers_is_not_waited_for_forever(bench):
    bench.start()
    assert not bench.machine.ended
    bench.due(START + 39.9)
    assert not bench.machine.ended
    bench.due(START + 40)
    assert bench.machine.outcome == KeyGenerationFailed(reason="the vault did not answer in time")


def test_without_a_dealer_to_judge_there_is_no_response(bench):
    (request,) = asked(bench.to_judging())
    effects = bench.machine.on_vault_reply(DealsJudged(request.request_id, None), START)
    assert sent(effects) == []
    assert bench.machine.progress == (0, 4)
