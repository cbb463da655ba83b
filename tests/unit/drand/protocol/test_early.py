"""Bundles that overtake their group."""

import tracemalloc

import pytest

from drand.model.bundles import Deal, DealBundle, Justification, JustificationBundle, Response, ResponseBundle
from drand.model.chain import Index
from drand.model.packets import Origin
from drand.protocol import early
from drand.protocol.early import EarlyBundles, weight
from drand.wire.bundles import decode_bundle, encode_bundle


def deal(author: int, signature: bytes = b"", size: int = 10) -> DealBundle:
    return DealBundle(Index(author), (b"c" * 8,), (Deal(Index(0), b"x" * size),), b"s" * 32, signature)


def origin(network: str) -> Origin:
    return Origin(network, f"{network}:1000")


STRANGER = origin("192.0.2.1")
MEMBER = origin("198.51.100.7")


def kept(bundles: EarlyBundles) -> list[DealBundle]:
    return [early.bundle for early in bundles.take_all()]


def test_bundles_come_out_once_in_the_order_they_came_with_their_senders():
    bundles = EarlyBundles()
    bundles.keep("a", deal(1))
    bundles.keep("b", deal(0))
    bundles.keep("c", deal(1))
    assert len(bundles) == 2
    assert [(early.sender, early.bundle) for early in bundles.take_all()] == [("a", deal(1)), ("b", deal(0))]
    assert bundles.take_all() == ()
    assert bundles.dropped == 0


def test_a_copy_with_another_signature_is_another_bundle():
    bundles = EarlyBundles()
    bundles.keep("a", deal(1, b"forged"))
    bundles.keep("b", deal(1, b"good"))
    assert kept(bundles) == [deal(1, b"forged"), deal(1, b"good")]


def test_one_claimed_author_displaces_only_its_own():
    bundles = EarlyBundles()
    bundles.keep("honest", deal(0))
    for number in range(early.PACKETS_PER_AUTHOR + 3):
        bundles.keep("flood", deal(1, b"%d" % number))
    assert len(bundles) == early.PACKETS_PER_AUTHOR + 1
    assert bundles.dropped == 3
    assert kept(bundles)[:2] == [deal(0), deal(1, b"3")]


def test_a_stranger_who_claims_every_author_displaces_only_its_own(monkeypatch):
    monkeypatch.setattr(early, "MAX_PACKETS", 10)
    bundles = EarlyBundles()
    bundles.keep("honest", deal(0), MEMBER)
    for author in range(100):
        bundles.keep("flood", deal(author, b"forged"), STRANGER)
    bundles.keep("honest", deal(50), MEMBER)
    assert (len(bundles), bundles.dropped) == (10, 92)
    assert [found.bundle for found in bundles.take_all() if found.origin == MEMBER] == [deal(0), deal(50)]


def test_a_stranger_who_claims_one_author_does_not_displace_what_that_author_sent():
    bundles = EarlyBundles()
    bundles.keep("honest", deal(0), MEMBER)
    for number in range(100):
        bundles.keep("flood", deal(0, b"%d" % number), STRANGER)
    assert len(bundles) == early.PACKETS_PER_AUTHOR
    assert kept(bundles)[0] == deal(0)


def test_a_stranger_does_not_displace_others_by_the_size_of_what_it_sends(monkeypatch):
    monkeypatch.setattr(early, "MAX_BYTES", 5 * weight(deal(0, size=100)))
    bundles = EarlyBundles()
    bundles.keep("honest", deal(0, size=100), MEMBER)
    bundles.keep("honest", deal(1, size=100), MEMBER)
    bundles.keep("flood", deal(2, size=2000), STRANGER)
    assert (kept(bundles), bundles.dropped) == ([deal(0, size=100), deal(1, size=100)], 1)


def test_a_strangers_connections_count_as_one(monkeypatch):
    monkeypatch.setattr(early, "MAX_PACKETS", 3)
    bundles = EarlyBundles()
    bundles.keep("honest", deal(0), MEMBER)
    for author in range(1, 9):
        bundles.keep(f"flood {author}", deal(author), Origin(STRANGER.network, str(author)))
    assert kept(bundles) == [deal(0), deal(7), deal(8)]


def test_the_oldest_goes_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(early, "MAX_PACKETS", 3)
    bundles = EarlyBundles()
    for author in range(5):
        bundles.keep("a", deal(author))
    assert (kept(bundles), bundles.dropped) == ([deal(2), deal(3), deal(4)], 2)


def test_the_oldest_go_when_they_are_too_big_and_a_bundle_bigger_than_all_room_is_not_kept(monkeypatch):
    monkeypatch.setattr(early, "MAX_BYTES", 2 * weight(deal(0, size=100)) + 1)
    bundles = EarlyBundles()
    for author in range(3):
        bundles.keep("a", deal(author, size=100))
    bundles.keep("a", deal(9, size=1000))
    assert (kept(bundles), bundles.dropped) == ([deal(1, size=100), deal(2, size=100)], 2)


FAR = 2**31  # indices that CPython holds no objects for
MANY = range(FAR, FAR + 1000)


@pytest.mark.parametrize(
    "bundle",
    [
        deal(FAR),
        deal(FAR, size=5000),
        DealBundle(Index(FAR), (), tuple(Deal(Index(i), b"") for i in MANY), b"s" * 32),
        DealBundle(Index(FAR), (), tuple(Deal(Index(i), b"xy") for i in MANY), b"s" * 32),
        DealBundle(Index(FAR), tuple(i.to_bytes(48, "big") for i in MANY), (), b"s" * 32),
        ResponseBundle(Index(FAR), tuple(Response(Index(i), True) for i in MANY), b"s" * 32),
        JustificationBundle(Index(FAR), tuple(Justification(Index(i), b"x" * 32) for i in MANY), b"s" * 32),
    ],
)
def test_a_bundle_weighs_at_least_what_it_occupies(bundle):
    encoded = encode_bundle(bundle).SerializeToString()
    decode_bundle(encoded, None)  # whatever is made once is made now
    tracemalloc.start()
    try:
        kept = decode_bundle(encoded, None)
        occupied, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept == bundle
    assert occupied <= weight(kept) <= 3 * occupied + 1000
