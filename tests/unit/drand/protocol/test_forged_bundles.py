"""Forged bundles of a ceremony cost a bounded share of the processor, and lock no member out."""

from dataclasses import replace

import pytest

from collective.errors import InvalidSignature, Malformed
from collective.signatures.schnorr import MalformedSignature, signature_bytes
from drand.model.bundles import Bundle, Response, ResponseBundle
from drand.model.chain import Index
from drand.model.group import Peer
from drand.model.packets import Origin
from drand.model.schemes import scheme_named
from drand.protocol.dkg import KeyGeneration
from drand.protocol.echo import EchoBroadcast
from drand.protocol.forgeries import (
    BUNDLE_S,
    NETWORK_SHARE,
    SAVED_S,
    SLOW_BUNDLE_S,
    ForgeryBudget,
    TooManyForgeries,
)
from drand.protocol.steps import Effect, Ids
from tests.support.dkg_world import fresh_terms, vaults

MEMBERS = vaults(4)
TERMS = fresh_terms(MEMBERS, 3)
OTHERS = {member.key: Peer(f"node{place}:4000", tls=False) for place, member in enumerate(MEMBERS) if place}
DEALS = [member.deal(TERMS) for member in MEMBERS]
SIGNATURE_BYTES = signature_bytes(TERMS.scheme.key_group)
STRANGER = Origin("192.0.2.1", "192.0.2.1:1000")
NEIGHBOUR = Origin(STRANGER.network, f"{STRANGER.network}:2000")  # a member behind the stranger's address
MEMBER = Origin("198.51.100.7", "198.51.100.7:1000")
BURST = round(NETWORK_SHARE / BUNDLE_S * SAVED_S)


def response(place: int) -> ResponseBundle:
    return MEMBERS[place].signed(ResponseBundle(Index(place), (Response(Index(0), True),), TERMS.session_id))


class Listener:
    """Node 0 in the dealing phase."""

    def __init__(self) -> None:
        self.echo = EchoBroadcast(TERMS, OTHERS, dealer=Index(0))
        self.now = 1000.0

    def hear(self, bundle: Bundle, origin: Origin | None, *, early: bool = False) -> list[Effect]:
        return self.echo.receive(bundle, self.now, origin, early=early)

    def forge(self, times: int, origin: Origin | None = STRANGER, *, early: bool = False) -> list[type[Exception]]:
        """What each of so many different forgeries was answered with."""
        answers: list[type[Exception]] = []
        for number in range(times):
            forged = replace(DEALS[3], signature=number.to_bytes(SIGNATURE_BYTES, "big"))
            with pytest.raises((InvalidSignature, MalformedSignature, TooManyForgeries)) as refused:
                self.hear(forged, origin, early=early)
            answers.append(refused.type)
        return answers

    def flood(self) -> None:
        """From so many networks that nobody unknown is listened to any more."""
        for number in range(250):
            self.forge(4, Origin(f"203.0.113.{number}", ""))


def test_a_network_that_forges_is_not_listened_to_once_its_bucket_is_empty():
    listener = Listener()
    answers = listener.forge(100)
    assert TooManyForgeries not in answers[:BURST]
    assert set(answers[BURST:]) == {TooManyForgeries}
    listener.now += 1.0
    assert listener.forge(100).count(TooManyForgeries) == 100 - round(NETWORK_SHARE / BUNDLE_S)


def test_a_member_on_a_connection_that_brought_a_good_bundle_is_heard_through_any_flood():
    listener = Listener()
    assert listener.hear(DEALS[1], MEMBER)
    assert listener.hear(DEALS[2], NEIGHBOUR)
    listener.forge(100)
    listener.flood()
    with pytest.raises(TooManyForgeries, match="unknown addresses"):
        listener.hear(response(1), Origin("203.0.113.255", ""))
    with pytest.raises(TooManyForgeries, match=STRANGER.network):
        listener.hear(response(1), STRANGER)
    assert listener.hear(response(1), MEMBER)
    assert listener.hear(response(2), NEIGHBOUR)
    assert listener.hear(DEALS[3], Origin(MEMBER.network, "another connection from a good address"))


