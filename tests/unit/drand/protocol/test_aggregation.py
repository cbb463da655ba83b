"""Partials come in, in any order, good and bad; one beacon comes out, or none."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collective.errors import Malformed, MalformedPoint
from drand.model.chain import Round
from drand.model.packets import PartialPacket
from drand.model.schemes import SCHEME_NAMES, scheme_named
from drand.protocol.aggregation import (
    MAX_HASHED,
    WINDOW_ROUNDS,
    Aggregation,
    InvalidPartial,
    OtherHistory,
    OwnIndex,
    RoundTooEarly,
    UnknownSigner,
)
from tests.support.committee import TOY_CHAINED, TOY_UNCHAINED, Committee, real_committee

CHAINED = Committee(TOY_CHAINED, size=7, threshold=4)
UNCHAINED = Committee(TOY_UNCHAINED, size=7, threshold=4)
both_kinds = pytest.mark.parametrize("committee", [CHAINED, UNCHAINED], ids=["chained", "unchained"])
CURRENT = Round(10)
OWN = 0


class Listener:
    """Node 0's aggregation, with the chain at `head`."""

    def __init__(self, committee: Committee, head: int = 9) -> None:
        self.committee = committee
        self.head = committee.beacon(head)
        self.aggregation = Aggregation(committee.epoch(OWN))

    def hear(self, packet: PartialPacket) -> bool:
        return self.aggregation.add(packet, self.head, CURRENT)

    def hear_good(self, *indices: int, round_: int = 10) -> None:
        for index in indices:
            assert self.hear(self.committee.partial(index, round_))

    def combined(self) -> bool:
        combined = self.aggregation.combine(self.head)
        if combined.beacon is not None:
            assert combined.beacon == self.committee.beacon(self.head.round + 1)
        return combined.beacon is not None

    def advance(self) -> None:
        self.head = self.committee.beacon(self.head.round + 1)
        self.aggregation.forget(self.head)


@both_kinds
def test_the_threshold_makes_the_beacon_and_one_less_does_not(committee: Committee) -> None:
    listener = Listener(committee)
    listener.hear_good(1, 2, 6)
    assert not listener.combined()
    assert listener.aggregation.add_own(committee.partial(OWN, 10), listener.head)
    assert listener.combined()


@pytest.mark.parametrize("name", SCHEME_NAMES)
def test_every_scheme_aggregates_around_a_bad_partial(name: str) -> None:
    committee = real_committee(scheme_named(name))
    listener = Listener(committee, head=0)
    for packet in (committee.partial(4, 1), committee.bad_partial(1, 1), committee.partial(2, 1)):
        assert listener.hear(packet)
    combined = listener.aggregation.combine(listener.head)
    assert combined.beacon is None
    assert combined.culprits == (1,)
    listener.hear_good(3, round_=1)
    assert listener.combined()


@given(data=st.data(), chained=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_threshold_of_good_partials_among_bad_ones_in_any_order_makes_the_same_beacon(
    data: st.DataObject, chained: bool
) -> None:
    committee = CHAINED if chained else UNCHAINED
    good = data.draw(st.lists(st.integers(1, 6), min_size=4, max_size=6, unique=True))
    bad = data.draw(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), max_size=8))
    packets = [committee.partial(index, 10) for index in good]
    packets += [committee.bad_partial(index, 10, variant) for index, variant in bad]
    listener = Listener(committee)
    made = False
    for packet in data.draw(st.permutations(packets)):
        try:
            listener.hear(packet)
        except InvalidPartial:
            assert packet in packets[len(good) :]
        made = made or listener.combined()
    assert made


def test_a_signer_whose_partial_was_bad_is_verified_before_it_is_kept_from_then_on() -> None:
    listener = Listener(CHAINED)
    listener.hear_good(2, 3, 4)
    assert listener.hear(CHAINED.bad_partial(1, 10))
    assert listener.aggregation.combine(listener.head).culprits == (1,)
    assert listener.aggregation.distrusted == {1}
    with pytest.raises(InvalidPartial, match="node 1"):
        listener.hear(CHAINED.bad_partial(1, 10))
    assert listener.aggregation.count(Round(10)) == 3
    listener.hear_good(1)
    assert listener.combined()


def test_rubbish_under_the_index_of_an_honest_node_does_not_keep_its_partial_out() -> None:
    listener = Listener(CHAINED)
    for index in (1, 2, 3, 4):
        assert listener.hear(CHAINED.bad_partial(index, 10))
    listener.hear_good(1, 2, 3, 4)
    assert listener.combined()
    assert listener.aggregation.distrusted == {1, 2, 3, 4}


def test_rubbish_that_comes_second_is_refused() -> None:
    listener = Listener(CHAINED)
    listener.hear_good(1)
    with pytest.raises(InvalidPartial):
        listener.hear(CHAINED.bad_partial(1, 10))
    assert listener.aggregation.distrusted == frozenset()
    assert not listener.hear(CHAINED.partial(1, 10))


def test_a_bad_partial_among_more_than_enough_is_dropped_and_the_beacon_made_at_once() -> None:
    listener = Listener(CHAINED, head=8)
    listener.hear_good(2, 3, 4, 5, round_=10)
    assert listener.hear(CHAINED.bad_partial(1, 10))
    assert not listener.combined()
    listener.advance()
    combined = listener.aggregation.combine(listener.head)
    assert combined.beacon == CHAINED.beacon(10)
    assert combined.culprits == (1,)


