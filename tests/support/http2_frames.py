"""HTTP/2 by hand: what no client library would send.

Source: RFC 9113, section 4.1 (frames); RFC 7541, section 6.2.2 (header fields that are not indexed).
"""

import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4
CANCEL = struct.pack(">I", 8)  # the error code with which a client takes a call back


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


def field(name: str, value: str) -> bytes:
    """One header field."""
    return b"\x00" + _string(name.encode()) + _string(value.encode())


def _string(data: bytes) -> bytes:
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, length = len(data) - 127, b"\x7f"
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + data


def call(path: str) -> bytes:
    """The header fields of a gRPC call."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
    return b"".join(field(*pair) for pair in fields.items()) + field("content-type", "application/grpc")


def message(payload: bytes) -> bytes:
    """A gRPC message, not compressed, as the payload of a DATA frame."""
    return b"\0" + struct.pack(">I", len(payload)) + payload


class Http2Connection:
    """A connection that has said the preface and then does as it is told; blocking, with a deadline."""

    def __init__(self, address: str, patience_s: float = 30.0) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=patience_s)
        self.socket.sendall(PREFACE)

    def send(self, *frames: bytes) -> None:
        """Send frames."""
        self.socket.sendall(b"".join(frames))

    def read_frame(self) -> tuple[int, int, int, bytes]:
        """The next frame that comes: kind, flags, stream, payload. Raises EOFError when the other side hung up."""
        head = self._exactly(9)
        payload = self._exactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, payload

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def close(self) -> None:
        """Hang up."""
        self.socket.close()
