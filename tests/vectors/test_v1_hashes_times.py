"""Hashes that name chains, times of rounds, thresholds and versions, against Go and the public networks."""

from typing import Any

import pytest

from drand.model.bundles import session_id
from drand.model.chain import MAX_ROUND, ChainInfo, Schedule
from drand.model.group import minimum_threshold
from drand.model.packets import Metadata, Version
from drand.model.schemes import scheme_named
from drand.protocol.setup_rules import fresh_genesis_unix_s
from drand.wire.bundles import decode_dkg_packet, encode_dkg_packet
from drand.wire.gen import protocol_pb2
from drand.wire.groups import decode_chain_info, encode_chain_info
from drand.wire.http_json import chain_info_json, parse_chain_info
from drand.wire.metadata import metadata_of
from tests.support.vectors import load, v1_cases

unhex = bytes.fromhex
Vector = dict[str, Any]


@pytest.mark.parametrize("vector", v1_cases("time"))
def test_the_times_of_rounds(vector: Vector) -> None:
    expected = vector["expected"]
    if vector["name"] == "time/genesis-rounding":
        for row in expected["table"]:
            now, period_s = row["now_plus_total_dkg"], row["period_s"]
            genesis = fresh_genesis_unix_s(now, phase_s=0, offset_s=0, period_s=period_s)
            assert genesis == row["genesis"]
        return
    for row in expected["table"]:
        schedule = Schedule(genesis_unix_s=row["genesis"], period_s=row["period_s"])
        assert schedule.next_round(row["now"]) == (row["next_round"], row["next_time"])
        assert schedule.current_round(row["now"]) == row["current_round"]
        assert schedule.due_unix_s(row["next_round"]) == row["time_of_next_round"]
    schedule = Schedule(genesis_unix_s=1000, period_s=30)
    assert schedule.due_unix_s(0) == expected["time_of_round_0"]
    assert schedule.due_unix_s(MAX_ROUND) == expected["time_of_round_error_value"]


@pytest.mark.parametrize("vector", v1_cases("threshold"))
def test_the_least_threshold_of_a_group(vector: Vector) -> None:
    for row in vector["expected"]["table"]:
        assert minimum_threshold(row["n"]) == row["minimum_t"]


@pytest.mark.parametrize("vector", v1_cases("round-to-bytes"))
def test_a_round_in_a_digest_is_eight_bytes_big_endian(vector: Vector) -> None:
    scheme = scheme_named("pedersen-bls-unchained")
    for round_, key in zip(vector["inputs"]["rounds"], vector["expected"]["keys"], strict=True):
        assert round_.to_bytes(8, "big").hex() == key
        assert scheme.digest(round_, b"ignored") == scheme.digest_hash(unhex(key))


@pytest.mark.parametrize("vector", v1_cases("version-compat"))
def test_which_versions_speak_to_each_other(vector: Vector) -> None:
    def version(text: str) -> Version:
        numbers, _, prerelease = text.partition("-")
        major, minor, patch = (int(number) for number in numbers.split("."))
        return Version(major, minor, patch, prerelease)

    for ours, theirs, compatible in vector["expected"]["table"]:
        assert version(ours).compatible_with(version(theirs)) is compatible
        assert version(theirs).compatible_with(version(ours)) is compatible


@pytest.mark.parametrize("vector", v1_cases("chain-hash"))
def test_the_hash_of_a_public_chain(vector: Vector) -> None:
    given = vector["inputs"]
    info = ChainInfo(
        public_key=unhex(given["public_key"]),
        period_s=given["period"],
        genesis_unix_s=given["genesis_time"],
        genesis_seed=unhex(given["group_hash"]),
        scheme=scheme_named(given["scheme"]),
        beacon_id=given["id"],
    )
    assert info.hash().hex() == vector["expected"]["chain_hash"]


def test_the_hash_of_every_chain_that_publishes_all_its_parameters() -> None:
    checked = [chain for chain in load("drand/beacons.json")["chains"] if chain.get("chain_hash_checked")]
    assert checked
    for chain in checked:
        info = ChainInfo(
            public_key=unhex(chain["public_key"]),
            period_s=chain["period"],
            genesis_unix_s=chain["genesis"],
            genesis_seed=unhex(chain["group_hash"]),
            scheme=scheme_named(chain["scheme"]),
            beacon_id=chain.get("beacon_id") or "default",
        )
        assert info.hash().hex() == chain["chain_hash"], chain["chain"]
        assert parse_chain_info(chain_info_json(info)) == info
        assert decode_chain_info(encode_chain_info(info, Metadata(beacon_id=info.beacon_id))) == info


@pytest.mark.parametrize("vector", v1_cases("dkg"))
def test_the_bundles_of_a_key_generation_decode_hash_and_encode_as_in_go(vector: Vector) -> None:
    given = vector["inputs"]
    if vector["name"].startswith("dkg/nonce"):
        assert session_id(given.get("transition_time") or given["genesis_time"]).hex() == vector["expected"]["nonce"]
        return
    scheme = scheme_named(given["scheme"])
    assert session_id(given.get("transition_time") or given["genesis_time"]).hex() == given["nonce"]
    assert given["packets"]
    for item in given["packets"]:
        encoded = unhex(item["dkg_packet_proto"])
        packet = decode_dkg_packet(encoded, scheme)
        assert packet.bundle.hash().hex() == item["hash"]
        assert packet.bundle.author == item["index"]
        assert packet.bundle.signature.hex() == item["signature"]
        sent = protocol_pb2.DKGPacket.FromString(encoded)
        again = encode_dkg_packet(packet, metadata_of(sent))
        if not sent.HasField("metadata"):
            again.ClearField("metadata")
        assert again.SerializeToString() == encoded
    nonces = {decode_dkg_packet(unhex(item["dkg_packet_proto"]), scheme).bundle.session_id for item in given["packets"]}
    assert unhex(given["nonce"]) in nonces
