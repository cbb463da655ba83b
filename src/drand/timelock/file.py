"""An age file as it is written and read, without input or output: pieces go in, pieces come out.

The streams, the asynchronous streams and the bytes of `drand.timelock` are all these two classes.
"""

from collections.abc import Iterator, Sequence

from collective.entropy import Entropy
from collective.errors import BadSetting
from drand.timelock.armor import ArmorDecoder, ArmorEncoder, looks_armored
from drand.timelock.errors import DamagedHeader
from drand.timelock.header import FILE_KEY_BYTES, Header, HeaderReader, write_header
from drand.timelock.payload import CHUNK_BYTES, NONCE_BYTES, PayloadOpener, PayloadSealer
from drand.timelock.recipients import Recipient

PIECE_BYTES = 4 * CHUNK_BYTES  # what streams read at a time


class FileSealer:
    """Writes one file under a fresh file key.

    recipients   at least one; any of them can open the file
    armor        write text instead of binary
    """

    def __init__(self, recipients: Sequence[Recipient], entropy: Entropy, *, armor: bool = False) -> None:
        if not recipients:
            raise BadSetting("a file needs a recipient", hint="name a round, or a key with -r")
        file_key, nonce = entropy.bytes(FILE_KEY_BYTES), entropy.bytes(NONCE_BYTES)
        stanzas = tuple(recipient.wrap(file_key, entropy) for recipient in recipients)
        self._opening = write_header(file_key, stanzas) + nonce
        self._payload = PayloadSealer(file_key, nonce)
        self._armor = ArmorEncoder() if armor else None

    def update(self, data: bytes) -> bytes:
        """The part of the file that is certain once `data` is known."""
        return self._dressed(self._head() + self._payload.update(data))

    def finish(self) -> bytes:
        """The rest of the file."""
        rest = self._dressed(self._head() + self._payload.finish())
        return rest + (self._armor.finish() if self._armor else b"")

    def _head(self) -> bytes:
        head, self._opening = self._opening, b""
        return head

    def _dressed(self, data: bytes) -> bytes:
        return self._armor.update(data) if self._armor else data


class FileOpener:
    """Reads one file: `read_header` until it answers, `unlock`, then `update` and `finish`.

    allow_no_chunk   see PayloadOpener
    raises  NotAnAgeFile, DamagedArmor, DamagedHeader, ForgedHeader and DamagedPayload, each as soon as it shows
    """

    def __init__(self, *, allow_no_chunk: bool = False) -> None:
        self.armored = False
        self._allow_no_chunk = allow_no_chunk
        self._start: bytes | None = b""  # held until it is clear whether the file is armored
        self._armor: ArmorDecoder | None = None
        self._reader = HeaderReader()
        self._waiting = b""  # of the payload: what came with the header, then the part of a nonce
        self._file_key = b""
        self._payload: PayloadOpener | None = None

    def read_header(self, data: bytes) -> Header | None:
        """Take a piece of the file; the header once it is complete."""
        self._waiting += self._reader.update(self._undressed(data))
        return self._reader.header

    def end_of_header(self) -> Header:
        """The header when the file has ended; raises what is wrong with a file that has none."""
        if self._start:
            self._waiting += self._reader.update(self._settled(self._start))
        if self._reader.header is None and self._armor is not None:
            self._armor.finish()
        return self._reader.finish()

    def unlock(self, file_key: bytes) -> None:
        """Authenticate the header with the file key that an identity found; raises ForgedHeader."""
        self._reader.finish().authenticate(file_key)
        self._file_key = file_key

    def update(self, data: bytes) -> Iterator[bytes]:
        """The content that `data` completes, chunk by chunk, all of it authentic; use up the iterator each time.

        The content that came with the header is given out by the first call, for which `data` may be empty.
        """
        held, self._waiting = self._waiting + self._undressed(data), b""
        if self._payload is None:
            if len(held) < NONCE_BYTES:
                self._waiting = held
                return
            self._payload = PayloadOpener(self._file_key, held[:NONCE_BYTES], allow_no_chunk=self._allow_no_chunk)
            held = held[NONCE_BYTES:]
        yield from self._payload.update(held)

    def finish(self) -> bytes:
        """The last of the content; raises unless the file is complete."""
        if self._payload is None:
            raise DamagedHeader("the file ends right after its header: it was cut short")
        last = self._payload.finish()
        if self._armor is not None:
            self._armor.finish()
        return last

    def _undressed(self, data: bytes) -> bytes:
        if self._start is None:
            return self._armor.update(data) if self._armor else data
        self._start += data
        armored = looks_armored(self._start)
        if armored is None:
            return b""
        self.armored = armored
        return self._settled(self._start)

    def _settled(self, start: bytes) -> bytes:
        """What the file began with, now that it is known how to read it."""
        self._start = None
        self._armor = ArmorDecoder() if self.armored else None
        return self._armor.update(start) if self._armor else start
