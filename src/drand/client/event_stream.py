"""Server-sent events, read piece by piece with bounds. Source: WHATWG HTML, 9.2.6, "Interpreting an event stream"."""

import re

from collective.errors import Malformed

MAX_EVENT_BYTES = 1 << 16
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventStream:
    """Takes the bytes of a stream in any pieces, gives the data of its complete events.

    What is kept between pieces is at most one event of MAX_EVENT_BYTES; a longer one raises Malformed.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._kind = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """(type, data) of each event that ends in this piece; the type is "message" where none is given."""
        *lines, self._rest = self._split(self._rest + piece)
        found = []
        for line in lines:
            self._size += len(line)
            if line:
                self._field(line)
            else:
                if self._data:
                    found.append((self._kind.decode(errors="replace") or "message", b"\n".join(self._data)))
                self._kind, self._data, self._size = b"", [], 0
        if self._size + len(self._rest) > MAX_EVENT_BYTES:
            raise Malformed(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return found

    @staticmethod
    def _split(text: bytes) -> list[bytes]:
        """Complete lines and the rest. A CR at the very end waits: an LF may belong to it."""
        if text.endswith(b"\r"):
            parts = _LINE_END.split(text[:-1])
            parts[-1] += b"\r"
            return parts
        return _LINE_END.split(text)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value
