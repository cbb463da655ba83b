"""JSON as the Go node writes it, and bounded strict reading of it."""

import binascii
from typing import TypeVar

import msgspec

from collective.errors import Malformed

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
UINT64_MAX = 2**64 - 1

StructT = TypeVar("StructT")

# Go's encoder also escapes what could end a script element, and two line separators that JavaScript once refused.
_GO_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}


def go_string(text: str) -> str:
    """`text` quoted as Go 1.20 does (encoding/json, with HTML escaping)."""
    return f'"{text.translate(_GO_ESCAPES)}"'


def go_object(fields: dict[str, str]) -> str:
    """An object of fields already encoded, in their order, without spaces. Empty values are left out."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items() if value) + "}"


def hex_field(data: bytes) -> str:
    """Bytes as a quoted hexadecimal string; "" (left out) for none."""
    return f'"{data.hex()}"' if data else ""


def number_field(value: int) -> str:
    """A number; "" (left out) for zero."""
    return str(value) if value else ""


def read(data: bytes, kind: type[StructT], what: str) -> StructT:
    """The value of type `kind` in the JSON document `data`; raises Malformed. Unknown fields are ignored."""
    if len(data) > MAX_DOCUMENT_BYTES:
        raise Malformed(f"{what}: {len(data)} bytes, at most {MAX_DOCUMENT_BYTES} expected")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{what}: {error}") from error


def unhex(text: str, what: str) -> bytes:
    """The bytes of a hexadecimal string; raises Malformed."""
    try:
        return binascii.unhexlify(text)
    except ValueError as error:
        raise Malformed(f"{what} is not hexadecimal") from error


def uint(value: int, most: int, what: str) -> int:
    """`value`; raises Malformed unless 0 <= value <= most."""
    if not 0 <= value <= most:
        raise Malformed(f"{what}: {value} is not within 0 and {most}")
    return value
