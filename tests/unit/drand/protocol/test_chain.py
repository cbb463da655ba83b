"""The append rule: nothing is skipped, nothing is replaced, and a run that does not fit leaves no trace."""

from dataclasses import replace

import pytest

from drand.errors import InvalidBeacon
from drand.protocol.chain import Chain, ForeignChain, genesis_beacon
from tests.support.committee import TOY_CHAINED, TOY_UNCHAINED, Committee

CHAINED = Committee(TOY_CHAINED, size=4, threshold=3)
UNCHAINED = Committee(TOY_UNCHAINED, size=4, threshold=3)
both_kinds = pytest.mark.parametrize("committee", [CHAINED, UNCHAINED], ids=["chained", "unchained"])


def chain_at(committee: Committee, round_: int) -> Chain:
    return Chain(committee.epoch(0).group, committee.beacon(round_))


@both_kinds
def test_a_run_is_appended_whole_and_what_is_stored_already_is_passed_over(committee: Committee):
    chain = chain_at(committee, 3)
    run = [committee.beacon(round_) for round_ in range(2, 7)]
    assert chain.extend(run) == tuple(run[2:])
    assert chain.head == run[-1]
    assert chain.extend(run) == ()


@both_kinds
def test_a_run_with_a_gap_leaves_the_chain_as_it_was(committee: Committee):
    chain = chain_at(committee, 3)
    with pytest.raises(InvalidBeacon, match="last 5, new 7"):
        chain.extend([committee.beacon(round_) for round_ in (4, 5, 7)])
    assert chain.head == committee.beacon(3)


def test_a_run_of_another_history_leaves_the_chain_as_it_was():
    chain = chain_at(CHAINED, 3)
    other = replace(CHAINED.beacon(5), previous_signature=bytes(TOY_CHAINED.signature_bytes))
    with pytest.raises(InvalidBeacon, match="invalid previous signature for 5"):
        chain.extend([CHAINED.beacon(4), other])
    assert chain.head == CHAINED.beacon(3)


@pytest.mark.parametrize("round_", [2, 3, 5])
def test_a_beacon_is_appended_to_the_one_before_it_only(round_: int):
    chain = chain_at(CHAINED, 3)
    with pytest.raises(InvalidBeacon, match=f"last 3, new {round_}"):
        chain.append(CHAINED.beacon(round_))


def test_a_signature_of_another_length_is_not_appended():
    chain = chain_at(CHAINED, 3)
    with pytest.raises(InvalidBeacon, match="bytes, not"):
        chain.append(replace(CHAINED.beacon(4), signature=CHAINED.beacon(4).signature + b"\0"))


def test_what_the_heads_partials_built_on_is_known_also_after_a_restart_of_a_chained_one():
    assert chain_at(CHAINED, 3).parent_signature == CHAINED.beacon(2).signature
    assert chain_at(UNCHAINED, 3).parent_signature is None
    chain = chain_at(UNCHAINED, 3)
    chain.append(UNCHAINED.beacon(4))
    assert chain.parent_signature == UNCHAINED.beacon(3).signature


def test_the_genesis_of_another_chain_is_refused():
    group = CHAINED.epoch(0).group
    assert Chain(group, genesis_beacon(group)).head.signature == group.genesis_seed
    with pytest.raises(ForeignChain):
        Chain(group, replace(genesis_beacon(group), signature=bytes(32)))
