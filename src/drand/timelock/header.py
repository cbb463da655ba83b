"""The header of an age file: stanzas that wrap the file key, and the code that authenticates them.

    age-encryption.org/v1
    -> type argument ...          one stanza for each recipient
    base64 body, 64 columns       its last line is shorter, perhaps empty
    --- base64 of HMAC-SHA-256(HKDF-SHA-256(file key, no salt, "header"), everything up to and with the three dashes)

Base64 is unpadded and canonical. Reading is strict and bounded, and is told pieces of any size.
Source: C2SP age.md, "Header".
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from drand.timelock.errors import DamagedHeader, ForgedHeader, NotAnAgeFile

FILE_KEY_BYTES = 16
VERSION_LINE = b"age-encryption.org/v1"
COLUMNS = 64
MAX_HEADER_BYTES = 256 * 1024  # a thousand recipients; the format has no limit of its own
_ARGUMENTS = re.compile(rb"-> [!-~]+(?: [!-~]+)*")
_MAC_LINE = re.compile(rb"--- ([A-Za-z0-9+/]{43})")


@dataclass(frozen=True, slots=True)
class Stanza:
    """What one recipient adds to the header.

    type   the first argument: "tlock", "X25519"
    args   the others, each of printable ASCII without spaces
    body   the wrapped file key, in the recipient's own form
    """

    type: str
    args: tuple[str, ...]
    body: bytes

    def encode(self) -> bytes:
        """The lines of the stanza, line feed at the end."""
        text = encode64(self.body)
        lines = [" ".join(("->", self.type, *self.args))]
        lines += [text[at : at + COLUMNS] for at in range(0, len(text) + 1, COLUMNS)]
        return "\n".join(lines).encode("ascii") + b"\n"


@dataclass(frozen=True, slots=True)
class Header:
    """A header as read. Nothing in it is authentic before `authenticate` has passed."""

    stanzas: tuple[Stanza, ...]
    covered: bytes  # what the code covers: all up to and with the three dashes
    mac: bytes  # 32 bytes

    def authenticate(self, file_key: bytes) -> None:
        """Raise ForgedHeader unless whoever wrote this header had the file key."""
        if not hmac.compare_digest(_mac(file_key, self.covered), self.mac):
            raise ForgedHeader("the header is not the one that was written: its authentication fails")


def derive(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 of the file key, 32 bytes."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt or None, info=info).derive(file_key)


def write_header(file_key: bytes, stanzas: tuple[Stanza, ...]) -> bytes:
    """A whole header, line feed at its end."""
    covered = VERSION_LINE + b"\n" + b"".join(stanza.encode() for stanza in stanzas) + b"---"
    return covered + b" " + encode64(_mac(file_key, covered)).encode("ascii") + b"\n"


class HeaderReader:
    """Reads a header out of pieces; `header` is there once it is complete."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self._seen = bytearray()
        self._read_to = 0  # lines before this place have been read
        self._stanzas: list[Stanza] = []
        self._arguments: list[str] | None = None  # of the stanza whose body is being read
        self._body = bytearray()

    def update(self, data: bytes) -> bytes:
        """Take the next piece; returns what lies behind the header, nothing while it is incomplete.

        raises  NotAnAgeFile at a first line that is not the format's; DamagedHeader at anything else
        """
        self._seen += data
        while self.header is None and (end := self._seen.find(b"\n", self._read_to)) >= 0:
            line = bytes(self._seen[self._read_to : end])
            self._line(line)
            self._read_to = end + 1
        if self.header is not None:
            rest = bytes(self._seen[self._read_to :])
            self._seen.clear()
            return rest
        if not self._read_to and not VERSION_LINE.startswith(self._seen[: len(VERSION_LINE)]):
            raise NotAnAgeFile("this is not an age file: it does not begin with age-encryption.org/v1")
        if len(self._seen) > MAX_HEADER_BYTES:
            raise DamagedHeader(f"the header has more than {MAX_HEADER_BYTES} bytes")
        return b""

    def finish(self) -> Header:
        """The header; raises NotAnAgeFile or DamagedHeader where the file ended before it did."""
        if self.header is None:
            if not self._read_to:
                raise NotAnAgeFile("this is not an age file: it ends before the first line does")
            raise DamagedHeader("the file ends within its header: it was cut short")
        return self.header

    def _line(self, line: bytes) -> None:
        if self._read_to > MAX_HEADER_BYTES:
            raise DamagedHeader(f"the header has more than {MAX_HEADER_BYTES} bytes")
        if not self._read_to:
            self._version(line)
        elif self._arguments is not None:
            self._body_line(line)
        elif line.startswith(b"---"):
            self._mac_line(line)
        elif _ARGUMENTS.fullmatch(line):
            self._arguments = line[3:].decode("ascii").split(" ")
        else:
            raise DamagedHeader("a line of the header is neither a stanza nor the end")

    def _version(self, line: bytes) -> None:
        if line.startswith(b"age-encryption.org/") and line != VERSION_LINE:
            shown = line[:60].decode("ascii", "replace")
            raise NotAnAgeFile(f"the file says {shown!r}, but only version 1 of the format is known")
        if line != VERSION_LINE:
            raise NotAnAgeFile("this is not an age file: it does not begin with age-encryption.org/v1")

    def _body_line(self, line: bytes) -> None:
        if len(line) > COLUMNS:
            raise DamagedHeader(f"a line of a stanza is longer than {COLUMNS} columns")
        self._body += decode64(line, "a stanza's body")
        if len(line) < COLUMNS and self._arguments is not None:
            kind, *args = self._arguments
            self._stanzas.append(Stanza(kind, tuple(args), bytes(self._body)))
            self._arguments = None
            self._body.clear()

    def _mac_line(self, line: bytes) -> None:
        found = _MAC_LINE.fullmatch(line)
        if found is None:
            raise DamagedHeader("the last line of the header is not three dashes and 43 characters")
        if not self._stanzas:
            raise DamagedHeader("the header has no stanza: nobody could open the file")
        covered = bytes(self._seen[: self._read_to + 3])
        self.header = Header(tuple(self._stanzas), covered, decode64(found[1], "the header's code"))


def encode64(data: bytes) -> str:
    """Base64 without padding."""
    return base64.b64encode(data).decode("ascii").rstrip("=")


def decode64(text: bytes, what: str) -> bytes:
    """The bytes of canonical base64 without padding; raises DamagedHeader."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise DamagedHeader(f"{what} is not base64: {error}") from error
    if encode64(data).encode("ascii") != text:
        raise DamagedHeader(f"{what} is not canonical base64 without padding")
    return data


def _mac(file_key: bytes, covered: bytes) -> bytes:
    return hmac.digest(derive(file_key, b"", b"header"), covered, "sha256")
