"""One chain on its bad days: behind, halted, raced, lied to; and how it comes back."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drand.model.chain import Round
from drand.protocol.steps import (
    BeaconsChecked,
    BeaconsReceived,
    CulpritNamed,
    Noted,
    RoundMade,
    RoundMissed,
    StreamEnded,
    SyncProgressed,
)
from tests.support.alone import COMMITTEE, Alone
from tests.support.committee import GENESIS_S, PERIOD_S, TOY_CHAINED, TOY_UNCHAINED, Committee
from tests.support.stage import Stage

# ---------------------------------------------------------------- behind, halted, and back


def test_a_node_behind_by_one_round_fetches_it_at_the_next_tick_and_joins_the_running_one() -> None:
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    alone.tick(5)
    alone.signed(COMMITTEE.due(5) + 0.1)
    did = alone.tick(6)
    assert did == [
        f"wake round at {COMMITTEE.due(7):g}", "send partial 5 to 3", "report RoundMissed", "fetch 5..6 from n1:1",
    ]  # fmt: skip
    now = COMMITTEE.due(6) + 0.2
    assert alone.noticed(alone.node.handle(BeaconsReceived(alone.stream, COMMITTEE.beacons(5, 5)), now)) == [
        "check 5..5"
    ]
    did = alone.noticed(alone.node.handle(BeaconsChecked(alone.check, frozenset()), now))
    assert did == ["persist 5..5", "publish 5", "report SyncProgressed", "ask vault for 6"]


def test_synced_rounds_take_the_partials_that_were_held_for_them_along() -> None:
    """A node that gets every round from a peer would else keep the partials of all of them."""
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    alone.hear(COMMITTEE.partial(1, 5), COMMITTEE.due(5))
    alone.tick(6)
    now = COMMITTEE.due(6) + 0.2
    alone.noticed(alone.node.handle(BeaconsReceived(alone.stream, COMMITTEE.beacons(5, 5)), now))
    assert alone.node._aggregation.count(Round(5)) == 1
    alone.noticed(alone.node.handle(BeaconsChecked(alone.check, frozenset()), now))
    assert alone.node._aggregation.count(Round(5)) == 0


def test_facts_say_how_far_behind_we_are() -> None:
    stage = Stage(COMMITTEE, now=COMMITTEE.due(1) - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(2) + 1)
    stage.cut.add(0)
    stage.run(COMMITTEE.due(5) + 1)
    assert RoundMissed(Round(5), Round(2)) in stage.facts[0]
    assert stage.facts[0][-1] == Noted("debug", "sync failed: no peer has round 3")
    stage.cut.clear()
    stage.run(COMMITTEE.due(6) + 1)
    assert SyncProgressed(Round(5), Round(6)) in stage.facts[0]
    assert stage.head(0) == 6


@pytest.mark.parametrize("catchup_s", [0, 1, 2])
def test_a_halted_chain_resumes_without_a_gap_at_the_pace_of_catching_up(catchup_s: int) -> None:
    committee = Committee(size=4, threshold=3, catchup_s=catchup_s)
    stage = Stage(committee, now=GENESIS_S - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(committee.due(3) + 1)
    stage.kill(2)
    stage.kill(3)
    stage.run(committee.due(9) + 1)
    assert [stage.head(0), stage.head(1)] == [3, 3]
    stage.boot(2)
    stage.run(committee.due(9) + 2 + 6 * catchup_s)
    assert [stage.head(index) for index in (0, 1, 2)] == [9, 9, 9]
    made = stage.times(0, RoundMade)
    pauses = [later - earlier for earlier, later in pairwise(made[3:])]
    assert len(pauses) == 5
    assert all(pause >= catchup_s for pause in pauses)
    assert stage.published[0] == list(range(1, 10))


def test_when_all_restart_after_an_outage_the_chain_goes_on_where_it_stopped() -> None:
    stage = Stage(COMMITTEE, now=GENESIS_S - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(2) + 1)
    for index in range(4):
        stage.kill(index)
    stage.now = COMMITTEE.due(50) + 11
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(53))
    assert [stage.head(index) for index in range(4)] == [52] * 4
    assert stage.refused == []


def test_a_node_restarted_behind_is_back_in_the_chain_before_the_next_tick() -> None:
    stage = Stage(COMMITTEE, now=GENESIS_S - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(2) + 1)
    stage.kill(3)
    stage.run(COMMITTEE.due(40) + 10)
    stage.boot(3)
    stage.run(COMMITTEE.due(40) + 11)
    assert stage.head(3) == 40
    stage.kill(2)
    stage.run(COMMITTEE.due(41) + 1)
    assert stage.head(0) == 41, "its partial is needed again"


def test_a_key_generation_that_ends_after_genesis_begins_by_catching_up() -> None:
    stage = Stage(COMMITTEE, now=COMMITTEE.due(4) + 20)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(6) + 1)
    assert [stage.head(index) for index in range(4)] == [6] * 4


def test_a_node_started_in_the_first_round_signs_it_at_once() -> None:
    alone = Alone(head=None, now=GENESIS_S + 3)
    assert alone.began == ["persist 0", "wake round at 1030", "fetch 1..1 from n1:1", "ask vault for 1"]


def test_a_liar_among_the_peers_costs_a_detour_only() -> None:
    stage = Stage(COMMITTEE, now=GENESIS_S - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(1) + 1)
    stage.kill(0)
    stage.run(COMMITTEE.due(12) + 10)
    stage.liars = {1: 7, 2: 3}
    stage.boot(0)
    stage.run(COMMITTEE.due(12) + 12)
    assert stage.head(0) == 12
    named = [fact for fact in stage.facts[0] if isinstance(fact, CulpritNamed)]
    assert [(fact.index, fact.proved) for fact in named] == [(1, False)]


def test_sync_and_aggregation_may_race_for_the_same_rounds() -> None:
    alone = Alone(head=2, now=COMMITTEE.due(4))
    assert "fetch 3..4 from n1:1" in alone.began
    now = COMMITTEE.due(4) + 0.1
    alone.noticed(alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(3, 3)), now))
    for index in (1, 2):
        alone.hear(COMMITTEE.partial(index, 3), now)
        alone.hear(COMMITTEE.partial(index, 4), now)
    assert alone.hear(COMMITTEE.partial(3, 3), now)[:3] == ["persist 3", "publish 3", "report RoundMade"]
    assert alone.noticed(alone.node.on_checked(BeaconsChecked(alone.check, frozenset()), now)) == []
    assert alone.hear(COMMITTEE.partial(3, 4), now) == ["persist 4", "publish 4", "report RoundMade", "abandon"]
    assert not alone.node.syncing


def test_no_old_round_is_signed_while_fetched_beacons_are_being_verified() -> None:
    alone = Alone(head=2, now=COMMITTEE.due(9))
    now = COMMITTEE.due(9) + 1
    alone.noticed(alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(3, 4)), now))
    first = alone.check
    alone.noticed(alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(5, 6)), now))
    did = alone.noticed(alone.node.on_checked(BeaconsChecked(first, frozenset()), now))
    assert did[-1] == f"wake catchup at {now + 1:g}"
    assert alone.due("catchup", now + 1) == [f"wake catchup at {now + 1.25:g}"]
    alone.node.on_checked(BeaconsChecked(alone.check, frozenset()), now + 1.1)
    assert alone.due("catchup", now + 2.1) == ["ask vault for 7"]


def test_rounds_whose_partials_wait_follow_a_synced_one_at_once() -> None:
    alone = Alone(head=2, now=COMMITTEE.due(4))
    now = COMMITTEE.due(4) + 0.1
    for index in (1, 2, 3):
        alone.hear(COMMITTEE.partial(index, 4), now)
    alone.noticed(alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(3, 3)), now))
    did = alone.noticed(alone.node.on_checked(BeaconsChecked(alone.check, frozenset()), now))
    assert did == [
        "persist 3..3", "publish 3", "report SyncProgressed", "persist 4", "publish 4", "report RoundMade", "abandon",
    ]  # fmt: skip


def test_a_partial_that_shows_the_others_ahead_makes_us_fetch_after_a_moment_once_a_round() -> None:
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    alone.tick(5)
    now = COMMITTEE.due(5) + 1
    assert alone.hear(COMMITTEE.partial(1, 6), now) == [f"wake sync at {now + 0.5:g}"]
    assert alone.hear(COMMITTEE.partial(2, 6), now) == []
    assert alone.due("sync", now + 0.5) == ["fetch 5..5 from n1:1"]
    assert alone.hear(COMMITTEE.partial(3, 6), now) == []
    assert alone.noticed(alone.node.handle(StreamEnded(alone.stream, "gone"), now + 1))[-1] == "fetch 5..5 from n2:1"


def test_a_hint_is_doubted_when_it_leads_nowhere_unless_the_clock_agrees() -> None:
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    now = COMMITTEE.due(5) + 1
    assert alone.hear(COMMITTEE.bad_partial(1, 6), now) == [f"wake sync at {now + 0.5:g}"]
    alone.due("sync", now + 0.5)
    for _ in range(3):
        alone.noticed(alone.node.handle(StreamEnded(alone.stream, "nothing there"), now + 1))
    assert not alone.node.syncing
    assert alone.hear(COMMITTEE.bad_partial(2, 6), now + 1) == []
    alone.tick(6)
    for _ in range(3):
        alone.noticed(alone.node.handle(StreamEnded(alone.stream, "nothing there"), now + 31))
    assert alone.hear(COMMITTEE.partial(3, 6), now + 31) == [f"wake sync at {now + 31.5:g}"]


def test_a_hint_that_the_partials_have_overtaken_is_not_followed() -> None:
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    now = COMMITTEE.due(5) + 1
    alone.hear(COMMITTEE.partial(1, 6), now)
    for index in (1, 2, 3):
        alone.hear(COMMITTEE.partial(index, 5), now)
    assert alone.due("sync", now + 0.5) == []


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_kills_cuts_and_absent_vaults_cost_no_round_and_the_chain_comes_back(data: st.DataObject) -> None:
    """Safety is checked by the stage at every write; liveness once the faults stop."""
    committee = Committee(data.draw(st.sampled_from([TOY_CHAINED, TOY_UNCHAINED])), size=5, threshold=3)
    loss, seed = data.draw(st.sampled_from([0, 0.1, 0.3])), data.draw(st.integers(0, 2**32))
    stage = Stage(committee, now=GENESIS_S - 1, loss=loss, seed=seed)
    for index in range(5):
        stage.boot(index)
    for _ in range(data.draw(st.integers(0, 12))):
        stage.run(stage.now + data.draw(st.floats(0, 50)))
        index = data.draw(st.integers(0, 4))
        match data.draw(st.sampled_from(["kill", "cut", "vault"])):
            case "kill" if index in stage.nodes:
                stage.kill(index)
            case "kill":
                stage.boot(index)
            case "cut":
                stage.cut ^= {index}
            case _:
                stage.vault_away ^= {index}
    stage.cut.clear()
    stage.vault_away.clear()
    stage.loss = 0
    for index in set(range(5)) - set(stage.nodes):
        stage.boot(index)
    behind = int((stage.now - GENESIS_S) // PERIOD_S) + 1
    stage.run(stage.now + 3 * PERIOD_S + behind * 1.5)
    current = committee.group.schedule.current_round(stage.now)
    assert all(stage.head(index) >= current - 1 for index in range(5))
    assert stage.refused == []
