"""TOML as the Go node has it: keys match in any case, unknown keys are ignored, missing values are empty."""

import binascii
import tomllib
from collections.abc import Iterable
from typing import TypeVar

from collective.errors import Malformed

MAX_FILE_BYTES = 4 * 1024 * 1024
INT64_MAX = 2**63 - 1

ValueT = TypeVar("ValueT", bound=object)

_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x20), 0x7F)} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    ord("\b"): "\\b",
    ord("\t"): "\\t",
    ord("\n"): "\\n",
    ord("\f"): "\\f",
    ord("\r"): "\\r",
}


def quoted(text: str) -> str:
    """A basic string. Source: BurntSushi/toml 1.3, encode.go."""
    return f'"{text.translate(_ESCAPES)}"'


def quoted_list(texts: Iterable[str]) -> str:
    """An array of basic strings on one line."""
    return "[" + ", ".join(quoted(text) for text in texts) + "]"


class Table:
    """One table of a TOML document, read field by field. `where` names it in errors ("group file, node 2")."""

    def __init__(self, values: dict[str, object], where: str) -> None:
        self._values = values
        self._folded = {key.lower(): value for key, value in reversed(values.items())}
        self.where = where

    @classmethod
    def parse(cls, data: bytes, where: str) -> "Table":
        """The document in `data`; raises Malformed."""
        if len(data) > MAX_FILE_BYTES:
            raise Malformed(f"{where}: {len(data)} bytes, at most {MAX_FILE_BYTES} expected")
        try:
            return cls(tomllib.loads(data.decode("utf-8-sig")), where)
        except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
            raise Malformed(f"{where}: not a TOML file: {_without_content(error)}") from None

    def _get(self, name: str, kind: type[ValueT], empty: ValueT) -> ValueT:
        value = self._values.get(name, self._folded.get(name.lower(), empty))
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Malformed(f"{self.where}: {name} is not of the expected type ({kind.__name__})")
        return value

    def has(self, name: str) -> bool:
        """Whether a value is there, of whatever type."""
        return name.lower() in self._folded

    def text(self, name: str) -> str:
        """A string, "" where missing."""
        return self._get(name, str, "")

    def flag(self, name: str) -> bool:
        """A boolean, False where missing."""
        return self._get(name, bool, False)

    def integer(self, name: str) -> int:
        """A signed 64-bit integer, 0 where missing."""
        value = self._get(name, int, 0)
        if not -INT64_MAX - 1 <= value <= INT64_MAX:
            raise Malformed(f"{self.where}: {name} does not fit 64 bits")
        return value

    def hexadecimal(self, name: str) -> bytes:
        """The bytes of a hexadecimal string, b"" where missing. Errors never quote it: it may be a secret."""
        return self._unhex(name, self.text(name))

    def hexadecimals(self, name: str) -> tuple[bytes, ...]:
        """The bytes of each hexadecimal string of an array, () where missing."""
        items = self._get(name, list, [])
        if not all(isinstance(item, str) for item in items):
            raise Malformed(f"{self.where}: {name} is not an array of strings")
        return tuple(self._unhex(f"{name}[{position}]", item) for position, item in enumerate(items))

    def table(self, name: str) -> "Table":
        """A sub-table, an empty one where missing."""
        return Table(self._get(name, dict, {}), f"{self.where}, {name}")

    def tables(self, name: str) -> "list[Table]":
        """An array of tables, [] where missing."""
        items = self._get(name, list, [])
        if not all(isinstance(item, dict) for item in items):
            raise Malformed(f"{self.where}: {name} is not an array of tables")
        return [Table(item, f"{self.where}, {name}[{position}]") for position, item in enumerate(items)]

    def _unhex(self, name: str, text: str) -> bytes:
        try:
            return binascii.unhexlify(text)
        except ValueError:  # from None: the traceback would show the text
            raise Malformed(f"{self.where}: {name} is not hexadecimal") from None


def _without_content(error: ValueError | RecursionError) -> str:
    """What is wrong and where, without bytes of the file, which may hold a secret key."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    position = text.rfind("(at ")
    return f"syntax error {text[position + 1 : -1]}" if position >= 0 else "syntax error"