@pytest.mark.parametrize("networks", [1, 50])
def test_networks_that_go_on_forging_do_not_keep_a_newcomer_out(networks: int):
    listener = Listener()
    for _ in range(10):
        for number in range(networks):
            listener.forge(10, Origin(f"203.0.113.{number}", ""))
    assert listener.hear(DEALS[1], MEMBER)


def test_a_copy_of_what_we_hold_is_free_and_proves_nothing():
    listener = Listener()
    listener.hear(DEALS[1], MEMBER)
    listener.flood()
    listener.forge(100)
    assert listener.hear(DEALS[1], STRANGER) == []
    with pytest.raises(TooManyForgeries):
        listener.hear(DEALS[2], STRANGER)


def test_a_known_connection_that_forges_is_known_no_more():
    listener = Listener()
    listener.hear(DEALS[1], NEIGHBOUR)
    listener.forge(100)
    assert listener.forge(2, NEIGHBOUR)[1] is TooManyForgeries
    with pytest.raises(TooManyForgeries):
        listener.hear(DEALS[2], NEIGHBOUR)


def test_what_comes_without_an_origin_is_neither_counted_nor_refused():
    listener = Listener()
    listener.flood()
    assert TooManyForgeries not in listener.forge(1000, None)
    assert listener.hear(DEALS[1], None)


def test_what_came_before_the_ceremony_is_not_counted_and_makes_its_sender_known():
    listener = Listener()
    assert TooManyForgeries not in listener.forge(1000, early=True)
    assert TooManyForgeries not in listener.forge(BURST)
    listener.hear(DEALS[1], MEMBER, early=True)
    listener.flood()
    assert listener.hear(response(1), MEMBER)


def test_what_its_author_signed_and_nobody_can_read_costs_its_sender_nothing_and_proves_nothing():
    """A node of v1.5.11 passes it on, and is heard nevertheless."""
    listener = Listener()
    unreadable = MEMBERS[2].signed(replace(DEALS[2], commits=(), deals=()))
    for _ in range(2 * BURST):
        with pytest.raises(Malformed):
            listener.hear(unreadable, MEMBER)
    listener.forge(BURST)
    with pytest.raises(TooManyForgeries):
        listener.hear(unreadable, STRANGER)
    with pytest.raises(TooManyForgeries):
        listener.hear(DEALS[1], STRANGER)


@pytest.mark.parametrize(
    ("scheme", "burst"),
    [
        ("pedersen-bls-chained", NETWORK_SHARE / BUNDLE_S * SAVED_S),
        ("bls-unchained-g1-rfc9380", NETWORK_SHARE / BUNDLE_S * SAVED_S),
        ("bls-bn254-unchained-on-g1", NETWORK_SHARE / SLOW_BUNDLE_S * SAVED_S),
    ],
)
def test_the_slower_the_curve_the_fewer_forgeries_are_looked_at(scheme: str, burst: float):
    budget = ForgeryBudget.of_bundles(scheme_named(scheme))
    for _ in range(round(burst)):
        budget.check(STRANGER, 0.0)
        budget.failed(STRANGER, 0.0)
    with pytest.raises(TooManyForgeries, match="too many bundles"):
        budget.check(STRANGER, 0.0)


def test_a_refused_bundle_does_not_start_the_clock_and_a_good_one_does_through_the_flood():
    machine = KeyGeneration(TERMS, MEMBERS[0].key, OTHERS, phase_s=10.0, leader=False, ids=Ids(boot="0"))
    machine.start(0.0)
    forged = replace(DEALS[3], signature=bytes(SIGNATURE_BYTES))
    for _ in range(2 * BURST):
        with pytest.raises((InvalidSignature, MalformedSignature, TooManyForgeries)):
            machine.on_bundle(forged, 0.0, STRANGER)
    with pytest.raises(TooManyForgeries):
        machine.on_bundle(DEALS[1], 0.0, STRANGER)
    assert machine.on_bundle(DEALS[1], 1.0, MEMBER)
    assert machine.progress == (1, 4)
