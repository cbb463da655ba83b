"""Packets between nodes: bounds, and the promise that decoding raises Malformed and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed
from drand.errors import InvalidGroup, InvalidRandomness
from drand.model.bundles import (
    Bundle,
    Deal,
    DealBundle,
    Justification,
    JustificationBundle,
    Response,
    ResponseBundle,
)
from drand.model.chain import Beacon, Index, Round
from drand.model.group import MAX_GROUP_SIZE, Peer
from drand.model.packets import DkgPacket, GroupPush, Metadata, PartialPacket, SignalPacket, SyncedBeacon, SyncRequest
from drand.model.status import ChainStatus, DkgState, NodeStatus, RemoteStatus, ReshareState
from drand.wire import bundles, groups, identities, metadata, packets, protobuf, status
from drand.wire.gen import drand_pb2
from tests.support import wire_samples as samples
from tests.support.wire_samples import CHAINED, assert_only_malformed

ABOUT = Metadata(beacon_id="default")
SESSION = b"\x05" * 32
COMMIT = samples.identity(0).key
INFINITY_G1 = bytes([0xC0]) + bytes(47)
ORDER = CHAINED.key_group.order

signatures = st.binary(max_size=protobuf.MAX_SIGNATURE_BYTES)
beacons = st.builds(Beacon, samples.u64.map(Round), signatures, signatures)
partials = st.builds(PartialPacket, samples.u64.map(Round), signatures, st.binary(max_size=98))

DEALS = DealBundle(Index(0), (COMMIT,), (Deal(Index(1), b"sealed"),), SESSION, b"s")
RESPONSES = ResponseBundle(Index(0), (Response(Index(1), True),), SESSION, b"s")
SHOWN = JustificationBundle(Index(0), (Justification(Index(1), b"\x01" * 32),), SESSION, b"s")
IDLE = NodeStatus(
    dkg=DkgState.DONE,
    reshare=ReshareState.IDLE,
    is_inited=True,
    is_running=True,
    is_stopped=False,
    is_started=True,
    is_serving=True,
    chain=ChainStatus(is_empty=False, last_round=Round(6), length=7),
    connections={"127.0.0.1:4302": True},
)


@given(samples.bundles())
def test_a_bundle_crosses_the_wire_unchanged(bundle: Bundle) -> None:
    encoded = bundles.encode_dkg_packet(DkgPacket(bundle), ABOUT).SerializeToString()
    assert bundles.decode_dkg_packet(encoded, CHAINED) == DkgPacket(bundle)


@given(partials)
def test_a_partial_crosses_the_wire_unchanged(partial: PartialPacket) -> None:
    assert packets.decode_partial(packets.encode_partial(partial, ABOUT).SerializeToString()) == partial


@given(beacons, samples.names)
def test_a_beacon_crosses_every_wire_unchanged(beacon: Beacon, beacon_id: str) -> None:
    synced = SyncedBeacon(beacon, beacon_id)
    assert packets.decode_synced_beacon(packets.encode_synced_beacon(synced).SerializeToString()) == synced
    assert packets.decode_public_rand(packets.encode_public_rand(beacon, ABOUT).SerializeToString()) == beacon


@given(samples.statuses, samples.names)
def test_a_status_crosses_the_wire_unchanged(one: NodeStatus, address: str) -> None:
    assert status.decode_status(status.encode_status(one).SerializeToString()) == one
    remote = RemoteStatus({address: one})
    assert status.decode_remote_status(status.encode_remote_status(remote).SerializeToString()) == remote


def test_the_peers_of_a_status_question_are_split_and_counted() -> None:
    peers = (Peer("127.0.0.1:4302", tls=False), Peer("[::1]:80", tls=True))
    assert status.decode_status_request(status.encode_status_request(peers, ABOUT).SerializeToString()) == peers
    asked = status.encode_remote_status_request(peers, ABOUT)
    assert status.decode_remote_status_request(asked.SerializeToString()) == peers
    with pytest.raises(Malformed, match="missing port"):
        status.decode_status_request(status.encode_status_request((Peer("nowhere", tls=False),), ABOUT))
    with pytest.raises(Malformed, match="addresses to check"):
        status.decode_status_request(status.encode_status_request(peers[:1] * (MAX_GROUP_SIZE + 1), ABOUT))


def test_a_sync_request_carries_no_version_and_its_empty_id_is_the_default_one() -> None:
    encoded = packets.encode_sync_request(SyncRequest(Round(1), "default")).SerializeToString()
    assert encoded.hex() == "08011209120764656661756c74"  # as captured from Go
    assert packets.decode_sync_request(b"\x08\x05") == SyncRequest(Round(5), "default")


def test_randomness_that_is_not_the_hash_of_the_signature_is_refused() -> None:
    message = packets.encode_public_rand(Beacon(Round(3), b"signature"), None)
    message.randomness = b"\x00" * 32
    with pytest.raises(InvalidRandomness, match="round 3"):
        packets.decode_public_rand(message)


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (DealBundle(Index(0), (b"\x01" * 47,), (), SESSION), "public coefficient in a deal bundle: 47 bytes"),
        (DealBundle(Index(0), (COMMIT,) * (MAX_GROUP_SIZE + 1), (), SESSION), "commits of a deal bundle"),
        (DealBundle(Index(0), (), (Deal(Index(0), b""),) * (MAX_GROUP_SIZE + 1), SESSION), "deals of a bundle"),
        (DealBundle(Index(0), (COMMIT,), (), SESSION[1:]), "session id: 31 bytes"),
        (DealBundle(Index(0), (COMMIT,), (), SESSION, b"s" * 257), "signature of a bundle"),
        (ResponseBundle(Index(0), (Response(Index(0), True),) * (MAX_GROUP_SIZE + 1), SESSION), "responses"),
        (ResponseBundle(Index(0), (), b""), "session id: 0 bytes"),
        (JustificationBundle(Index(0), (Justification(Index(0), b"\x01" * 31),), SESSION), "share: 31 bytes"),
        (JustificationBundle(Index(0), (Justification(Index(0), ORDER.to_bytes(32, "big")),), SESSION), "group order"),
        (JustificationBundle(Index(0), SHOWN.justifications * (MAX_GROUP_SIZE + 1), SESSION), "justifications"),
    ],
)
def test_a_bundle_beyond_its_bounds_is_refused(bundle: Bundle, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        bundles.decode_bundle(bundles.encode_bundle(bundle).SerializeToString(), CHAINED)


def test_what_the_go_node_lets_through_is_let_through() -> None:
    """Else a dealer could make two implementations disagree about who is qualified."""
    odd = DealBundle(Index(0), (COMMIT,), (Deal(Index(1), b""), Deal(Index(1), b"x" * 5000)), SESSION)
    assert bundles.decode_bundle(bundles.encode_bundle(odd), CHAINED) == odd


def test_no_point_is_decoded_before_its_sender_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand points take seconds on the slowest curve, and anybody may send them."""

    def decode(_data: bytes) -> object:
        raise AssertionError("a point was decoded")

    encoded_push = packets.encode_group_push(PUSH, ABOUT)
    encoded_bundle = bundles.encode_bundle(DEALS)
    monkeypatch.setattr(CHAINED.key_group, "decode", decode)
    assert bundles.decode_bundle(encoded_bundle, CHAINED) == DEALS
    assert packets.decode_group_push(encoded_push, CHAINED).group.hash() == PUSH.group.hash()


