"""What `drand.timelock.streams` does, for an event loop.

Pieces are read and written with `await`; the ciphers run in between, about a quarter of a millisecond a piece.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from typing import Protocol

from collective.entropy import Entropy, SystemEntropy
from drand.timelock.file import PIECE_BYTES, FileOpener, FileSealer
from drand.timelock.header import Header
from drand.timelock.recipients import AsyncIdentity, Identity, Recipient, unwrap_async


class AsyncReader(Protocol):
    """`asyncio.StreamReader`, or anything like it."""

    async def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


class AsyncWriter(Protocol):
    """Anything that takes bytes and lets the caller wait until there is room for more."""

    async def write(self, data: bytes, /) -> object:
        """Take all of `data`."""
        ...


class _Memory:
    """Bytes as a reader and as a writer; others get their turn after each piece."""

    def __init__(self, data: bytes = b"") -> None:
        self._stream = BytesIO(data)

    async def read(self, size: int, /) -> bytes:
        await asyncio.sleep(0)
        return self._stream.read(size)

    async def write(self, data: bytes, /) -> None:
        self._stream.write(data)

    def content(self) -> bytes:
        return self._stream.getvalue()


async def encrypt_bytes_async(
    data: bytes, recipients: Sequence[Recipient], *, armor: bool = False, entropy: Entropy | None = None
) -> bytes:
    """As `encrypt_bytes`, without keeping the event loop from its other work for long."""
    written = _Memory()
    await encrypt_stream_async(_Memory(data), written, recipients, armor=armor, entropy=entropy)
    return written.content()


async def decrypt_bytes_async(
    data: bytes, identities: Sequence[Identity | AsyncIdentity], *, allow_no_chunk: bool = False
) -> bytes:
    """As `decrypt_bytes`; identities may be of both kinds."""
    opened = _Memory()
    await decrypt_stream_async(_Memory(data), opened, identities, allow_no_chunk=allow_no_chunk)
    return opened.content()


async def encrypt_stream_async(
    reader: AsyncReader,
    writer: AsyncWriter,
    recipients: Sequence[Recipient],
    *,
    armor: bool = False,
    entropy: Entropy | None = None,
) -> None:
    """As `encrypt_stream`."""
    sealer = FileSealer(recipients, entropy or SystemEntropy(), armor=armor)
    async for piece in _pieces(reader):
        await writer.write(sealer.update(piece))
    await writer.write(sealer.finish())


async def decrypt_stream_async(
    reader: AsyncReader,
    writer: AsyncWriter,
    identities: Sequence[Identity | AsyncIdentity],
    *,
    allow_no_chunk: bool = False,
) -> None:
    """As `decrypt_stream`; identities may be of both kinds."""
    opener = FileOpener(allow_no_chunk=allow_no_chunk)
    header = await _read_header(opener, reader)
    opener.unlock(await unwrap_async(header.stanzas, identities))
    for chunk in opener.update(b""):
        await writer.write(chunk)
    async for piece in _pieces(reader):
        for chunk in opener.update(piece):
            await writer.write(chunk)
    await writer.write(opener.finish())


async def _read_header(opener: FileOpener, reader: AsyncReader) -> Header:
    async for piece in _pieces(reader):
        header = opener.read_header(piece)
        if header is not None:
            return header
    return opener.end_of_header()


async def _pieces(reader: AsyncReader) -> AsyncIterator[bytes]:
    while piece := await reader.read(PIECE_BYTES):
        yield piece
