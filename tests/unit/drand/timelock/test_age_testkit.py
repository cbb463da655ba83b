"""C2SP's test vectors for the age format (STREAM, header, armor, X25519), from the folder named by AGE_TESTKIT.

They are the files below `testdata` of the Go module c2sp.org/CCTV/age, which Go fetches and unpacks:

    export AGE_TESTKIT="$(go mod download -json c2sp.org/CCTV/age@v0.0.0-20251208015420-e9274a7bdbfd |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"] + "/testdata")')"

(it works in any folder and keeps a copy; the npm package cctv-age holds the same files).
Passphrase and post-quantum recipients are not ours: their vectors still have to be told apart from damaged files.
"""

import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from collective.errors import CollectiveError
from drand.timelock import (
    DamagedArmor,
    DamagedHeader,
    DamagedPayload,
    ForgedHeader,
    NoIdentityMatched,
    NotAnAgeFile,
    X25519Identity,
    decrypt_stream,
    inspect,
)
from drand.timelock.armor import ArmorDecoder, ArmorEncoder
from drand.timelock.header import HeaderReader, write_header

VARIABLE = "AGE_TESTKIT"
NATIVE = "AGE-SECRET-KEY-1"
FAILURES: dict[str, tuple[type[CollectiveError], ...]] = {
    "no match": (NoIdentityMatched,),
    "HMAC failure": (ForgedHeader,),
    "header failure": (DamagedHeader, NotAnAgeFile),
    "payload failure": (DamagedPayload,),
    "armor failure": (DamagedArmor,),
}


@dataclass
class Vector:
    """One file of the kit."""

    expect: str = ""
    payload: str = ""
    armored: bool = False
    file_key: bytes = b""
    identities: list[str] = field(default_factory=list)
    passphrase: bool = False
    data: bytes = b""

    @property
    def ours(self) -> bool:
        """Whether it is about recipients that this package has."""
        return not self.passphrase and all(text.startswith(NATIVE) for text in self.identities)

    @property
    def well_formed(self) -> bool:
        """Whether its header can be read, whoever it is for and whatever comes after it."""
        return self.expect not in ("header failure", "armor failure")


def read_vector(path: Path) -> Vector:
    text, data = path.read_bytes().split(b"\n\n", 1)
    vector = Vector(data=data)
    for line in text.decode().split("\n"):
        key, value = line.split(": ", 1)
        match key:
            case "expect":
                vector.expect = value
            case "payload":
                vector.payload = value
            case "armored":
                vector.armored = value == "yes"
            case "file key":
                vector.file_key = bytes.fromhex(value)
            case "identity":
                vector.identities.append(value)
            case "passphrase":
                vector.passphrase = True
            case "compressed":
                vector.data = zlib.decompress(data)
            case "comment":
                continue
            case _:
                raise AssertionError(f"{path.name}: unknown key {key}")
    return vector


def vectors(wanted: Callable[[Vector], bool]) -> list[Any]:
    """Parameters for `parametrize`: the vectors that a test is about."""
    named = os.environ.get(VARIABLE)
    if not named:
        reason = f"no {VARIABLE}: see this file's first lines"
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=reason))]
    paths = sorted(path for path in Path(named).iterdir() if path.is_file())
    assert len(paths) > 100, f"{named} does not hold the kit"
    chosen = [(path.name, vector) for path in paths if wanted(vector := read_vector(path))]
    assert len(chosen) > 50, f"{len(chosen)} of the kit's {len(paths)} vectors are about this test"
    return [pytest.param(vector, id=name) for name, vector in chosen]


class SmallPieces:
    """A reader that gives a few bytes at a time, so that every boundary falls everywhere."""

    def __init__(self, data: bytes, size: int) -> None:
        self._stream = BytesIO(data)
        self._size = size

    def read(self, _size: int, /) -> bytes:
        return self._stream.read(self._size)


@pytest.mark.parametrize("piece_bytes", [1000, 1 << 20])
@pytest.mark.parametrize("vector", vectors(lambda vector: vector.ours))
def test_the_vector_ends_as_it_should(vector: Vector, piece_bytes: int):
    expect_its_end(vector, piece_bytes)


@pytest.mark.parametrize("vector", vectors(lambda vector: vector.ours and len(vector.data) <= 100_000))
def test_a_small_vector_ends_as_it_should_however_small_the_pieces_are(vector: Vector):
    expect_its_end(vector, piece_bytes=7)


def expect_its_end(vector: Vector, piece_bytes: int) -> None:
    """What becomes of it, and how much of its content is released before."""
    identities = [X25519Identity.parse(text) for text in vector.identities]
    released = BytesIO()
    reader = SmallPieces(vector.data, piece_bytes)
    if vector.expect == "success":
        decrypt_stream(reader, released, identities)
    elif vector.expect == "armor failure":
        with pytest.raises((*FAILURES[vector.expect], NotAnAgeFile)):
            decrypt_stream(reader, released, identities)
        with pytest.raises(DamagedArmor):
            unarmored(vector.data)
        return
    else:
        with pytest.raises(FAILURES[vector.expect]) as failure:
            decrypt_stream(reader, released, identities)
        assert failure.value.advice
        assert not (vector.expect == "header failure" and isinstance(failure.value, ForgedHeader))
    if vector.payload:
        assert hashlib.sha256(released.getvalue()).hexdigest() == vector.payload, "other plaintext than allowed"
    else:
        assert not released.getvalue()


def unarmored(data: bytes) -> bytes:
    decoder = ArmorDecoder()
    decoded = decoder.update(data)
    decoder.finish()
    return decoded


@pytest.mark.parametrize("vector", vectors(lambda vector: vector.well_formed))
def test_what_is_well_formed_is_written_back_to_the_same_bytes(vector: Vector):
    data = vector.data
    if vector.armored:
        data = unarmored(data)
        encoder = ArmorEncoder()
        again = encoder.update(data) + encoder.finish()
        assert again.split() == vector.data.split()  # but for line ends and the white space around it
    reader = HeaderReader()
    rest = reader.update(data)
    header = reader.finish()
    written = write_header(vector.file_key or bytes(16), header.stanzas)
    assert written.split(b"\n--- ")[0] == data[: len(data) - len(rest)].split(b"\n--- ")[0]
    if vector.expect != "HMAC failure" and vector.file_key:
        assert written + rest == data
        header.authenticate(vector.file_key)


@pytest.mark.parametrize("vector", vectors(lambda vector: vector.well_formed))
def test_inspection_reads_every_well_formed_header(vector: Vector):
    found = inspect(BytesIO(vector.data))
    assert found.armored == vector.armored
    assert found.recipients
    assert found.locks == ()
