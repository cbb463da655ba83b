"""A key generation that comes back from its journal."""

from dataclasses import replace

import pytest

from collective.machine import Persist, WakeAt
from drand.model.records import BundleKept, CeremonyEnded, CeremonyStarted, Phase, PhaseEntered
from drand.model.vault_messages import (
    CombineShares,
    VaultRefused,
)
from drand.protocol.dkg import PHASE_ALARM, KeyGenerationFailed
from tests.support import stored
from tests.support.dkg_bench import START, Bench, asked, sent


@pytest.fixture
def bench():
    return Bench()


def test_an_empty_journal_is_a_start(bench):
    assert bench.machine.replay([], START) == Bench().start()


def test_every_prefix_of_the_journal_leads_back_to_where_it_ends():
    bench = Bench()
    bench.vaults[0].corrupt_for = frozenset({2})
    bench.to_responding()
    bench.respond(1, 2, 3)
    bench.answer(bench.copies())
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


@pytest.mark.parametrize(("back_s", "late"), [(34, False), (36, True)])
def test_a_node_that_is_back_when_nobody_hears_its_justification_any_more_has_failed(bench, back_s, late):
    """The others have left it out; what it heard until it went down would give it a group of its own."""
    bench.to_responding()
    bench.respond(1, 2)
    bench.due(START + 20)
    machine = bench.machine = bench.fresh("second")
    answered = bench.answer(machine.replay(bench.journal, START + back_s), START + back_s)
    assert machine.phase is Phase.FAILED  # node 3 was silent, and nobody else has justified
    assert (sent(answered) == []) == late
    assert ("after the others had ended" in machine.outcome.reason) == late


def test_a_failed_session_stays_failed(bench):
    (request,) = asked(bench.start())
    bench.keep(bench.machine.on_vault_reply(VaultRefused(request.request_id, "no key here"), START))
    machine = bench.fresh("second")
    assert machine.replay([*bench.journal, CeremonyEnded("no key here")], START) == []
    assert isinstance(machine.outcome, KeyGenerationFailed)


def test_a_session_that_failed_before_it_began_stays_failed():
    bench = Bench(leader=False)
    ahead = asked(bench.start())[0]
    bench.keep(bench.machine.on_vault_reply(VaultRefused(ahead.request_id, "no key here"), START))
    machine = bench.fresh("second")
    assert machine.replay(bench.journal, START + 1) == []
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
