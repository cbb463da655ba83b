"""The machine that decides whom to ask: no socket, no clock, no wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drand.client.pool import (
    Alarm,
    Answered,
    Ask,
    Begin,
    Drop,
    Effect,
    Event,
    Failed,
    Fault,
    Lost,
    Policy,
    Pool,
    Race,
    WakeAt,
    Won,
)

ABC = ("a", "b", "c")


def race(pool: Pool, now: float = 0.0, deadline_s: float = 30.0) -> tuple[Race, list[Effect]]:
    one = Race(pool, now + deadline_s)
    return one, one.handle(Begin(), now)


def test_the_first_source_is_asked_and_another_when_it_is_slow():
    one, effects = race(Pool(ABC, Policy(hedge_after_s=0.5)))
    assert effects == [Ask("a"), WakeAt(0.5)]
    assert one.handle(Alarm(), 0.5) == [Ask("b"), WakeAt(1.0)]
    assert one.handle(Answered("b"), 0.6) == [Drop("a"), Won("b")]
    assert one.handle(Answered("a"), 0.7) == []


def test_an_alarm_before_its_time_changes_nothing():
    one, _ = race(Pool(ABC))
    assert one.handle(Alarm(), 0.1) == [WakeAt(0.5)]


def test_after_a_failure_the_next_is_asked_at_once():
    one, _ = race(Pool(ABC))
    assert one.handle(Failed("a", Fault.UNAVAILABLE), 0.1) == [Ask("b"), WakeAt(pytest.approx(0.6))]
    assert one.handle(Failed("b", Fault.LIED), 0.2) == [Ask("c"), WakeAt(30.0)]
    assert one.handle(Failed("c", Fault.ABSENT), 0.3) == [Lost()]
    assert one.over


def test_a_race_asks_several_from_the_start_and_keeps_as_many_going():
    one, effects = race(Pool(ABC, Policy(race=2)))
    assert effects[:2] == [Ask("a"), Ask("b")]
    assert Ask("c") in one.handle(Failed("a", Fault.UNAVAILABLE), 0.1)


def test_at_the_deadline_everybody_is_dropped():
    one, _ = race(Pool(("a",)), deadline_s=2.0)
    assert one.handle(Alarm(), 2.0) == [Drop("a"), Lost()]


def test_the_fastest_is_asked_first_the_next_time():
    pool = Pool(ABC)
    for name, took_s in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
        pool.note_answer(name, took_s, 1.0)
    assert pool.order(2.0) == ["b", "c", "a"]


def test_one_given_up_for_a_faster_one_loses_its_place():
    pool = Pool(("a", "b"))
    for name in ("a", "b"):
        pool.note_answer(name, 0.1 if name == "a" else 0.2, 0.0)
    one, _ = race(pool, now=1.0)
    one.handle(Alarm(), 1.3)
    one.handle(Answered("b"), 2.9)
    assert pool.order(3.0) == ["b", "a"]


def test_a_latency_is_forgotten_so_that_a_slow_source_gets_another_chance():
    pool = Pool(("a", "b"), Policy(memory_s=300.0))
    pool.note_answer("a", 9.0, 0.0)
    pool.note_answer("b", 0.1, 200.0)
    assert pool.order(299.0) == ["b", "a"]
    assert pool.order(301.0) == ["a", "b"]


def test_the_hedge_follows_the_usual_latency_within_bounds():
    pool = Pool(("a",), Policy(hedge_after_s=0.5, hedge_factor=3.0, hedge_least_s=0.05, hedge_most_s=2.0))
    assert pool.hedge_delay_s("a", 0.0) == 0.5
    pool.note_answer("a", 0.2, 0.0)
    assert pool.hedge_delay_s("a", 0.0) == pytest.approx(0.6)
    for _ in range(40):
        pool.note_answer("a", 0.001, 1.0)
    assert pool.hedge_delay_s("a", 1.0) == 0.05
    for _ in range(40):
        pool.note_answer("a", 60.0, 2.0)
    assert pool.hedge_delay_s("a", 2.0) == 2.0


def test_back_off_doubles_up_to_its_bound_and_ends_with_an_answer():
    pool = Pool(("a",), Policy(rest_first_s=1.0, rest_most_s=8.0))
    rests = []
    for _ in range(6):
        pool.health["a"].rests_until_s = float("-inf")
        pool.note_failure(Failed("a", Fault.UNAVAILABLE), 100.0)
        rests.append(pool.health["a"].rests_until_s - 100.0)
    assert rests == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    pool.note_answer("a", 0.1, 101.0)
    assert not pool.health["a"].resting(101.0)
    assert pool.health["a"].failures == 0


def test_a_source_that_asks_for_patience_rests_as_long_but_not_for_ever():
    pool = Pool(("a",), Policy(lie_rest_s=600.0))
    pool.note_failure(Failed("a", Fault.UNAVAILABLE, retry_after_s=90.0), 0.0)
    assert pool.health["a"].rests_until_s == 90.0
    pool.note_failure(Failed("a", Fault.UNAVAILABLE, retry_after_s=1e9), 0.0)
    assert pool.health["a"].rests_until_s == 600.0


def test_a_round_that_is_not_there_is_no_fault():
    pool = Pool(("a", "b"))
    pool.note_failure(Failed("a", Fault.ABSENT), 0.0)
    assert pool.order(0.0) == ["a", "b"]


def test_liars_come_last_behind_those_that_rest():
    pool = Pool(ABC)
    pool.note_failure(Failed("a", Fault.LIED), 0.0)
    pool.note_failure(Failed("b", Fault.UNAVAILABLE), 0.0)
    assert pool.order(0.5) == ["c", "b", "a"]
    assert pool.order(1e6) == ["a", "b", "c"]


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_a_pool_needs_sources_with_names_of_their_own(names: tuple[str, ...]):
    with pytest.raises(ValueError, match="sources"):
        Pool(names)


EVENTS = st.one_of(
    st.builds(Answered, st.sampled_from(ABC)),
    st.builds(Failed, st.sampled_from(ABC), st.sampled_from(Fault), st.none() | st.floats(0, 1e6)),
    st.just(Alarm()),
)


@given(
    steps=st.lists(st.tuples(EVENTS, st.floats(0, 20)), max_size=30),
    width=st.integers(0, 4),
    past=st.lists(st.tuples(st.sampled_from(ABC), st.sampled_from(Fault)), max_size=6),
)
def test_whatever_happens_a_race_asks_nobody_twice_and_ends_once(
    steps: list[tuple[Event, float]], width: int, past: list[tuple[str, Fault]]
):
    pool = Pool(ABC, Policy(race=width))
    for name, fault in past:
        pool.note_failure(Failed(name, fault), 0.0)
    one, effects = race(pool)
    told, now = list(effects), 0.0
    for event, later in steps:
        now += later
        effects = one.handle(event, now)
        told += effects
        if not one.over:
            alarms = [effect.at_s for effect in effects if isinstance(effect, WakeAt)]
            assert all(at_s <= one.deadline_s for at_s in alarms)
            assert one.under_way
    asked = [effect.source for effect in told if isinstance(effect, Ask)]
    ends = [effect for effect in told if isinstance(effect, Won | Lost)]
    dropped = [effect.source for effect in told if isinstance(effect, Drop)]
    assert len(asked) == len(set(asked)) >= 1
    assert len(ends) == one.over
    assert set(dropped) <= set(asked)
    assert not one.over or isinstance(told[-1], Won | Lost)


@given(st.lists(st.tuples(st.sampled_from(ABC), st.sampled_from(Fault), st.floats(0, 100)), max_size=40))
def test_no_source_is_ever_out_of_the_order_and_every_rest_ends(past: list[tuple[str, Fault, float]]):
    pool, now = Pool(ABC), 0.0
    for name, fault, later in past:
        now += later
        pool.note_failure(Failed(name, fault), now)
        assert sorted(pool.order(now)) == list(ABC)
    assert pool.order(now + pool.policy.lie_rest_s) == list(ABC)