def test_keys_of_a_pushed_group_have_the_right_length() -> None:
    push = packets.encode_group_push(PUSH, ABOUT)
    push.new_group.nodes[1].public.key = b"\x01" * 47
    with pytest.raises(Malformed, match="47 bytes"):
        packets.decode_group_push(push, CHAINED)


def test_a_packet_without_a_bundle_is_refused() -> None:
    with pytest.raises(Malformed, match="no bundle"):
        bundles.decode_dkg_packet(b"", CHAINED)


def test_a_message_longer_than_the_network_carries_is_refused_unread() -> None:
    with pytest.raises(Malformed, match="Empty: 4194305 bytes"):
        protobuf.parsed(drand_pb2.Empty, bytes(protobuf.MAX_MESSAGE_BYTES + 1))


def test_a_state_nobody_knows_is_refused() -> None:
    for change in ("dkg", "reshare", "beacon"):
        message = status.encode_status(IDLE)
        getattr(message, change).status = 9
        with pytest.raises(Malformed, match="status 9"):
            status.decode_status(message)


def test_what_is_no_chain_hash_is_refused() -> None:
    message = status.encode_status(replace(IDLE, other_chains={"a:1": b"short"}))
    with pytest.raises(Malformed, match="hash of another chain: 5 bytes instead of 32"):
        status.decode_status(message)


def test_a_status_without_other_chains_is_gos() -> None:
    assert {field.number for field, _ in status.encode_status(IDLE).ListFields()} <= {1, 2, 3, 4, 5}


