"""The payload of an age file: the STREAM construction with ChaCha20-Poly1305 in chunks of 64 KiB.

    nonce, 16 bytes; key = HKDF-SHA-256(file key, salt = nonce, info = "payload")
    chunk i is encrypted under the nonce u88BE i || 1 for the last chunk, 0 for the others

Only the last chunk may be short, and it is empty only when all of the content is. No chunk is given out before its
tag has been checked in its place, so what is given out is always a beginning of the content; that it is all of it is
known only when `finish` returns.
Source: C2SP age.md, "Payload"; Hoang, Reyhanitabar, Rogaway, Vizar, CRYPTO 2015 (STREAM).
"""

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from drand.timelock.errors import NOTHING_WRITTEN, DamagedPayload
from drand.timelock.header import derive

NONCE_BYTES = 16
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_NO_CHUNK_HINT = (
    "get the file again from where it came; tlock-js up to 0.9.0 writes such a file for empty content: "
    "if that is what it is, open it with --allow-no-chunk"
)


def _chunk_nonce(counter: int, *, last: bool) -> bytes:
    return counter.to_bytes(11, "big") + bytes([last])


class PayloadSealer:
    """Encrypts content of any length; the nonce itself is written by the caller."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))
        self._counter = 0
        self._held = b""  # at most one chunk: whether a full one is the last shows when more comes

    def update(self, data: bytes) -> bytes:
        """The chunks that are certain once `data` is known."""
        held = memoryview(self._held + data if self._held else data)
        sealed, start = [], 0
        while len(held) - start > CHUNK_BYTES:
            sealed.append(self._seal(held[start : start + CHUNK_BYTES], last=False))
            start += CHUNK_BYTES
        self._held = bytes(held[start:])
        return b"".join(sealed)

    def finish(self) -> bytes:
        """The last chunk."""
        held, self._held = self._held, b""
        return self._seal(held, last=True)

    def _seal(self, chunk: bytes | memoryview, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(_chunk_nonce(self._counter, last=last), chunk, None)
        self._counter += 1
        return sealed


class PayloadOpener:
    """Decrypts content of any length.

    allow_no_chunk   take a payload without any chunk for empty content, as tlock-js up to 0.9.0 writes it. The format
                     forbids it for a reason: any file can be cut short to that, and nobody can tell.
    """

    def __init__(self, file_key: bytes, nonce: bytes, *, allow_no_chunk: bool) -> None:
        self._allow_no_chunk = allow_no_chunk
        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))
        self._counter = 0
        self._held = b""
        self._ended = False  # the last chunk has been opened

    def update(self, data: bytes) -> Iterator[bytes]:
        """The chunks that `data` completes, one by one; raises DamagedPayload after the good ones.

        All of the iterator must be used up before the next call.
        """
        held = memoryview(self._held + data if self._held else data)
        start = 0
        self._held = b""
        while len(held) - start >= SEALED_CHUNK_BYTES:
            self._refuse_more()
            yield self._open_full(held[start : start + SEALED_CHUNK_BYTES])
            start += SEALED_CHUNK_BYTES
        self._held = bytes(held[start:])
        if self._held:
            self._refuse_more()

    def finish(self) -> bytes:
        """The last chunk, where it is a short one; raises DamagedPayload unless the content is complete."""
        if self._ended:
            return b""
        if not self._held and not self._counter:
            if self._allow_no_chunk:
                self._ended = True
                return b""
            raise DamagedPayload("the file ends before its content begins: it was cut short", hint=_NO_CHUNK_HINT)
        if not self._held:
            raise DamagedPayload("the file ends between two chunks of its content: it was cut short")
        if len(self._held) == TAG_BYTES and self._counter:
            raise DamagedPayload("the last chunk is empty, which no honest writer makes")
        chunk = self._open(self._held, last=True)
        if chunk is None:
            raise self._damaged("the last chunk of the content was altered or cut short")
        self._held = b""
        self._ended = True
        return chunk

    def _refuse_more(self) -> None:
        if self._ended:
            raise DamagedPayload("there is more after the last chunk of the content")

    def _open_full(self, sealed: memoryview) -> bytes:
        """A chunk of full length: one of many, or the last one."""
        chunk = self._open(sealed, last=False)
        if chunk is None:
            chunk = self._open(sealed, last=True)
            self._ended = True
        if chunk is None:
            raise self._damaged(f"chunk {self._counter} of the content was altered or is not in its place")
        return chunk

    def _damaged(self, what: str) -> DamagedPayload:
        """With a hint that tells whether anything has been given out before."""
        return DamagedPayload(what, hint=None if self._counter else NOTHING_WRITTEN)

    def _open(self, sealed: bytes | memoryview, *, last: bool) -> bytes | None:
        try:
            chunk = self._cipher.decrypt(_chunk_nonce(self._counter, last=last), sealed, None)
        except InvalidTag:
            return None
        self._counter += 1
        return chunk
