"""The payload of an age file: every chunk in its place, the last one marked, nothing missing and nothing behind it."""

import pytest

from drand.timelock.errors import DamagedPayload
from drand.timelock.payload import CHUNK_BYTES, NONCE_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES, PayloadOpener, PayloadSealer

FILE_KEY, NONCE = bytes(range(16)), bytes(NONCE_BYTES)
FULL = bytes(CHUNK_BYTES)


def sealed(size: int) -> bytes:
    sealer = PayloadSealer(FILE_KEY, NONCE)
    return sealer.update(bytes(size)) + sealer.finish()


def opener(*, allow_no_chunk: bool = False) -> PayloadOpener:
    return PayloadOpener(FILE_KEY, NONCE, allow_no_chunk=allow_no_chunk)


def opened(data: bytes, piece: int = 1 << 20) -> bytes:
    opening = opener()
    content = [chunk for at in range(0, len(data), piece) for chunk in opening.update(data[at : at + piece])]
    return b"".join(content) + opening.finish()


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_a_chunk_is_short_only_where_the_content_ends(size: int):
    data = sealed(size)
    chunks = max(1, -(-size // CHUNK_BYTES))
    assert len(data) == size + chunks * TAG_BYTES
    assert opened(data) == opened(data, piece=5000) == bytes(size)


@pytest.mark.parametrize("size", [0, 7, CHUNK_BYTES, CHUNK_BYTES + 7, 2 * CHUNK_BYTES])
@pytest.mark.parametrize("more", [b"x", bytes(TAG_BYTES), bytes(SEALED_CHUNK_BYTES)], ids=["byte", "tag", "chunk"])
@pytest.mark.parametrize("piece", [1 << 20, 5000])
def test_nothing_may_follow_the_last_chunk(size: int, more: bytes, piece: int):
    with pytest.raises(DamagedPayload):
        opened(sealed(size) + more, piece)


def test_what_follows_the_last_chunk_is_called_that():
    with pytest.raises(DamagedPayload, match="more after the last chunk"):
        opened(sealed(CHUNK_BYTES) + b"x")


def test_an_empty_last_chunk_behind_another_is_what_no_honest_writer_makes():
    sealer = PayloadSealer(FILE_KEY, NONCE)
    data = sealer._seal(FULL, last=False) + sealer._seal(b"", last=True)
    with pytest.raises(DamagedPayload, match="the last chunk is empty"):
        opened(data)


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (0, "before its content begins"),
        (SEALED_CHUNK_BYTES, "between two chunks"),
        (2 * SEALED_CHUNK_BYTES, "between two chunks"),
        (TAG_BYTES, "altered or cut short"),
        (SEALED_CHUNK_BYTES + TAG_BYTES, "the last chunk is empty"),
        (2 * SEALED_CHUNK_BYTES + TAG_BYTES + 3, "altered or cut short"),
    ],
)
def test_a_payload_that_was_cut_short_says_where(kept: int, why: str):
    data = sealed(2 * CHUNK_BYTES + 100)
    with pytest.raises(DamagedPayload, match=why):
        opened(data[:kept])


def test_the_hint_says_whether_anything_was_given_out_before_the_damage():
    data = bytearray(sealed(2 * CHUNK_BYTES + 100))
    for place, words in ((0, "nothing of its content was written"), (SEALED_CHUNK_BYTES, "is authentic, but not all")):
        damaged = data[:]
        damaged[place] ^= 1
        with pytest.raises(DamagedPayload) as refused:
            opened(bytes(damaged))
        assert words in refused.value.advice
    with pytest.raises(DamagedPayload) as refused:
        opened(sealed(7)[:-1])
    assert "nothing of its content was written" in refused.value.advice


def test_chunks_in_another_order_are_refused():
    data = sealed(3 * CHUNK_BYTES)
    first, second, last = (data[at : at + SEALED_CHUNK_BYTES] for at in range(0, len(data), SEALED_CHUNK_BYTES))
    for swapped in (second + first + last, first + first + last, first + last, last):
        with pytest.raises(DamagedPayload):
            opened(swapped)


@pytest.mark.parametrize("size", [0, 7, CHUNK_BYTES])
def test_what_is_finished_takes_no_more(size: int):
    opening = opener()
    assert b"".join(opening.update(sealed(size))) + opening.finish() == bytes(size)
    with pytest.raises(DamagedPayload, match="more after the last chunk"):
        list(opening.update(b"more"))


def test_a_payload_without_a_chunk_is_empty_content_only_where_that_is_allowed():
    with pytest.raises(DamagedPayload, match="before its content begins") as refused:
        opener().finish()
    assert "--allow-no-chunk" in refused.value.advice
    allowed = opener(allow_no_chunk=True)
    assert allowed.finish() == b""
    with pytest.raises(DamagedPayload, match="more after the last chunk"):
        list(allowed.update(b"more"))
    cut = opener(allow_no_chunk=True)
    list(cut.update(sealed(2 * CHUNK_BYTES)[:SEALED_CHUNK_BYTES]))
    with pytest.raises(DamagedPayload, match="between two chunks"):
        cut.finish()
