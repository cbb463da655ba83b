"""What goes through the pipes between a process and its verification worker.

    frame    u32 length, then that many bytes; all numbers are big-endian
    greeting the worker's first frame: GREETING
    job      u8 length, name of the scheme; u16 length, public key; then for each beacon
             u64 round, u16 length of the signature, u16 length of the previous one, signature, previous signature
    verdict  OK, then u64 for each round that does not verify; or REFUSED, then why, in UTF-8

Both ends are ours and of one version, yet neither reads more than MAX_FRAME_BYTES, nor past what it has read.
"""

import os
import struct
from collections.abc import Iterable, Sequence

from collective.errors import Malformed, Unavailable
from drand.model.chain import Beacon, Round

MAX_FRAME_BYTES = 1 << 20  # a thousand chained beacons take 204,000
GREETING = b"drand verifier 1"
OK, REFUSED = b"\x00", b"\x01"

_LENGTH = struct.Struct(">I")
_ROW = struct.Struct(">QHH")


class Refused(Unavailable):
    """The worker could not do the job at all; why is in the message."""


class TooLong(Malformed):
    """Something that no frame can carry: it is done without a worker."""


def send(pipe: int, body: bytes) -> None:
    """Write a frame to a file descriptor; raises OSError when nobody reads."""
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[os.write(pipe, rest) :]


def receive(pipe: int) -> bytes:
    """Read a frame from a file descriptor; raises EOFError at the end, Malformed for a frame that is too long."""
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    if length > MAX_FRAME_BYTES:
        raise Malformed(f"a frame of {length} bytes, at most {MAX_FRAME_BYTES} expected")
    return _exactly(pipe, length)


def _exactly(pipe: int, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        piece = os.read(pipe, length - len(found))
        if not piece:
            raise EOFError(f"the pipe ended {length - len(found)} bytes too early")
        found += piece
    return bytes(found)


def encode_job(scheme: str, public_key: bytes, beacons: Iterable[Beacon]) -> bytes:
    """A job; raises TooLong for beacons that no chain has."""
    name = scheme.encode()
    try:
        parts = [struct.pack(">B", len(name)), name, struct.pack(">H", len(public_key)), public_key]
        for one in beacons:
            parts.append(_ROW.pack(one.round, len(one.signature), len(one.previous_signature)))
            parts += (one.signature, one.previous_signature)
    except struct.error as error:
        raise TooLong(f"a beacon of no chain: {error}") from error
    job = b"".join(parts)
    if len(job) > MAX_FRAME_BYTES:
        raise TooLong(f"a job of {len(job)} bytes")
    return job


def decode_job(job: bytes) -> tuple[str, bytes, list[Beacon]]:
    """Scheme, public key, beacons; raises Malformed."""
    reader = _Reader(job)
    name = reader.take(reader.numbers(">B")[0]).decode(errors="replace")
    key = reader.take(reader.numbers(">H")[0])
    beacons = []
    while reader.at < len(job):
        round_, signature, previous = reader.numbers(">QHH")
        beacons.append(Beacon(Round(round_), reader.take(signature), reader.take(previous)))
    return name, key, beacons


class _Reader:
    """Bytes, read from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes; raises Malformed when there are fewer."""
        found = self._data[self.at : self.at + count]
        if len(found) < count:
            raise Malformed("a job that is cut off")
        self.at += count
        return found

    def numbers(self, form: str) -> tuple[int, ...]:
        """The next numbers of the struct format `form`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))


def encode_verdict(bad: Sequence[Round]) -> bytes:
    """The rounds that do not verify."""
    return OK + struct.pack(f">{len(bad)}Q", *bad)


def encode_refusal(why: str) -> bytes:
    """No verdict, and why."""
    return REFUSED + why.encode(errors="replace")[:1000]


def decode_verdict(verdict: bytes) -> frozenset[Round]:
    """The rounds that do not verify; raises Refused, Malformed."""
    kind, rest = verdict[:1], verdict[1:]
    if kind == REFUSED:
        raise Refused(rest.decode(errors="replace"))
    if kind != OK or len(rest) % 8:
        raise Malformed("a verdict that is none")
    return frozenset(Round(number) for (number,) in struct.iter_unpack(">Q", rest))
