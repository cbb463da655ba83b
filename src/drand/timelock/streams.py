"""Encrypting and decrypting bytes and streams of any length, in constant memory."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Protocol

from collective.entropy import Entropy, SystemEntropy
from drand.timelock.file import PIECE_BYTES, FileOpener, FileSealer
from drand.timelock.header import Header
from drand.timelock.recipients import Identity, Recipient, unwrap


class Reader(Protocol):
    """A binary file opened for reading, or anything like it."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


class Writer(Protocol):
    """A buffered binary file opened for writing, or anything that takes all it is given."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""
        ...


def encrypt_bytes(
    data: bytes, recipients: Sequence[Recipient], *, armor: bool = False, entropy: Entropy | None = None
) -> bytes:
    """The file with the content `data`; see `encrypt_stream`."""
    sealer = FileSealer(recipients, entropy or SystemEntropy(), armor=armor)
    return sealer.update(data) + sealer.finish()


def decrypt_bytes(data: bytes, identities: Sequence[Identity], *, allow_no_chunk: bool = False) -> bytes:
    """The content of the file `data`, all of it or an error; see `decrypt_stream`."""
    content = BytesIO()
    decrypt_stream(BytesIO(data), content, identities, allow_no_chunk=allow_no_chunk)
    return content.getvalue()


def encrypt_stream(
    reader: Reader,
    writer: Writer,
    recipients: Sequence[Recipient],
    *,
    armor: bool = False,
    entropy: Entropy | None = None,
) -> None:
    """Write a file with all that `reader` gives; any one of the recipients opens it.

    raises  BadSetting without a recipient; what reader and writer raise, which leaves an incomplete file
    """
    sealer = FileSealer(recipients, entropy or SystemEntropy(), armor=armor)
    for piece in _pieces(reader):
        writer.write(sealer.update(piece))
    writer.write(sealer.finish())


def decrypt_stream(
    reader: Reader, writer: Writer, identities: Sequence[Identity], *, allow_no_chunk: bool = False
) -> None:
    """Write the content of the file that `reader` gives, each chunk once it is known to be authentic.

    A file that was altered, reordered or cut short raises after the chunks before the damage were written: what the
    writer got is a true beginning of the content, and the whole of it only when this returns.

    allow_no_chunk   take a file that ends right after its nonce for an empty one, as tlock-js up to 0.9.0 writes it;
                     any file can be cut short to that
    raises  NotAnAgeFile, DamagedArmor, DamagedHeader, ForgedHeader, DamagedPayload for the file;
            StillLocked, WrongChain, NoIdentityMatched, BeaconNotFound, Unavailable, InvalidBeacon for the opening
    """
    write_content(unlocked(reader, identities, allow_no_chunk=allow_no_chunk), reader, writer)


def unlocked(reader: Reader, identities: Sequence[Identity], *, allow_no_chunk: bool = False) -> FileOpener:
    """The first half of `decrypt_stream`: read the header and open it, which may take as long as an identity waits."""
    opener = FileOpener(allow_no_chunk=allow_no_chunk)
    header = read_header(opener, reader)
    opener.unlock(unwrap(header.stanzas, identities))
    return opener


def write_content(opener: FileOpener, reader: Reader, writer: Writer) -> None:
    """The second half of `decrypt_stream`: the content of a file that is unlocked, with what is left in `reader`."""
    for chunk in opener.update(b""):
        writer.write(chunk)
    for piece in _pieces(reader):
        for chunk in opener.update(piece):
            writer.write(chunk)
    writer.write(opener.finish())


def read_header(opener: FileOpener, reader: Reader) -> Header:
    """Read no more than the header needs, and the rest of the piece it ends in."""
    for piece in _pieces(reader):
        header = opener.read_header(piece)
        if header is not None:
            return header
    return opener.end_of_header()


def _pieces(reader: Reader) -> Iterator[bytes]:
    while piece := reader.read(PIECE_BYTES):
        yield piece
