"""A secret scalar that does not print, compare or pickle itself by accident."""

import hmac
from typing import NoReturn

from collective.errors import MalformedScalar

SCALAR_BYTES = 32


class SecretScalar:
    """A scalar nobody else may see: 0 <= value < order of its group. Keys are never 0; a dealt share may be.

    `repr` and `str` are redacted, pickling is refused, comparison takes the same time wherever two values differ.
    What Python cannot promise (wiping memory, constant-time big integers) is said in SECURITY.md.
    """

    __slots__ = ("_value",)

    def __init__(self, value: int) -> None:
        self._value = value

    def expose(self) -> int:
        """The value. Every call site is a place to review."""
        return self._value

    def to_bytes(self) -> bytes:
        """32 bytes, big-endian."""
        return self._value.to_bytes(SCALAR_BYTES, "big")

    @classmethod
    def from_bytes(cls, data: bytes, order: int) -> "SecretScalar":
        """Decode 32 big-endian bytes; raises MalformedScalar unless 0 < value < order."""
        if len(data) != SCALAR_BYTES:
            raise MalformedScalar(f"a secret scalar has {SCALAR_BYTES} bytes, got {len(data)}")
        value = int.from_bytes(data, "big")
        if not 0 < value < order:
            raise MalformedScalar("a secret scalar must lie between 1 and the group order")
        return cls(value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretScalar):
            return NotImplemented
        return hmac.compare_digest(self.to_bytes(), other.to_bytes())

    __hash__ = None  # type: ignore[assignment]  # a hash of a secret is a fingerprint of it

    def __repr__(self) -> str:
        return "SecretScalar(<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretScalar is not pickled; send what the vault makes of it instead")
