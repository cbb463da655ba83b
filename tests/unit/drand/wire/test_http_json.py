"""HTTP bodies: written as v1 writes them, read in the forms of v1 and v2."""

import json
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed, MalformedPoint
from drand.errors import InvalidChainInfo, InvalidRandomness, UnknownScheme
from drand.model.chain import MAX_ROUND, Beacon, ChainInfo, Round
from drand.model.group import Group
from drand.wire import http_json, json_text
from drand.wire.http_json import (
    beacon_json,
    bounded_lines,
    chain_info_json,
    chains_json,
    health_json,
    parse_beacon,
    parse_beacons,
    parse_chain_info,
    parse_chains,
)
from tests.support.wire_samples import (
    CHAINED,
    QUICKNET,
    assert_only_malformed,
    damaged,
    group,
    groups,
    hashes,
    names,
    u64,
)

signatures = st.binary(min_size=1, max_size=96)
beacons = st.builds(Beacon, u64.map(Round), signatures, st.just(b"") | signatures)
INFO = group(scheme=QUICKNET, beacon_id="quicknet").chain_info()
ONE, TWO = Beacon(Round(1), b"\x01", b"\x00"), Beacon(Round(2), b"\x02", b"\x01")


def v1(info: ChainInfo = INFO) -> dict[str, object]:
    body: dict[str, object] = json.loads(chain_info_json(info))
    return body


def v2(info: ChainInfo = INFO) -> dict[str, object]:
    return {
        "public_key": info.public_key.hex(),
        "period": info.period_s,
        "genesis_time": info.genesis_unix_s,
        "genesis_seed": info.genesis_seed.hex(),
        "chain_hash": info.hash().hex(),
        "scheme": info.scheme.name,
        "beacon_id": info.beacon_id,
    }


def encoded(body: object) -> bytes:
    return json.dumps(body).encode()


@given(beacons.filter(lambda beacon: beacon.round > 0))
def test_a_beacon_is_read_back_from_its_body(beacon: Beacon) -> None:
    assert parse_beacon(beacon_json(beacon)) == beacon


def test_empty_and_zero_fields_are_left_out_of_a_beacon() -> None:
    assert b"previous_signature" not in beacon_json(Beacon(Round(5), b"\x01"))
    assert beacon_json(Beacon(Round(0), b"\x01")).startswith(b'{"randomness":')


def test_a_v2_body_has_no_randomness() -> None:
    assert parse_beacon(b'{"round":7,"signature":"0aff"}') == Beacon(Round(7), b"\x0a\xff")
    assert parse_beacon(b'{"round":18446744073709551615,"signature":"00"}').round == MAX_ROUND


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "beacon"),
        (b"[]", "Expected `object`"),
        (b'{"signature":"00"}', "round"),
        (b'{"round":1}', "signature"),
        (b'{"round":1,"signature":""}', "no signature"),
        (b'{"round":"1","signature":"00"}', "Expected `int`"),
        (b'{"round":1.5,"signature":"00"}', "Expected `int`"),
        (b'{"round":-1,"signature":"00"}', "not within"),
        (b'{"round":18446744073709551616,"signature":"00"}', "round"),
        (b'{"round":1,"signature":"0"}', "not hexadecimal"),
        (b'{"round":1,"signature":" 00"}', "not hexadecimal"),
        (b'{"round":1,"signature":"' + b"00" * 300 + b'"}', "signature: 600"),
        (b'{"round":1,"signature":"00"} x', "beacon"),
        (b'{"round":1,"signature":"\xff"}', "beacon"),
    ],
)
def test_a_body_that_is_no_beacon_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse_beacon(body)


def test_a_random_value_that_is_not_the_signatures_hash_is_refused() -> None:
    with pytest.raises(InvalidRandomness, match="round 1"):
        parse_beacon(beacon_json(ONE).replace(ONE.randomness.hex().encode(), b"00" * 32))


LINES = [beacon_json(ONE) + b"\n", beacon_json(TWO) + b"\n"]


@pytest.mark.parametrize(
    "lines",
    [
        LINES,
        [b"\n", LINES[0], b"  \r\n", b"  " + LINES[1].rstrip()],
        [b"[" + LINES[0] + b"," + LINES[1] + b"]"],
        [b"[\n", LINES[0], b",\n", LINES[1], b"]\n"],
        json.dumps([json.loads(line) for line in LINES], indent=2).encode().splitlines(keepends=True),
    ],
)
def test_beacons_come_one_a_line_or_in_an_array(lines: list[bytes]) -> None:
    assert list(parse_beacons(lines)) == [ONE, TWO]


def test_a_single_object_may_be_spread_over_lines() -> None:
    lines = json.dumps(json.loads(LINES[0]), indent=4).encode().splitlines(keepends=True)
    assert list(parse_beacons(lines)) == [ONE]
    assert list(parse_beacons([])) == []
    assert list(parse_beacons([b"[]"])) == []


def test_a_bad_line_is_named_after_the_beacons_before_it() -> None:
    reading = parse_beacons([LINES[0], b'{"round":2}\n'])
    assert next(reading) == ONE
    with pytest.raises(Malformed, match=r"line 2: .*signature"):
        next(reading)


def test_lines_are_read_as_they_come() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield LINES[0]

    reading = parse_beacons(endless())
    assert [next(reading) for _ in range(3)] == [ONE] * 3


