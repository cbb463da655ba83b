"""The JSON bodies of the public HTTP API, exact to the byte when written, and read in the forms of v1 and v2.

Written: fields in the order of drand v1.5.11, bytes in lower-case hexadecimal, zero and empty fields left out.
Source: drand v1.5.11, http/server.go and chain/convert.go; drand v2, common/chain/info.go; vectors http/*, partial/*.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import msgspec

from collective.errors import Malformed
from drand.errors import InvalidRandomness
from drand.model.chain import Beacon, ChainInfo, Round, canonical_beacon_id
from drand.model.schemes import scheme_or_default
from drand.wire.groups import MAX_PERIOD_S, checked_chain_info
from drand.wire.json_text import (
    MAX_DOCUMENT_BYTES,
    UINT64_MAX,
    go_object,
    go_string,
    hex_field,
    number_field,
    read,
    uint,
    unhex,
)
from drand.wire.protobuf import HASH_BYTES, INT64_MAX, MAX_SIGNATURE_BYTES, exactly

MAX_CHAINS = 100_000
ONE_A_LINE = "one JSON object a line can be of any length: `jq -c '.[]'` makes them"


# ---------------------------------------------------------------- written


def beacon_json(beacon: Beacon) -> bytes:
    """The body of /public/{round}: no newline at the end, previous_signature only where there is one."""
    fields = {
        "round": number_field(beacon.round),
        "randomness": hex_field(beacon.randomness),
        "signature": hex_field(beacon.signature),
        "previous_signature": hex_field(beacon.previous_signature),
    }
    return go_object(fields).encode()


def chain_info_json(info: ChainInfo) -> bytes:
    """The body of /info, a newline at its end. The beacon id is written as it stands; none is left out."""
    beacon_id = go_string(info.beacon_id) if info.beacon_id else ""
    fields = {
        "public_key": hex_field(info.public_key),
        "period": number_field(info.period_s),
        "genesis_time": number_field(info.genesis_unix_s),
        "hash": hex_field(info.hash()),
        "groupHash": hex_field(info.genesis_seed),
        "schemeID": go_string(info.scheme.name),
        "metadata": go_object({"beaconID": beacon_id}),
    }
    return go_object(fields).encode() + b"\n"


def beacon_v2_json(beacon: Beacon) -> bytes:
    """The body of /v2/.../rounds/{round}: as v1 without randomness, which is the SHA-256 of the signature."""
    fields = {
        "round": number_field(beacon.round),
        "signature": hex_field(beacon.signature),
        "previous_signature": hex_field(beacon.previous_signature),
    }
    return go_object(fields).encode()


def chain_info_v2_json(info: ChainInfo) -> bytes:
    """The body of /v2/.../info: the same facts as v1's under the names of v2, a newline at its end."""
    fields = {
        "public_key": hex_field(info.public_key),
        "period": number_field(info.period_s),
        "genesis_time": number_field(info.genesis_unix_s),
        "genesis_seed": hex_field(info.genesis_seed),
        "chain_hash": hex_field(info.hash()),
        "scheme": go_string(info.scheme.name),
        "beacon_id": go_string(info.beacon_id),
    }
    return go_object(fields).encode() + b"\n"


def health_json(current: int, expected: int) -> bytes:
    """The body of /health: the last round seen (0 for none yet) and the one due. Zeros are written."""
    return f'{{"current":{current},"expected":{expected}}}'.encode()


def chains_json(chain_hashes: Iterable[bytes]) -> bytes:
    """The body of /chains."""
    return ("[" + ",".join(f'"{chain_hash.hex()}"' for chain_hash in chain_hashes) + "]").encode()


def names_json(names: Iterable[str]) -> bytes:
    """The body of /v2/beacons: an array of beacon ids."""
    return ("[" + ",".join(go_string(name) for name in names) + "]").encode()


# ---------------------------------------------------------------- read


class _BeaconBody(msgspec.Struct):
    round: int
    signature: str
    previous_signature: str | None = None
    randomness: str | None = None  # absent in v2


class _MetadataBody(msgspec.Struct, rename={"beacon_id": "beaconID"}):
    beacon_id: str = ""


class _InfoBody(msgspec.Struct, rename={"group_hash": "groupHash", "scheme_id": "schemeID"}):
    """Both families of names: hash, groupHash, schemeID, metadata are v1's; the last four are v2's."""

    public_key: str
    period: int
    genesis_time: int
    hash: str | None = None
    group_hash: str | None = None
    scheme_id: str | None = None
    metadata: _MetadataBody | None = None
    chain_hash: str | None = None
    genesis_seed: str | None = None
    scheme: str | None = None
    beacon_id: str | None = None


def parse_beacon(data: bytes) -> Beacon:
    """The beacon in a v1 or v2 body, not verified.

    raises  Malformed; InvalidRandomness when randomness is given and is not the signature's hash
    """
    return _beacon(read(data, _BeaconBody, "beacon"))


