"""The bench runs and reports what it was given; how fast anything is is nobody's test."""

import pytest

from bench import streams
from bench.__main__ import MEASUREMENTS, parse
from bench.lateness import quantile
from bench.sync_speed import made_chain
from bench.table import Goal, Row, markdown
from bench.verify import measure, timings
from collective.entropy import SystemEntropy
from collective.groups.bls12381 import available_backends
from collective.secret import SecretScalar
from drand.model.schemes import SCHEME_NAMES, scheme_named
from drand.model.verification import ChainVerifier


def test_every_scheme_on_every_backend_is_timed():
    found = timings(count=3, samples=1, every_backend=True)
    assert len(found) == (len(SCHEME_NAMES) - 1) * len(available_backends()) + 1
    assert all(one.single_us > 0 and one.batched_us > 0 and one.ratios[0] > 0 for one in found)


def test_a_scheme_has_three_rows_and_a_goal_for_the_ratio_alone():
    rows = measure(count=3, samples=1, only=["g1-rfc9380"])
    assert [row.goal for row in rows] == [None, None, Goal(least=6.0)]


def test_the_chain_to_catch_up_with_is_a_real_one():
    scheme = scheme_named("bls-unchained-g1-rfc9380")
    key = scheme.key_group.encode(scheme.bls.public_key(SecretScalar(7)))
    beacons = made_chain(3)
    assert ChainVerifier(scheme, key).bad_rounds(beacons[1:], SystemEntropy()) == frozenset()


def test_a_fan_out_is_judged_from_the_second_in_which_the_round_is_due():
    heard = [streams.Heard(first_ms=20 + n, median_ms=50, last_ms=200 + 10 * n, readers_cpu_ms=30) for n in range(10)]
    median, tail, spread = streams.rows(5000, heard)
    assert (median.ours, median.spread, median.goal) == (245.0, (200, 290), Goal(most=250))
    assert (tail.ours, tail.goal) == (280, Goal(most=250))
    assert (spread.ours, spread.goal) == (220.5, None)


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal(least=6), 6.0, True),
        (Goal(least=6), 5.9, False),
        (Goal(most=0.05), 0.05, True),
        (Goal(most=1), 2.0, False),
    ],
)
def test_a_goal_is_met_up_to_its_bound(goal: Goal, value: float, met: bool):
    assert goal.met_by(value) is met


@pytest.mark.parametrize(("fraction", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)])
def test_a_quantile_is_one_of_the_values(fraction: float, expected: float):
    assert quantile([float(value) for value in range(1, 101)], fraction) == expected


def test_a_missed_goal_stands_out_and_an_absent_measurement_says_why():
    table = markdown(
        [
            Row(what="a", unit="s", ours=2.0, go=1.0, goal=Goal(most=1.5)),
            Row(what="b", unit="requests/s", ours=None, goal=Goal(least=1), note="wrk is not installed"),
        ]
    )
    first, second = table.splitlines()[2:]
    assert "**missed**" in first
    assert "missed" not in second
    assert "wrk is not installed" in second


def test_measurements_are_chosen_by_name():
    assert parse(["verify", "memory", "--quick"]).names == ["verify", "memory"]
    assert parse([]).names == []
    with pytest.raises(SystemExit):
        parse(["speed"])
    assert "verify" in MEASUREMENTS
