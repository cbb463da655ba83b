"""Every lie is told and has the consequence it should have; no other faults, so that nothing else can explain it."""

from collections import Counter
from dataclasses import replace

import pytest

from collective.errors import CollectiveError
from drand.protocol.steps import CulpritNamed, Event, Fact
from drand.sim.drand_world import DrandWorld, Outcome
from drand.sim.node import SimulatedNode
from drand.sim.scenario import Lie, Scenario
from drand.sim.toy_schemes import toy_scheme

NODES = 5
QUIET = Scenario(nodes=NODES, threshold=3, scheme=toy_scheme(chained=True), rounds=20, calm_rounds=6)
SEEDS = range(3)


def live(seed: int, scenario: Scenario) -> tuple[Outcome, Counter[str]]:
    """The outcome, and how often honest nodes named somebody, or refused something, for what reason."""
    heard: Counter[str] = Counter()

    class Listening(SimulatedNode):
        def step(self, event: Event) -> CollectiveError | None:
            error = super().step(event)
            if error is not None and self.honest:
                heard[type(error).__name__] += 1
            return error

        def _hear_fact(self, fact: Fact) -> None:
            if isinstance(fact, CulpritNamed) and self.honest:
                heard[fact.what] += 1
            super()._hear_fact(fact)

    return DrandWorld(seed, scenario, node_type=Listening).run(), heard


@pytest.mark.parametrize("seed", SEEDS)
def test_honest_nodes_name_nobody_and_refuse_nothing(seed: int):
    outcome, heard = live(seed, QUIET)
    assert (len(outcome.members), outcome.finished, sum(heard.values())) == (NODES, NODES, 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("lie", "what"),
    [
        (Lie.TWO_DEALS, "signed two different deal bundles"),
        (Lie.BAD_SHARE_UNJUSTIFIED, "did not justify its share"),
        (Lie.FALSE_JUSTIFICATION, "a false justification"),
        (Lie.TWO_RESPONSES, "signed two different response bundles"),
        (Lie.TWO_VERDICTS, "signed two different response bundles"),
        (Lie.TWO_JUSTIFICATIONS, "signed two different justification bundles"),
        (Lie.COMPLAINER, "did not justify its share"),
        (Lie.SILENT_DEALER, "sent no deal"),
    ],
)
def test_who_lies_in_the_key_generation_is_named_by_every_honest_node_and_left_out(lie: Lie, what: str, seed: int):
    outcome, heard = live(seed, replace(QUIET, lie=lie))
    assert (len(outcome.members), outcome.finished) == (NODES - 1, NODES - 1)
    assert sum(count for said, count in heard.items() if what in said) == NODES - 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "lie",
    [
        Lie.BAD_SHARE,
        Lie.MOVED_BORDERS,
        Lie.REPLAYER,
        Lie.RELABELLER,
        Lie.WRONG_PARTIALS,
        Lie.SILENT_SIGNER,
        Lie.STRAY_PARTIALS,
    ],
)
def test_who_justifies_itself_or_lies_only_later_is_a_member_and_the_others_make_the_rounds(lie: Lie, seed: int):
    outcome, _ = live(seed, replace(QUIET, lie=lie))
    assert (len(outcome.members), outcome.finished, outcome.rounds) == (NODES, NODES - 1, QUIET.rounds)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("lie", "refusals"),
    [
        (Lie.REPLAYER, {"WrongSession"}),
        (Lie.RELABELLER, {"Malformed"}),
        (Lie.WRONG_PARTIALS, {"InvalidPartial"}),
        (Lie.STRAY_PARTIALS, {"RoundTooEarly", "UnknownSigner", "OwnIndex", "Malformed", "InvalidPartial"}),
    ],
)
def test_what_is_out_of_place_is_refused_for_what_it_is(lie: Lie, refusals: set[str], seed: int):
    _, heard = live(seed, replace(QUIET, lie=lie))
    assert refusals <= set(heard)


def test_an_archive_that_lies_is_found_out_by_a_node_that_catches_up():
    scenario = replace(QUIET, lie=Lie.LYING_ARCHIVE, crashes=3, down_s=20.0)
    found = Counter[str]()
    for seed in SEEDS:
        found += live(seed, scenario)[1]
    assert any("does not verify" in what for what in found)
