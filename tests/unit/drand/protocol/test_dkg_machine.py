"""The key generation's phases, its dealings with the vault, and its return from the journal."""

from dataclasses import replace

import pytest

from collective.errors import BadSetting, InvalidSignature
from collective.machine import Persist, WakeAt
from drand.model.chain import Index
from drand.model.group import Peer
from drand.model.records import BundleKept, CeremonyEnded, CeremonyStarted, Phase, PhaseEntered
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
from drand.protocol.dkg import PHASE_ALARM, HandedOver, KeyGenerated, KeyGeneration, KeyGenerationFailed
from drand.protocol.faults import WrongSession
from drand.protocol.steps import AskVault, CulpritNamed, Ids, PhaseChanged, Report, Send
from tests.support import stored
from tests.support.dkg_world import World, fresh_terms, resharing_terms, vaults

PEERS = tuple(Peer(f"node{place}:4000", tls=False) for place in (1, 2, 3))
START = 1000.0


class Bench:
    """Node 0 of four on a workbench: the test plays the vault, the peers and the clock."""

    def __init__(self, *, leader=True, phase_s=10.0, entropy=None, seed=0):
        self.vaults = vaults(4, seed=seed)
        self.terms = fresh_terms(self.vaults, 3)
        self.leader, self.phase_s, self.entropy = leader, phase_s, entropy
        self.machine = self.fresh("first")
        self.journal = []

    def fresh(self, boot):
        ids = Ids(boot=boot)
        key = self.vaults[0].key
        return KeyGeneration(
            self.terms, key, PEERS, phase_s=self.phase_s, leader=self.leader, ids=ids, entropy=self.entropy
        )

    def keep(self, effects):
        self.journal += [effect.record for effect in effects if isinstance(effect, Persist)]
        return effects

    def start(self):
        return self.keep(self.machine.start(START))

    def answer(self, effects, now=START):
        """Let the vault answer what was asked."""
        (request,) = asked(effects)
        return self.keep(self.machine.on_vault_reply(self.vaults[0].answer(request), now))

    def hear(self, bundle, now=START):
        return self.keep(self.machine.on_bundle(bundle, now))

    def due(self, now):
        return self.keep(self.machine.on_due(PHASE_ALARM, now))

    def deal(self, *places):
        """The deals of others arrive; answers with the effects of the last."""
        effects = []
        for place in places:
            effects = self.hear(self.vaults[place].deal(self.terms))
        return effects

    def respond(self, *places):
        effects = []
        for place in places:
            effects = self.hear(self.verdicts(place))
        return effects

    def verdicts(self, place):
        deals = tuple(vault.deal(self.terms) for vault in self.vaults)
        return self.vaults[place].judge(JudgeDeals("-", self.terms, deals, (0, 1, 2, 3)))

    def copies(self, *, responses=True):
        """Everybody's deals and responses arrive, passed on by everybody."""
        effects = []
        for _ in range(3):
            for place, vault in enumerate(self.vaults):
                effects = self.hear(vault.deal(self.terms)) or effects
                if responses:
                    effects = self.hear(self.verdicts(place)) or effects
        return effects

    def to_judging(self):
        self.answer(self.start())
        return self.deal(1, 2, 3)

    def to_responding(self):
        return self.answer(self.to_judging())

    def to_finished(self):
        self.to_responding()
        self.respond(1, 2, 3)
        return self.copies()


@pytest.fixture
def bench():
    return Bench()


def asked(effects):
    return [effect.request for effect in effects if isinstance(effect, AskVault)]


def sent(effects):
    return [effect.message.bundle for effect in effects if isinstance(effect, Send)]


def facts(effects, kind):
    return [effect.fact for effect in effects if isinstance(effect, Report) and isinstance(effect.fact, kind)]