def test_a_round_two_ahead_is_refused_and_one_ahead_is_welcome() -> None:
    listener = Listener(CHAINED)
    with pytest.raises(RoundTooEarly, match="invalid round: 12 instead of 10"):
        listener.hear(CHAINED.partial(1, 12))
    assert listener.hear(CHAINED.partial(1, 11))


def test_a_late_partial_is_passed_over_whatever_it_contains() -> None:
    listener = Listener(CHAINED)
    assert not listener.hear(PartialPacket(Round(9), b"", b"garbage"))
    assert not listener.aggregation.add_own(CHAINED.partial(OWN, 9), listener.head)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda p: replace(p, partial=p.partial[:-1]), Malformed),
        (lambda p: replace(p, partial=p.partial + b"\0"), Malformed),
        (lambda p: replace(p, previous_signature=bytes(33)), Malformed),
        (lambda p: replace(p, partial=b"\0\x07" + p.partial[2:]), UnknownSigner),
        (lambda p: replace(p, partial=b"\0\0" + p.partial[2:]), OwnIndex),
        (lambda p: replace(p, previous_signature=bytes(16)), OtherHistory),
        (lambda p: replace(p, partial=p.partial[:2] + b"\xff" * 16), MalformedPoint),
        (lambda p: replace(p, partial=p.partial[:2] + bytes(16)), MalformedPoint),
    ],
    ids=["short", "long", "long-previous", "stranger", "own-index", "other-history", "no-point", "identity"],
)
def test_a_broken_partial_is_refused_and_leaves_no_trace(change, error: type[Exception]) -> None:  # type: ignore[no-untyped-def]
    listener = Listener(CHAINED)
    with pytest.raises(error):
        listener.hear(change(CHAINED.partial(1, 10)))
    assert listener.aggregation.count(Round(10)) == 0
    assert listener.aggregation.distrusted == frozenset()


def test_the_vault_may_not_sign_as_somebody_else() -> None:
    listener = Listener(CHAINED)
    with pytest.raises(UnknownSigner, match="the vault signed as node 1, we are node 0"):
        listener.aggregation.add_own(CHAINED.partial(1, 10), listener.head)


def test_partials_beyond_the_window_are_not_kept() -> None:
    listener = Listener(CHAINED, head=2)
    assert listener.hear(CHAINED.partial(1, 2 + WINDOW_ROUNDS))
    assert not listener.hear(CHAINED.partial(1, 3 + WINDOW_ROUNDS))


def test_unchained_partials_combine_whatever_previous_signature_they_carry() -> None:
    listener = Listener(UNCHAINED)
    for index, previous in ((1, b""), (2, None), (3, bytes(8)), (4, b"x")):
        assert listener.hear(UNCHAINED.partial(index, 10, previous))
    assert not listener.hear(UNCHAINED.partial(1, 10, bytes(8)))
    assert listener.combined()


def test_chained_partials_of_another_history_are_dropped_when_the_chain_reaches_them() -> None:
    listener = Listener(CHAINED, head=8)
    assert listener.hear(CHAINED.partial(1, 10, bytes(16)))
    listener.hear_good(2, 3, 4, round_=10)
    listener.advance()
    assert listener.aggregation.count(Round(10)) == 3
    assert not listener.combined()
    listener.hear_good(1)
    assert listener.combined()


def test_a_partial_that_came_with_another_history_first_is_taken_with_its_own() -> None:
    listener = Listener(CHAINED, head=8)
    packet = CHAINED.partial(1, 10)
    assert listener.hear(replace(packet, previous_signature=bytes(16)))  # anybody can send it so, and be faster
    assert listener.hear(packet)
    listener.hear_good(2, 3, 4, round_=10)
    listener.advance()
    assert listener.combined()


def test_what_was_held_for_rounds_that_are_made_is_let_go() -> None:
    listener = Listener(CHAINED, head=7)
    for round_ in (8, 9, 10):
        listener.hear_good(1, 2, 3, 4, round_=round_)
    while listener.head.round < 9:
        assert listener.combined()
        listener.advance()
        assert listener.aggregation.count(listener.head.round) == 0
        assert {round_ for round_, _ in listener.aggregation._hashed} <= {Round(listener.head.round + 1)}
    assert listener.aggregation.count(Round(10)) == 4


def test_a_signer_of_two_histories_keeps_its_first_verified_partial() -> None:
    listener = Listener(CHAINED, head=8)
    assert listener.hear(CHAINED.partial(1, 10, bytes(16)))
    assert listener.hear(CHAINED.partial(1, 10))
    assert not listener.hear(CHAINED.partial(1, 10, bytes(16)))
    listener.advance()
    assert listener.aggregation.count(Round(10)) == 1


def test_a_flood_of_histories_holds_one_place_for_each_signer_and_a_bounded_number_of_hashes() -> None:
    listener = Listener(CHAINED, head=8)
    for number in range(3 * MAX_HASHED):
        listener.hear(CHAINED.partial(1, 10, b"history %d" % number))
    assert listener.aggregation.count(Round(10)) == 1
    assert len(listener.aggregation._hashed) <= MAX_HASHED
    listener.hear_good(2, 3, 4, 5, round_=10)
    listener.advance()
    assert listener.combined()
