"""ASCII armor: the strict form of PEM (RFC 7468, figure 3) in which an age file travels as text.

Both directions are told pieces of any size and answer with what follows from them; nothing is held but one line.
Reading accepts LF and CRLF, and white space before and after the armor (at most 1024 bytes of each).
Source: C2SP age.md, "ASCII armor"; test vectors armor_* of C2SP CCTV.
"""

import base64
import binascii
import struct

from drand.timelock.errors import DamagedArmor

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
END = b"-----END AGE ENCRYPTED FILE-----"
COLUMNS = 64
LINE_BYTES = 48  # what a full line carries
MOST_WHITESPACE = 1024
_WHITESPACE = b" \t\n\v\f\r"


def looks_armored(start: bytes) -> bool | None:
    """Whether a file that begins with `start` is armored; None while that cannot be told yet."""
    text = start.lstrip(_WHITESPACE)
    if text.startswith(BEGIN):
        return True
    if BEGIN.startswith(text) and len(start) <= MOST_WHITESPACE + len(BEGIN):
        return None
    return False


class ArmorEncoder:
    """Turns the bytes of a file into armor."""

    def __init__(self) -> None:
        self._held = b""
        self._begun = False

    def update(self, data: bytes) -> bytes:
        """The armor that is certain once `data` is known."""
        held = self._held + data
        whole = len(held) - len(held) % LINE_BYTES
        self._held = held[whole:]
        return self._opening() + _lines(held[:whole])

    def finish(self) -> bytes:
        """The rest of the armor."""
        last = base64.b64encode(self._held) + b"\n" if self._held else b""
        self._held = b""
        return self._opening() + last + END + b"\n"

    def _opening(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return BEGIN + b"\n"


def _lines(data: bytes) -> bytes:
    """Full lines; `data` is a multiple of LINE_BYTES. Taking a text apart with struct is twice as fast as slicing."""
    if not data:
        return b""
    text = base64.b64encode(data)
    return b"\n".join(struct.unpack(f"{COLUMNS}s" * (len(text) // COLUMNS), text)) + b"\n"


class ArmorDecoder:
    """Turns armor back into the bytes of the file; raises DamagedArmor at the first thing that is not strict."""

    def __init__(self) -> None:
        self._held = b""  # a line that has not ended
        self._begun = False
        self._short = False  # a line below full length was seen: only the end may follow
        self._ended = False
        self._blank = 0  # bytes of white space on this side of the armor

    def update(self, data: bytes) -> bytes:
        """The bytes that `data` completes."""
        text = self._held + data
        self._held = b""
        block, text = self._full_lines(text)
        *lines, rest = text.split(b"\n")
        decoded = [block]
        for line in lines:
            if self._ended:
                self._outside(line + b"\n")
            else:
                decoded.append(self._line(line.removesuffix(b"\r")))
        if self._ended:
            self._outside(rest)
        else:
            self._hold(rest)
        return b"".join(decoded)

    def finish(self) -> None:
        """Raise DamagedArmor unless the armor is complete. Its last line needs no line feed."""
        if self._held:
            self._line(self._held.removesuffix(b"\r"))
            self._held = b""
        if not self._ended:
            raise DamagedArmor("the armor has no END line: the text was cut short")

    def _full_lines(self, text: bytes) -> tuple[bytes, bytes]:
        """The bytes of as many full lines as `text` begins with, decoded at once, and the text after them.

        Gives none back where anything is unusual: the caller then looks at each line. Full lines without padding have
        one base64 form only, so nothing needs to be encoded again.
        """
        if not self._begun or self._short or self._ended:
            return b"", text
        rows = len(text) // (COLUMNS + 1)
        head = text[: rows * (COLUMNS + 1)]
        joined = head.replace(b"\n", b"")
        if len(joined) != rows * COLUMNS or head[COLUMNS :: COLUMNS + 1] != b"\n" * rows:
            return b"", text
        try:
            decoded = base64.b64decode(joined, validate=True)
        except binascii.Error:
            return b"", text
        if len(decoded) != rows * LINE_BYTES:
            return b"", text
        return decoded, text[len(head) :]

    def _hold(self, line: bytes) -> None:
        """Keep the beginning of a line, as long as one can be."""
        most = COLUMNS + 1 if self._begun else MOST_WHITESPACE + len(BEGIN) + 1
        if len(line) > most:
            raise DamagedArmor(f"a line of the armor is longer than {COLUMNS} characters")
        self._held = line

    def _line(self, line: bytes) -> bytes:
        if not self._begun:
            self._before(line)
            return b""
        if line == END:
            self._ended = True
            self._blank = 0
            return b""
        if self._short:
            raise DamagedArmor("a line of the armor is shorter than the others and not the last")
        return self._decoded(line)

    def _before(self, line: bytes) -> None:
        if line == BEGIN:
            self._begun = True
        elif line.strip(_WHITESPACE):
            raise DamagedArmor("the armor does not begin with its BEGIN line")
        else:
            self._outside(line + b"\n")

    def _decoded(self, line: bytes) -> bytes:
        if not line or len(line) > COLUMNS:
            raise DamagedArmor(f"a line of the armor has {len(line)} characters; between 1 and {COLUMNS} are allowed")
        try:
            decoded = base64.b64decode(line, validate=True)
        except binascii.Error as error:
            raise DamagedArmor(f"a line of the armor is not base64: {error}") from error
        if base64.b64encode(decoded) != line:
            raise DamagedArmor("a line of the armor is not canonical base64")
        self._short = len(decoded) < LINE_BYTES
        return decoded

    def _outside(self, data: bytes) -> None:
        if data.strip(_WHITESPACE):
            raise DamagedArmor("there is text outside the armor")
        self._blank += len(data)
        if self._blank > MOST_WHITESPACE:
            raise DamagedArmor("there is too much white space around the armor")
