"""The header of an age file: stanzas of every length, its bound, and the code that covers all of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drand.timelock.errors import DamagedHeader, ForgedHeader, NotAnAgeFile
from drand.timelock.header import COLUMNS, MAX_HEADER_BYTES, VERSION_LINE, Header, HeaderReader, Stanza, write_header

FILE_KEY = bytes(range(16))
FULL_LINE = COLUMNS // 4 * 3  # bytes of a body whose base64 fills a line
words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
stanzas = st.builds(Stanza, words, st.lists(words, max_size=3).map(tuple), st.binary(max_size=3 * FULL_LINE))


def read(data: bytes, piece: int = 0) -> tuple[Header, bytes]:
    """The header in `data`, which comes in pieces of that many bytes (0: at once), and what lies behind it."""
    reader, rest = HeaderReader(), b""
    piece = piece or len(data)
    for at in range(0, len(data), piece):
        came = data[at : at + piece]
        rest += came if reader.header else reader.update(came)
    return reader.finish(), rest


@pytest.mark.parametrize("size", [0, 1, FULL_LINE - 1, FULL_LINE, FULL_LINE + 1, 2 * FULL_LINE - 1, 2 * FULL_LINE])
def test_the_last_line_of_a_body_is_short_and_the_others_are_full(size: int):
    stanza = Stanza("kind", ("argument",), bytes(size))
    first, *body = stanza.encode().decode().split("\n")[:-1]
    assert first == "-> kind argument"
    assert all(len(line) == COLUMNS for line in body[:-1])
    assert len(body[-1]) < COLUMNS
    assert read(write_header(FILE_KEY, (stanza,)))[0].stanzas == (stanza,)


@given(st.lists(stanzas, min_size=1, max_size=4).map(tuple), st.integers(1, 80), st.binary(max_size=40))
def test_a_header_is_read_as_it_was_written_in_pieces_of_any_size(
    written: tuple[Stanza, ...], piece: int, behind: bytes
):
    header, rest = read(write_header(FILE_KEY, written) + behind, piece)
    assert (header.stanzas, rest) == (written, behind)
    header.authenticate(FILE_KEY)


def test_the_code_is_of_the_file_key_and_covers_every_byte():
    written = write_header(FILE_KEY, (Stanza("one", ("a",), b"body"), Stanza("two", (), b"")))
    with pytest.raises(ForgedHeader):
        read(written)[0].authenticate(bytes(16))
    for other in (b"-> one b", b"-> uno a"):
        with pytest.raises(ForgedHeader):
            read(written.replace(b"-> one a", other))[0].authenticate(FILE_KEY)


@pytest.mark.parametrize("more", [bytes(1000), b"-> kind\n\n" * 100], ids=["one line", "stanza after stanza"])
def test_a_header_without_end_is_refused_before_it_fills_the_memory(more: bytes):
    endless = VERSION_LINE + b"\n" + more * (MAX_HEADER_BYTES // len(more) + 2)
    with pytest.raises(DamagedHeader, match="more than"):
        read(endless, len(more))


def test_lines_past_the_bound_are_refused_although_they_came_at_once():
    stanza = Stanza("kind", (), bytes(MAX_HEADER_BYTES))
    with pytest.raises(DamagedHeader, match="more than"):
        read(write_header(FILE_KEY, (stanza,)))


@pytest.mark.parametrize("data", [b"", b"age-encryption.org/v1", b"age"])
def test_a_file_that_ends_before_its_first_line_is_no_age_file(data: bytes):
    reader = HeaderReader()
    reader.update(data)
    with pytest.raises(NotAnAgeFile, match="ends before"):
        reader.finish()


@pytest.mark.parametrize("data", [b"\n", b"\nage-encryption.org/v1\n", b"age-encryption.org/v2\n", b"%PDF-1.7"])
def test_another_first_line_is_noticed_at_once(data: bytes):
    with pytest.raises(NotAnAgeFile):
        HeaderReader().update(data)
