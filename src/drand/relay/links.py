"""What the feeder and a worker of one relay tell each other, over a socket pair: frames of msgpack.

Four bytes of length (big endian), then one message. Both are processes of one relay started together, so the
messages are typed but not versioned. A frame that does not decode ends the link, and with it the worker.
"""

import asyncio
from typing import TypeAlias

import msgspec

from collective.errors import Malformed, Unavailable
from drand.net.http_watch import Tally

MAX_FRAME_BYTES = 1 << 20
MAX_UNREAD_BYTES = 8 << 20  # a worker that lets more wait does not run any more

_LENGTH_BYTES = 4


class LinkEnded(Unavailable):
    """The other process has gone."""


class Stuck(Unavailable):
    """The other process does not read."""


class Told(msgspec.Struct, tag="t", array_like=True):
    """A beacon: a new one, or the answer to Want. `news`: it is the new head."""

    chain: bytes
    round: int
    signature: bytes
    previous: bytes
    news: bool


class Want(msgspec.Struct, tag="w", array_like=True):
    """A worker lacks a past round."""

    chain: bytes
    round: int


class Lack(msgspec.Struct, tag="l", array_like=True):
    """Nobody upstream has it."""

    chain: bytes
    round: int
    why: str


class Ready(msgspec.Struct, tag="r", array_like=True):
    """A worker listens, on this port."""

    port: int


class Caught(msgspec.Struct, tag="k", array_like=True):
    """A worker has read a round that does not verify from this file."""

    source: str


class Reopen(msgspec.Struct, tag="o", array_like=True):
    """The access log was moved away: begin it anew."""


class Counted(msgspec.Struct, tag="c", array_like=True):
    """What a worker has counted since its start."""

    calls: list[tuple[str, str, int]]  # status, method, count
    slots: dict[str, list[int]]
    seconds: dict[str, float]
    in_flight: int
    readers: int
    dropped: int

    @staticmethod
    def of(tally: Tally, *, in_flight: int = 0, readers: int = 0, dropped: int = 0) -> "Counted":
        """A copy of a tally; it may be read in another thread than the one that counts."""
        calls = [(status, method, count) for (status, method), count in list(tally.calls.items())]
        return Counted(calls, dict(tally.slots), dict(tally.seconds), in_flight, readers, dropped)

    def tally(self) -> Tally:
        """The requests."""
        calls = {(status, method): count for status, method, count in self.calls}
        return Tally(calls, dict(self.slots), dict(self.seconds))

    def outlived(self, ended: "Counted") -> "Counted":
        """These numbers and those of a worker that has ended: what it counted stays, what it held is gone."""
        total = self.tally()
        total.merge(ended.tally())
        return Counted.of(total, in_flight=self.in_flight, readers=self.readers, dropped=self.dropped + ended.dropped)


NOTHING = Counted([], {}, {}, 0, 0, 0)

Frame: TypeAlias = Told | Want | Lack | Ready | Reopen | Counted | Caught

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


class Link:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, frame: Frame) -> None:
        """Queue a frame; raises Stuck when the other side lets too much wait, LinkEnded when it is gone."""
        if self._writer.is_closing():
            raise LinkEnded("the other process has gone")
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            raise Stuck("the other process does not read")
        body = _encoder.encode(frame)
        self._writer.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)

    async def receive(self) -> Frame:
        """The next frame; raises LinkEnded, Malformed."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            if length > MAX_FRAME_BYTES:
                raise Malformed(f"a frame of {length} bytes between processes of one relay")
            return _decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise LinkEnded("the other process has gone") from error
        except msgspec.DecodeError as error:
            raise Malformed(f"a frame between processes of one relay: {error}") from error

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
