"""Whole lives of networks: a fresh ceremony and fifty rounds for every seed, with faults and one liar.

`DRAND_SIM_SEEDS=N` runs the seeds 0 to N - 1 instead of 500. A failure names its seed: see docs/howto/replay-a-seed.md.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from drand.model.schemes import scheme_named
from drand.sim.drand_world import DrandWorld, Outcome
from drand.sim.scenario import Lie, scenario_of

SEEDS = int(os.environ.get("DRAND_SIM_SEEDS", "500"))
CHUNKS = 20
FAILED_ONCE = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def live(seed: int) -> Outcome:
    """Raises SafetyViolated, which names the seed."""
    scenario = scenario_of(seed)
    outcome = DrandWorld(seed, scenario).run()
    assert outcome.finished >= scenario.threshold
    assert outcome.rounds == 50
    return outcome


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_seed_is_safe_and_catches_up_once_faults_stop(chunk: int):
    outcomes = [live(seed) for seed in range(chunk, SEEDS, CHUNKS)]
    assert all(outcome.steps > 500 for outcome in outcomes)
    if len(outcomes) >= 10:  # faults were not only planned: nodes died, and messages were lost
        assert sum(outcome.deaths for outcome in outcomes) > len(outcomes)
        assert sum(outcome.lost for outcome in outcomes) > 10 * len(outcomes)


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_a_seed_that_failed_once_does_not_fail_again(seed: int):
    assert live(seed).seed == seed


@pytest.mark.parametrize(
    ("seed", "name"),
    [
        (1, "pedersen-bls-chained"),
        (2, "pedersen-bls-unchained"),
        (8, "bls-unchained-g1-rfc9380"),
        (12, "pedersen-bls-chained"),
    ],
)
def test_the_same_world_on_the_real_curve(seed: int, name: str):
    scenario = replace(scenario_of(seed, scheme=scheme_named(name)), rounds=20, calm_rounds=8)
    outcome = DrandWorld(seed, scenario).run()
    assert outcome.finished >= scenario.threshold


def test_five_hundred_seeds_cover_every_lie_every_size_and_every_fault():
    scenarios = [scenario_of(seed) for seed in range(500)]
    assert {scenario.lie for scenario in scenarios} == {None, *Lie}
    assert {scenario.nodes for scenario in scenarios} == {4, 5, 6, 7}
    assert {scenario.threshold for scenario in scenarios} >= {3, 4, 5, 6}
    assert {scenario.scheme.chained for scenario in scenarios} == {True, False}
    for fault in ("ceremony_crashes", "crashes", "cuts", "clock_steps", "full_disks", "vault_contact_s"):
        assert sum(getattr(scenario, fault) > 0 for scenario in scenarios) > 50, fault
    for fault in ("loss", "duplication", "reordering"):
        assert sum(getattr(scenario.links, fault) > 0 for scenario in scenarios) > 50, fault