def wake(effects):
    return [effect.unix_s for effect in effects if isinstance(effect, WakeAt) and effect.alarm == PHASE_ALARM]


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
    assert bench.start() == [WakeAt(PHASE_ALARM, START + 10)]
    effects = bench.hear(bench.vaults[1].deal(bench.terms), now=START + 3)
    assert effects[0] == Persist(PhaseEntered(Phase.DEALING, START + 3))
    assert isinstance(asked(effects)[0], DealShares)
    assert wake(effects) == [START + 8]


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
    effects = bench.respond(1, 2, 3)
    (request,) = asked(effects)
    assert isinstance(request, ShowShares)
    assert request.holders == (2,)
    (shown,) = sent(bench.answer(effects))
    assert shown.justifications[0].share_index == 2
    effects = bench.due(START + 30)
    assert isinstance(asked(effects)[0], CombineShares)


def test_justifications_of_all_dealers_end_the_phase_at_once(bench):
    bench.to_responding()
    bench.respond(1, 2)
    effects = bench.due(START + 20)
    assert asked(effects)[0].holders == (3,)
    bench.answer(effects)
    for place in (1, 2, 3):
        effects = bench.hear(bench.vaults[place].show(bench.terms, (Index(3),)))
    assert isinstance(asked(effects)[0], CombineShares)


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
        KeyGeneration(bench.terms, b"nobody", PEERS, phase_s=10, leader=False, ids=Ids())


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


# ---------------------------------------------------------------- the journal


def test_an_empty_journal_is_a_start(bench):
    assert bench.machine.replay([], START) == Bench().start()


def test_every_prefix_of_the_journal_leads_back_to_where_it_ends():
    bench = Bench()
    bench.vaults[0].corrupt_for = frozenset({2})
    bench.to_responding()
    bench.answer(bench.respond(1, 2, 3))
    bench.due(START + 30)
    phase, kept = Phase.DEALING, []
    for number, record in enumerate(bench.journal, 1):
        if isinstance(record, PhaseEntered):
            phase = record.phase
        elif isinstance(record, BundleKept):
            kept.append(record.bundle)
        machine = bench.fresh(f"life {number}")
        effects = machine.replay(bench.journal[:number], START)
        assert sent(effects)[: len(kept)] == kept, "the last of them may not have been passed on"
        entered = [e.record.phase for e in effects if isinstance(e, Persist) and isinstance(e.record, PhaseEntered)]
        assert machine.phase is (entered[-1] if entered else phase)
        assert not machine.ended


