"""Addresses split as Go splits them; metadata is bounded and kept as sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed
from drand.model.packets import OUR_VERSION, Metadata, Version
from drand.wire.addresses import split_host_port
from drand.wire.gen import common_pb2, drand_pb2
from drand.wire.metadata import decode_metadata, encode_empty, encode_metadata, metadata_of
from tests.support.wire_samples import hashes, names, u32


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("localhost:http", ("localhost", "http")),
        ("127.0.0.1:4301", ("127.0.0.1", "4301")),
        ("[::1]:80", ("::1", "80")),
        ("[fe80::1%lo0]:80", ("fe80::1%lo0", "80")),
        (":80", ("", "80")),
        ("host:", ("host", "")),
        ("[]:80", ("", "80")),
    ],
)
def test_an_address_splits_into_host_and_port(address: str, parts: tuple[str, str]) -> None:
    assert split_host_port(address) == parts


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "missing port"),
        ("localhost", "missing port"),
        ("[::1]", "missing port"),
        ("[::1]x80:1", "missing port"),
        ("::1:80", "too many colons"),
        ("a:b:c", "too many colons"),
        ("[::1]:80:90", "too many colons"),
        ("[::1:80", "missing ']'"),
        ("host]:80", "unexpected bracket"),
        ("[a[b]:80", "unexpected bracket"),
        ("host\n:80", "unprintable"),
        ("\udcff:80", "unprintable"),
        ("\u00e9" * 300 + ":80", "bytes"),
        ("h" * 600 + ":80", "at most"),
    ],
)
def test_an_address_that_does_not_split_is_refused(address: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        split_host_port(address)


versions = st.builds(Version, u32, u32, u32, st.just("") | st.just("pre"))


@given(st.builds(Metadata, st.none() | versions, names, st.just(b"") | hashes))
def test_metadata_crosses_the_wire_unchanged(metadata: Metadata) -> None:
    assert decode_metadata(encode_metadata(metadata).SerializeToString()) == metadata


def test_our_metadata_names_the_release_whose_wire_we_speak() -> None:
    encoded = encode_metadata(Metadata(OUR_VERSION, "default")).SerializeToString().hex()
    assert encoded == "0a0608011005180b120764656661756c74"  # as Go v1.5.11 sends it about its default beacon


def test_a_message_without_metadata_has_empty_metadata() -> None:
    assert metadata_of(drand_pb2.Empty()) == Metadata()
    assert encode_empty(None).SerializeToString() == b""


@pytest.mark.parametrize(
    "message",
    [
        common_pb2.Metadata(chain_hash=b"\x01" * 31),
        common_pb2.Metadata(beaconID="b" * 257),
        common_pb2.Metadata(node_version=common_pb2.NodeVersion(prerelease="p" * 65)),
    ],
)
def test_metadata_of_absurd_size_is_refused(message: common_pb2.Metadata) -> None:
    with pytest.raises(Malformed):
        decode_metadata(message)


@pytest.mark.parametrize(
    ("ours", "theirs", "compatible"),
    [
        ("1.5.11", "1.4.0", True),
        ("1.5.11", "1.6.0", True),
        ("1.5.11", "1.3.9", False),
        ("1.5.11", "1.7.9", False),
        ("1.5.11", "2.0.0", True),
        ("1.5.7", "2.0.0", False),
        ("1.6.7", "2.0.0", False),
        ("1.6.8", "2.0.0", True),
        ("1.99.99", "2.0.3", True),
        ("1.5.11", "2.1.0", False),
        ("1.4.9", "2.0.0", False),
        ("0.5.8", "1.5.8", False),
        ("2.0.0", "3.0.0", False),
    ],
)
def test_which_releases_speak_to_each_other(ours: str, theirs: str, compatible: bool) -> None:
    """Each row is what v1.5.11's own rule answers, in both directions."""
    one, other = (Version(*map(int, text.split("."))) for text in (ours, theirs))
    assert one.compatible_with(other) is other.compatible_with(one) is compatible
