"""What all protobuf decoding shares: parse without trust, and bounds that say which field broke them."""

from collections.abc import Sized
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from collective.errors import Malformed

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # gRPC's default, which v1.5.11 keeps: nothing longer crosses the network
MAX_SIGNATURE_BYTES = 256  # the longest of the network is Schnorr over G2: 128
MAX_BEACON_ID_BYTES = 256
HASH_BYTES = 32
INT64_MAX = 2**63 - 1

MessageT = TypeVar("MessageT", bound=Message)


def parsed(kind: type[MessageT], data: bytes | MessageT) -> MessageT:
    """The message that `data` encodes, or `data` itself where gRPC has parsed it already; raises Malformed.

    Fields of unknown number are ignored, as everywhere on this network: newer nodes may send them.
    """
    if isinstance(data, kind):
        return data
    assert isinstance(data, bytes)  # nothing else passes mypy
    if len(data) > MAX_MESSAGE_BYTES:
        raise Malformed(f"{kind.__name__}: {len(data)} bytes, more than the {MAX_MESSAGE_BYTES} a message may have")
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Malformed(f"{kind.__name__}: not a protobuf encoding ({error})") from error


def at_most(value: bytes | Sized, most: int, what: str) -> None:
    """Raise Malformed when `value` (bytes, or a repeated field) is longer than `most`."""
    if len(value) > most:
        raise Malformed(f"{what}: {len(value)} long, at most {most} expected")


def exactly(value: bytes, length: int, what: str) -> bytes:
    """`value`; raises Malformed unless it has `length` bytes."""
    if len(value) != length:
        raise Malformed(f"{what}: {len(value)} bytes instead of {length}")
    return value
