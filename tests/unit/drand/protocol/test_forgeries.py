"""Forged partials cost a bounded share of the processor, and lock no member out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drand.model.chain import Round
from drand.model.packets import Origin, PartialPacket
from drand.model.schemes import scheme_named
from drand.protocol.aggregation import Aggregation, InvalidPartial
from drand.protocol.forgeries import (
    FORGERS_SHARE,
    MAX_REMEMBERED,
    NETWORK_SHARE,
    NEWCOMERS_SHARE,
    SLOW_VERIFICATION_S,
    VERIFICATION_S,
    ForgeryBudget,
    TooManyForgeries,
)
from tests.support.committee import TOY_CHAINED, Committee

COMMITTEE = Committee(TOY_CHAINED, size=7, threshold=4)
FAST = scheme_named("pedersen-bls-chained")
SLOW = scheme_named("bls-bn254-unchained-on-g1")
STRANGER = Origin("192.0.2.1", "192.0.2.1:1000")
BURST = 20  # NETWORK_SHARE / VERIFICATION_S * SAVED_S


class Listener:
    """Node 0, at the head of the chain, in round 10."""

    def __init__(self) -> None:
        self.head = COMMITTEE.beacon(9)
        self.aggregation = Aggregation(COMMITTEE.epoch(0))
        self.now = 1000.0

    def hear(self, packet: PartialPacket, origin: Origin | None) -> bool:
        return self.aggregation.add(packet, self.head, Round(10), origin=origin, now=self.now)

    def forge(self, times: int, origin: Origin | None = STRANGER, index: int = 1) -> list[type[Exception] | None]:
        """What each of so many different forgeries was answered with."""
        answers: list[type[Exception] | None] = []
        for variant in range(times):
            try:
                self.hear(COMMITTEE.bad_partial(index, 10, variant), origin)
            except (InvalidPartial, TooManyForgeries) as error:
                answers.append(type(error))
            else:
                answers.append(None)
        return answers


def test_a_network_that_forges_is_not_listened_to_once_its_bucket_is_empty():
    listener = Listener()
    answers = listener.forge(100)
    assert answers[0] is None, "the first one found a free place, and cost nothing"
    assert answers[1 : 1 + BURST] == [InvalidPartial] * BURST
    assert set(answers[1 + BURST :]) == {TooManyForgeries}
    listener.now += 1.0
    assert listener.forge(100).count(InvalidPartial) == round(NETWORK_SHARE / VERIFICATION_S)


def test_a_member_behind_the_forgers_address_is_heard_on_its_own_connection():
    listener = Listener()
    member = Origin(STRANGER.network, f"{STRANGER.network}:2000")
    for index in (1, 2, 3, 4):
        assert listener.hear(COMMITTEE.partial(index, 10), member)
    assert listener.aggregation.combine(listener.head).beacon == COMMITTEE.beacon(10)
    listener.aggregation.forget(COMMITTEE.beacon(10))
    listener.head = COMMITTEE.beacon(10)

    assert listener.hear(COMMITTEE.bad_partial(1, 11), STRANGER)
    for variant in range(1, 100):
        with pytest.raises((InvalidPartial, TooManyForgeries)):
            listener.hear(COMMITTEE.bad_partial(1, 11, variant), STRANGER)
    with pytest.raises(TooManyForgeries):
        listener.hear(COMMITTEE.partial(1, 11), STRANGER)
    assert listener.hear(COMMITTEE.partial(1, 11), member)


def test_a_known_connection_that_brings_a_bad_partial_is_known_no_more():
    listener = Listener()
    listener.forge(100, index=1)
    known = Origin(STRANGER.network, "known")
    listener.aggregation._forgeries.proved(known)
    assert listener.hear(COMMITTEE.partial(1, 10), known)
    assert listener.forge(1, known, index=2) == [None]
    assert listener.forge(3, known, index=2)[1:] == [InvalidPartial, TooManyForgeries]


def test_without_forgers_no_bucket_is_asked():
    listener = Listener()
    listener.forge(100, index=1)
    assert listener.hear(COMMITTEE.partial(2, 10), STRANGER), "a free place under an index that nobody forged"


def test_many_networks_together_cost_no_more_than_the_share_of_strangers_and_known_ones_are_heard():
    budget = ForgeryBudget.of_partials(FAST)
    member = Origin("198.51.100.7", "198.51.100.7:1")
    budget.proved(member)
    verified = 0
    for number in [*range(1000), *range(1000)]:
        stranger = Origin(f"2001:db8:0:{number:x}::/64", "")
        try:
            budget.check(stranger, 0.0)
        except TooManyForgeries:
            continue
        budget.failed(stranger, 0.0)
        verified += 1
    assert verified == round((FORGERS_SHARE + NEWCOMERS_SHARE) / VERIFICATION_S * 2)
    budget.check(member, 0.0)
    budget.check(Origin(member.network, "another connection"), 0.0)
    with pytest.raises(TooManyForgeries):
        budget.check(Origin("203.0.113.1", ""), 0.0)


def test_a_newcomer_is_heard_while_networks_flood_that_did_so_before():
    budget = ForgeryBudget.of_partials(FAST)
    networks = round(NEWCOMERS_SHARE / VERIFICATION_S * 2)
    now, refused = 0.0, 0
    for number in range(100 * networks):
        stranger = Origin(str(number % networks), "")
        now += 0.001
        try:
            budget.check(stranger, now)
        except TooManyForgeries:
            refused += 1
        else:
            budget.failed(stranger, now)
    assert refused > 90 * networks
    budget.check(Origin("203.0.113.1", ""), now)


@given(
    steps=st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 50)), max_size=60),
    slow=st.booleans(),
)
def test_however_the_clock_goes_no_more_is_spent_than_time_has_passed(steps: list[tuple[float, int]], slow: bool):
    budget = ForgeryBudget.of_partials(SLOW if slow else FAST)
    cost_s = SLOW_VERIFICATION_S if slow else VERIFICATION_S
    now, forward, verified = 0.0, 0.0, 0
    for step, attempts in steps:
        now += step
        forward += max(step, 0.0)
        for number in range(attempts):
            stranger = Origin(str(number), "")
            try:
                budget.check(stranger, now)
            except TooManyForgeries:
                continue
            budget.failed(stranger, now)
            verified += 1
    assert verified * cost_s <= (FORGERS_SHARE + NEWCOMERS_SHARE) * (forward + 2.0) + 5 * cost_s


def test_what_is_remembered_is_bounded():
    budget = ForgeryBudget.of_partials(FAST)
    for number in range(MAX_REMEMBERED + 100):
        budget.proved(Origin(str(number), ""))
        budget.failed(Origin(f"bad {number}", ""), 0.0)
    assert [len(held) for held in (budget._known, budget._known_networks, budget._networks)] == [MAX_REMEMBERED] * 3