@pytest.mark.parametrize(
    ("back_s", "heard_again_s"),
    [(1, 10), (6, 20), (11, 20), (16, 30)],
    ids=["before the first middle", "after it", "before the second", "after it again"],
)
def test_a_node_that_was_down_hears_first_what_others_send_again(bench, back_s, heard_again_s):
    """In the middle of a phase others send what proves two faces; it may have passed by while this node was down."""
    bench.to_responding()
    bench.respond(1, 2, 3)
    bench.machine = bench.fresh("second")
    assert asked(bench.keep(bench.machine.replay(bench.journal, START + back_s))) == []
    for half in range(back_s // 5 + 1, heard_again_s // 5):
        assert asked(bench.due(START + 5 * half)) == []
    assert isinstance(asked(bench.due(START + heard_again_s))[0], CombineShares)


def test_a_proof_that_comes_again_convicts_at_a_node_that_was_down_as_it_did_at_the_others(bench):
    bench.to_responding()
    bench.respond(1, 2, 3)
    bench.machine = bench.fresh("second")
    bench.keep(bench.machine.replay(bench.journal, START + 1))
    bench.due(START + 5)
    first = bench.vaults[1].deal(bench.terms)
    bench.hear(bench.vaults[1].signed(replace(first, deals=first.deals[1:])))
    (request,) = asked(bench.due(START + 10))
    assert request.dealers == (0, 2, 3)


def test_a_node_that_is_back_after_the_last_middle_has_nothing_to_wait_for(bench):
    bench.to_responding()
    bench.respond(1, 2, 3)
    (request,) = asked(bench.fresh("second").replay(bench.journal, START + 26))
    assert isinstance(request, CombineShares)


def test_what_the_vault_may_not_have_answered_is_asked_again(bench):
    (before,) = asked(bench.to_judging())
    (again,) = asked(bench.fresh("second").replay(bench.journal, START))
    assert replace(again, request_id=before.request_id) == before
    assert again.request_id != before.request_id


def test_a_failed_session_stays_failed(bench):
    (request,) = asked(bench.start())
    bench.keep(bench.machine.on_vault_reply(VaultRefused(request.request_id, "no key here"), START))
    machine = bench.fresh("second")
    assert machine.replay([*bench.journal, CeremonyEnded("no key here")], START) == []
    assert isinstance(machine.outcome, KeyGenerationFailed)


def test_a_session_that_failed_for_lack_of_dealers_stays_failed_too(bench):
    bench.answer(bench.start())
    bench.answer(bench.due(START + 10))
    bench.due(START + 20)
    bench.due(START + 30)
    assert isinstance(bench.machine.outcome, KeyGenerationFailed)
    machine = bench.fresh("second")
    assert machine.replay(bench.journal, START + 30) == []
    assert isinstance(machine.outcome, KeyGenerationFailed)


def test_a_long_sleep_ends_in_failure_and_not_in_silence(bench):
    bench.answer(bench.start())
    machine = bench.fresh("second")
    effects = machine.replay(bench.journal, START + 3600)
    for _ in range(5):
        for request in asked(effects):
            effects = machine.on_vault_reply(bench.vaults[0].answer(request), START + 3600)
        effects = machine.on_due(PHASE_ALARM, START + 3600)
    assert isinstance(machine.outcome, KeyGenerationFailed)


def accepted_at_start():
    """The journal of a participant that has heard nothing yet."""
    return [CeremonyStarted(group=stored.group(), leader=False, phase_s=10, started_unix_s=START)]


def test_a_participant_that_comes_back_before_anybody_was_heard_waits_no_longer_than_it_would_have():
    machine = Bench(leader=False).fresh("second")
    assert machine.replay(accepted_at_start(), START + 4) == [WakeAt(PHASE_ALARM, START + 10)]


def test_a_participant_that_comes_back_when_all_is_over_holds_no_key_generation_of_its_own():
    bench = Bench(leader=False)
    machine = bench.fresh("second")
    effects = machine.replay(accepted_at_start(), START + 45)
    assert effects[0] == Persist(PhaseEntered(Phase.DEALING, START + 10))
    for _ in range(5):
        for request in asked(effects):
            effects = machine.on_vault_reply(bench.vaults[0].answer(request), START + 45)
        effects = machine.on_due(PHASE_ALARM, START + 45)
    for place in (1, 2, 3):  # what the others had sent long ago, and the network kept
        assert machine.on_bundle(bench.vaults[place].deal(bench.terms), START + 46) == []
    assert isinstance(machine.outcome, KeyGenerationFailed)


# ---------------------------------------------------------------- leaving


def leaving_world(**lies):
    everybody = vaults(5, seed=2)
    terms = resharing_terms(everybody[:4], everybody[1:], 3, 3)
    everybody[0].corrupt_for = frozenset(lies.get("corrupt", ()))
    return World(everybody, terms)


def test_a_leaving_dealer_is_done_when_everybody_is_content():
    world = leaving_world()
    world.run()
    assert world.nodes["0"].outcome == HandedOver()
    assert len(world.generated()) == 4


def test_a_leaving_dealer_answers_complaints_before_it_goes():
    world = leaving_world(corrupt={3})
    world.run()
    assert world.nodes["0"].outcome == HandedOver()
    assert {result.qualified for result in world.generated().values()} == {(0, 1, 2, 3)}
    assert len(world.generated()) == 4
    key = world.generated()["1"].commits[0]
    assert key == world.terms.old.commits[0]


def test_a_leaving_dealer_that_is_evicted_goes_without_showing_its_share():
    world = leaving_world(corrupt={0, 1, 2})
    world.run()
    assert world.nodes["0"].outcome == HandedOver()
    assert [type(bundle).__name__ for bundle in world.nodes["0"].sent if bundle.author == 0][:1] == ["DealBundle"]
    assert len(world.generated()) == 4