def test_a_document_over_many_lines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "MAX_DOCUMENT_BYTES", 1000)
    with pytest.raises(Malformed, match="more than 1000 bytes") as caught:
        list(parse_beacons([b"["] + [LINES[0].rstrip() + b",\n"] * 10))
    assert "jq" in caught.value.advice
    file = BytesIO(LINES[0] + bytes(5000))
    with pytest.raises(Malformed, match="line 2: more than 1000 bytes") as caught:
        list(parse_beacons(bounded_lines(file)))
    assert "jq" in caught.value.advice
    assert file.tell() == len(LINES[0]) + 1001, "the rest is not read"
    monkeypatch.setattr(json_text, "MAX_DOCUMENT_BYTES", 10)
    with pytest.raises(Malformed, match="at most 10"):
        parse_beacon(LINES[0])


@given(groups(finished=True))
def test_chain_information_is_read_back_from_either_body(finished: Group) -> None:
    info = finished.chain_info()
    assert parse_chain_info(chain_info_json(info)) == info
    assert parse_chain_info(encoded(v2(info))) == info


@given(names.filter(bool))
def test_the_body_is_json_whatever_the_beacon_is_called(beacon_id: str) -> None:
    info = replace(INFO, beacon_id=beacon_id)
    assert parse_chain_info(chain_info_json(info)) == info
    assert not set("<>&\u2028\u2029") & set(chain_info_json(info).decode())


def test_a_name_is_escaped_as_go_does() -> None:
    written = json_text.go_string('<a&"\\\b\f\n\t\x01é\u2028>')
    assert written == r'"\u003ca\u0026\"\\\u0008\u000c\n\t\u0001é' + "\\u2028" + r'\u003e"'
    assert json_text.go_string(r"\b\f") == r'"\\b\\f"'


@pytest.mark.parametrize("body", [v1(), v2()], ids=["v1", "v2"])
def test_a_missing_hash_is_computed_and_a_wrong_one_refused(body: dict[str, object]) -> None:
    name = "hash" if "hash" in body else "chain_hash"
    assert parse_chain_info(encoded({key: value for key, value in body.items() if key != name})) == INFO
    with pytest.raises(InvalidChainInfo, match=INFO.hash().hex()):
        parse_chain_info(encoded(body | {name: "00" * 32}))


def test_a_missing_scheme_and_id_are_the_default_ones() -> None:
    info = group().chain_info()
    body = {key: value for key, value in v1(info).items() if key not in ("schemeID", "metadata")}
    assert parse_chain_info(encoded(body)) == info
    assert info.scheme == CHAINED


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        ({"schemeID": "who-knows"}, UnknownScheme, "who-knows"),
        ({"public_key": "00" * 96}, MalformedPoint, "compressed|encod|bit|G2"),
        ({"public_key": "xy"}, Malformed, "public_key is not hexadecimal"),
        ({"period": 0}, Malformed, "period"),
        ({"period": 2**32}, Malformed, "period"),
        ({"genesis_time": 0}, Malformed, "genesis time 0"),
        ({"genesis_time": 2**63}, Malformed, "genesis_time"),
        ({"groupHash": "00"}, Malformed, "genesis seed: 1 bytes"),
        ({"groupHash": None}, Malformed, "genesis seed: 0 bytes"),
        ({"genesis_seed": "11" * 32}, Malformed, "two values of its genesis seed"),
        ({"beacon_id": "other"}, Malformed, "two values of its beacon id"),
        ({"metadata": "text"}, Malformed, "Expected `object"),
    ],
)
def test_chain_information_with_one_thing_wrong_is_refused(
    change: dict[str, object], error: type[Malformed], why: str
) -> None:
    with pytest.raises(error, match=why):
        parse_chain_info(encoded(v1() | change))


def test_health_and_chains() -> None:
    assert health_json(0, 5) == b'{"current":0,"expected":5}'
    assert chains_json([]) == b"[]"


@given(st.lists(hashes, max_size=4))
def test_chains_are_read_back(chain_hashes: list[bytes]) -> None:
    assert parse_chains(chains_json(chain_hashes)) == tuple(chain_hashes)


def test_more_chains_than_anybody_runs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "MAX_CHAINS", 1)
    with pytest.raises(Malformed, match="2 of them, at most 1"):
        parse_chains(chains_json([b"\x01" * 32, b"\x02" * 32]))


@pytest.mark.parametrize("body", [b"{}", b'["00"]', b"[1]", b"[" + b'"",' * 3 + b'""]'])
def test_what_is_no_list_of_chain_hashes_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_chains(body)


PARSERS = {
    "beacon": (parse_beacon, LINES[0]),
    "beacons": (lambda data: list(parse_beacons([data])), b"[" + LINES[0] + b"]"),
    "info": (parse_chain_info, encoded(v1())),
    "chains": (parse_chains, chains_json([b"\x01" * 32])),
}


@pytest.mark.parametrize("kind", PARSERS)
@given(data=st.data())
def test_bodies_from_anywhere_are_read_or_are_malformed(kind: str, data: st.DataObject) -> None:
    parse, original = PARSERS[kind]
    assert_only_malformed(parse, original)
    assert_only_malformed(parse, data.draw(st.binary(max_size=200) | damaged([original])))
