"""Beacons under one chain's key: what no group ever signs is refused before any mathematics."""

from dataclasses import replace

import pytest

from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, Round
from drand.model.verification import ChainVerifier
from tests.support.committee import TOY_CHAINED, TOY_UNCHAINED, Committee
from tests.support.entropy import SeededEntropy

CHAINED = Committee(TOY_CHAINED, size=4, threshold=3)
UNCHAINED = Committee(TOY_UNCHAINED, size=4, threshold=3)
both_kinds = pytest.mark.parametrize("committee", [CHAINED, UNCHAINED], ids=["chained", "unchained"])


def verifier(committee: Committee) -> ChainVerifier:
    group = committee.epoch(0).group
    return ChainVerifier(group.scheme, group.public_key[0])


@both_kinds
def test_good_beacons_are_good_one_by_one_and_many_at_a_time(committee: Committee):
    beacons = [committee.beacon(round_) for round_ in range(1, 8)]
    for beacon in beacons:
        verifier(committee).check(beacon)
    assert verifier(committee).bad_rounds(beacons, SeededEntropy(1)) == frozenset()


@both_kinds
@pytest.mark.parametrize("round_", [0, -1, 2**64])
def test_nobody_signed_such_a_round(committee: Committee, round_: int):
    impossible = replace(committee.beacon(3), round=Round(round_))
    with pytest.raises(InvalidBeacon, match="there is no signed round"):
        verifier(committee).check(impossible)
    beacons = [committee.beacon(2), impossible, committee.beacon(4)]
    assert verifier(committee).bad_rounds(beacons, SeededEntropy(1)) == {round_}


def test_a_chained_beacon_needs_its_previous_signature():
    alone = Beacon(Round(5), CHAINED.beacon(5).signature)
    with pytest.raises(InvalidBeacon, match="needs its previous signature"):
        verifier(CHAINED).check(alone)
    assert verifier(CHAINED).bad_rounds([CHAINED.beacon(4), alone], SeededEntropy(1)) == {5}


@both_kinds
def test_only_the_rounds_that_do_not_verify_are_named(committee: Committee):
    beacons = [committee.beacon(round_) for round_ in range(1, 8)]
    beacons[2], beacons[5] = replace(beacons[2], signature=beacons[3].signature), replace(beacons[5], signature=b"")
    assert verifier(committee).bad_rounds(beacons, SeededEntropy(1)) == {3, 6}