SIGNAL = SignalPacket(samples.identity(1), b"secret", b"\x02" * 32)
PUSH = GroupPush(samples.group(), b"secret", 10, b"signature")
INFO = samples.group().chain_info()
BEACON = Beacon(Round(1), b"signature", b"previous")


@pytest.mark.parametrize("length", [1, 31, 33])
def test_a_previous_group_hash_has_32_bytes_or_none(length: int) -> None:
    odd = SignalPacket(samples.identity(1), b"secret", b"\x02" * length)
    with pytest.raises(Malformed, match="previous group hash"):
        packets.decode_signal(packets.encode_signal(odd, ABOUT), CHAINED)


def test_signals_and_pushes_cross_the_wire_unchanged() -> None:
    assert packets.decode_signal(packets.encode_signal(SIGNAL, ABOUT).SerializeToString(), CHAINED) == SIGNAL
    received = packets.decode_group_push(packets.encode_group_push(PUSH, ABOUT).SerializeToString(), CHAINED)
    assert received.group.hash() == PUSH.group.hash()
    assert (received.secret, received.dkg_timeout_s, received.signature) == (b"secret", 10, b"signature")


def decoders() -> list[tuple[str, Callable[[bytes], object], list[bytes]]]:
    """Every decoding function, with encodings it takes."""

    def dkg(bundle: Bundle) -> bytes:
        return bundles.encode_dkg_packet(DkgPacket(bundle), ABOUT).SerializeToString()

    response = identities.encode_identity_response(samples.identity(0), ABOUT).SerializeToString()
    return [
        ("metadata", metadata.decode_metadata, [metadata.encode_metadata(ABOUT).SerializeToString()]),
        ("identity response", lambda data: identities.decode_identity_response(data), [response]),
        ("group", lambda data: groups.decode_group(data), [groups.encode_group(PUSH.group).SerializeToString()]),
        ("chain info", groups.decode_chain_info, [groups.encode_chain_info(INFO, ABOUT).SerializeToString()]),
        ("dkg", lambda data: bundles.decode_dkg_packet(data, CHAINED), [dkg(DEALS), dkg(RESPONSES), dkg(SHOWN)]),
        (
            "signal",
            lambda data: packets.decode_signal(data, CHAINED),
            [packets.encode_signal(SIGNAL, ABOUT).SerializeToString()],
        ),
        (
            "push",
            lambda data: packets.decode_group_push(data, CHAINED),
            [packets.encode_group_push(PUSH, ABOUT).SerializeToString()],
        ),
        (
            "partial",
            packets.decode_partial,
            [packets.encode_partial(PartialPacket(Round(1), b"p", b"s"), ABOUT).SerializeToString()],
        ),
        ("sync request", packets.decode_sync_request, [bytes.fromhex("08011209120764656661756c74")]),
        (
            "synced beacon",
            packets.decode_synced_beacon,
            [packets.encode_synced_beacon(SyncedBeacon(BEACON, "default")).SerializeToString()],
        ),
        (
            "public rand",
            packets.decode_public_rand,
            [packets.encode_public_rand(BEACON, ABOUT).SerializeToString()],
        ),
        ("status", status.decode_status, [status.encode_status(IDLE).SerializeToString()]),
        (
            "remote status",
            status.decode_remote_status,
            [status.encode_remote_status(RemoteStatus({"a:1": IDLE})).SerializeToString()],
        ),
        (
            "status request",
            status.decode_status_request,
            [status.encode_status_request((Peer("a:1", tls=True),), ABOUT).SerializeToString()],
        ),
    ]


@pytest.mark.parametrize(("decode", "originals"), [pytest.param(d, o, id=name) for name, d, o in decoders()])
@given(data=st.data())
def test_bytes_from_anywhere_decode_or_are_malformed(
    decode: Callable[[bytes], object], originals: list[bytes], data: st.DataObject
) -> None:
    assert_only_malformed(decode, originals[0])
    assert_only_malformed(decode, data.draw(st.binary(max_size=300) | samples.damaged(originals)))


def test_a_group_of_another_scheme_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's group must not make a node load a curve that it does not need."""
    message = drand_pb2.GroupPacket(schemeID="bls-bn254-unchained-on-g1")
    monkeypatch.setattr("drand.wire.groups.scheme_named", lambda name: pytest.fail(f"{name} was looked for"))
    with pytest.raises(InvalidGroup, match="mismatch in Scheme name"):
        groups.decode_group(message, CHAINED)