def parse_beacons(lines: Iterable[bytes]) -> Iterator[Beacon]:
    """The beacons in a JSON object, a JSON array, or JSON objects one a line, in order, not verified.

    lines   as `bounded_lines` gives those of a file. One object a line is read as a stream of any length; a
            document spread over lines is collected first and may have MAX_DOCUMENT_BYTES.
    raises  as `parse_beacon` does, naming the line; beacons before a bad one have been given out by then
    """
    for number, line in enumerate(source := iter(lines), 1):
        if not line.strip():
            continue
        if _is_whole_object(line):
            try:
                beacon = parse_beacon(line)
            except Malformed as error:
                raise type(error)(f"line {number}: {error}", hint=error.advice) from error
            yield beacon
            continue
        bodies = read(_collected(line, source), list[_BeaconBody] | _BeaconBody, "beacons")  # type: ignore[arg-type]
        yield from (_beacon(body) for body in (bodies if isinstance(bodies, list) else [bodies]))


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, for `parse_beacons`; raises Malformed for one that is too long, before all of it is read."""
    number = 0
    while line := file.readline(MAX_DOCUMENT_BYTES + 1):
        number += 1
        if len(line) > MAX_DOCUMENT_BYTES:
            raise Malformed(f"line {number}: more than {MAX_DOCUMENT_BYTES} bytes", hint=ONE_A_LINE)
        yield line


def parse_chain_info(data: bytes) -> ChainInfo:
    """The chain information in a v1 or v2 body. A missing hash is computed, a missing scheme or id is the default one.

    raises  UnknownScheme; MalformedPoint; Malformed, also when v1 and v2 names contradict each other; InvalidChainInfo
            when the hash is not the one these fields have
    """
    body = read(data, _InfoBody, "chain information")
    beacon_id = None if body.metadata is None else body.metadata.beacon_id
    info = ChainInfo(
        public_key=unhex(body.public_key, "public_key"),
        period_s=uint(body.period, MAX_PERIOD_S, "period"),
        genesis_unix_s=uint(body.genesis_time, INT64_MAX, "genesis_time"),
        genesis_seed=unhex(_either(body.group_hash, body.genesis_seed, "genesis seed"), "genesis seed"),
        scheme=scheme_or_default(_either(body.scheme_id, body.scheme, "scheme")),
        beacon_id=canonical_beacon_id(_either(beacon_id, body.beacon_id, "beacon id")),
    )
    return checked_chain_info(info, unhex(_either(body.hash, body.chain_hash, "chain hash"), "chain hash"))


def parse_chains(data: bytes) -> tuple[bytes, ...]:
    """The 32-byte chain hashes of /chains, in v1 and v2 alike; raises Malformed."""
    texts: Sequence[str] = read(data, list[str], "chains")
    if len(texts) > MAX_CHAINS:
        raise Malformed(f"chains: {len(texts)} of them, at most {MAX_CHAINS} expected")
    return tuple(exactly(unhex(text, "chain hash"), HASH_BYTES, "chain hash") for text in texts)


def _beacon(body: _BeaconBody) -> Beacon:
    round_ = Round(uint(body.round, UINT64_MAX, "round"))
    signature = _signature(body.signature, "signature")
    if not signature:
        raise Malformed(f"round {round_}: no signature")
    beacon = Beacon(round_, signature, _signature(body.previous_signature or "", "previous_signature"))
    if body.randomness and unhex(body.randomness, "randomness") != beacon.randomness:
        raise InvalidRandomness(f"round {round_}: the randomness is not the SHA-256 of the signature")
    return beacon


def _signature(text: str, what: str) -> bytes:
    if len(text) > 2 * MAX_SIGNATURE_BYTES:
        raise Malformed(f"{what}: {len(text)} hexadecimal digits, at most {2 * MAX_SIGNATURE_BYTES} expected")
    return unhex(text, what)


def _either(v1: str | None, v2: str | None, what: str) -> str:
    """The one of two spellings that is there, "" where neither is."""
    if v1 and v2 and v1 != v2:
        raise Malformed(f"chain information gives two values of its {what}: {v1!r} and {v2!r}")
    return v1 or v2 or ""


def _is_whole_object(line: bytes) -> bool:
    """Whether a line looks like an object of its own; one that does and is broken is an error of that line."""
    stripped = line.strip()
    return stripped.startswith(b"{") and stripped.endswith(b"}")


def _collected(first: bytes, rest: Iterator[bytes]) -> bytes:
    """`first` and all lines after it, bounded."""
    parts, size = [first], len(first)
    for line in rest:
        size += len(line)
        if size > MAX_DOCUMENT_BYTES:
            raise Malformed(f"beacons: a document of more than {MAX_DOCUMENT_BYTES} bytes", hint=ONE_A_LINE)
        parts.append(line)
    return b"".join(parts)
