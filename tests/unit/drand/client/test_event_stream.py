"""Server-sent events in pieces of any size."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed
from drand.client.event_stream import MAX_EVENT_BYTES, EventStream

LINES = st.sampled_from([b"data: a", b"data:b", b"data", b"event: round", b": hello", b"id: 7", b"retry: 5", b"", b"x"])


def test_fields_comments_and_several_data_lines():
    text = b": welcome\r\n\r\nid: 1\rdata: {\rdata: }\r\revent: note\ndata:x\n\ndata\n\nevent: lost\n\n"
    assert EventStream().feed(text + b"data: not ended\n") == [("message", b"{\n}"), ("note", b"x"), ("message", b"")]


@given(lines=st.lists(LINES, max_size=20), ends=st.sampled_from([b"\n", b"\r\n"]), cuts=st.lists(st.integers(0, 200)))
def test_it_does_not_matter_where_the_pieces_are_cut(lines: list[bytes], ends: bytes, cuts: list[int]):
    text = b"".join(line + ends for line in lines) + b"data: last" + ends + ends
    whole = EventStream().feed(text)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces, found = EventStream(), []
    for start, stop in pairwise(places):
        found += pieces.feed(text[start:stop])
    assert found == whole
    assert found[-1][1].endswith(b"last")


@pytest.mark.parametrize("piece", [b"data: " + b"x" * MAX_EVENT_BYTES, b"data: x\n" * (MAX_EVENT_BYTES // 4)])
def test_an_event_has_a_bound(piece: bytes):
    with pytest.raises(Malformed, match="more than"):
        EventStream().feed(piece)
