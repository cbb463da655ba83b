"""Draws: what is committed to, what follows, and that no field of a receipt can be changed unnoticed."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import BadSetting, CollectiveError, Malformed
from drand.client.draw import (
    Announcement,
    Receipt,
    check,
    commit,
    draw,
    encode_announcement,
    encode_receipt,
    parse_announcement,
    parse_entries,
    parse_receipt,
)
from drand.client.errors import InvalidReceipt
from drand.client.sampling import Sampler
from drand.errors import InvalidBeacon, InvalidChainInfo
from drand.model.chain import Round
from tests.support.http_chain import CHAINED, UNCHAINED, chain, committee

ENTRIES = ["Ada", "Barbara", "Grace", "Hedy", "Katherine", "Margaret", "Radia", "Sophie"]


def receipt(scheme: str = UNCHAINED, round_: int = 9) -> Receipt:
    return draw(announced(scheme, round_), ENTRIES, committee(scheme).beacon(round_))


def announced(scheme: str = UNCHAINED, round_: int = 9) -> Announcement:
    before = chain(scheme).schedule.due_unix_s(round_) - 5
    return Announcement(
        chain=chain(scheme), commitment=commit(ENTRIES, 3), round=Round(round_), committed_unix_s=before
    )


def test_an_announcement_is_read_back_and_holds_the_draw_to_it():
    assert parse_announcement(encode_announcement(announced())) == announced()
    with pytest.raises(BadSetting, match="its hash differs"):
        draw(announced(), ENTRIES[1:], committee().beacon(9))
    with pytest.raises(BadSetting, match="round 9 was announced"):
        draw(announced(), ENTRIES, committee().beacon(10))
    with pytest.raises(Malformed):
        parse_announcement(encode_receipt(receipt()))
    with pytest.raises(Malformed):
        parse_announcement(encode_announcement(announced()).replace(b'"round": 9', b'"round": "9"'))
    with pytest.raises(Malformed, match="round: -9 is below 0"):
        parse_announcement(encode_announcement(announced()).replace(b'"round": 9', b'"round": -9'))


def test_the_hash_of_a_plain_list_is_that_of_its_file():
    data = "\n".join(ENTRIES).encode() + b"\n"
    assert commit(parse_entries(data), 1).list_sha256 == hashlib.sha256(data).digest()


def test_line_ends_and_empty_lines_do_not_count():
    assert parse_entries(b"a\r\n\r\nb b\n\n c\nd") == ["a", "b b", " c", "d"]


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"a\nb\na\n"])
def test_a_list_without_entries_or_with_one_twice_is_refused(data: bytes):
    with pytest.raises(BadSetting):
        parse_entries(data)


def test_a_list_is_utf_8():
    with pytest.raises(Malformed, match="UTF-8"):
        parse_entries(b"\xff\n")


@pytest.mark.parametrize("wanted", [0, 9])
def test_there_are_as_many_winners_as_there_can_be(wanted: int):
    with pytest.raises(BadSetting):
        commit(ENTRIES, wanted)


@pytest.mark.parametrize("scheme", [UNCHAINED, CHAINED])
def test_a_receipt_is_checked_from_its_bytes_alone(scheme: str):
    made = receipt(scheme)
    checked = check(parse_receipt(encode_receipt(made)))
    assert checked == made
    purpose = f"drand-draw-v1/{made.commitment.list_sha256.hex()}/3"
    assert checked.winners == Sampler(made.beacon.randomness, purpose).sample(ENTRIES, 3)


def test_a_private_receipt_is_checked_with_the_list():
    data = encode_receipt(receipt(), with_entries=False)
    assert all(name.encode() not in data for name in ENTRIES)
    with pytest.raises(BadSetting, match="list"):
        check(parse_receipt(data))
    assert check(parse_receipt(data), ENTRIES) == receipt()
    with pytest.raises(InvalidReceipt, match="its hash differs"):
        check(parse_receipt(data), ENTRIES[::-1])


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    fields = json.loads(encode_receipt(receipt()))
    change(fields)
    return json.dumps(fields).encode()


ATTACKS: dict[str, tuple[Callable[[dict[str, Any]], Any], type[CollectiveError]]] = {
    "another winner": (lambda f: f["positions"].__setitem__(0, (f["positions"][0] + 1) % 8), InvalidReceipt),
    "another name": (lambda f: f["winners"].__setitem__(0, "Mallory"), InvalidReceipt),
    "another entry": (lambda f: f["entries"].__setitem__(7, "Mallory"), CollectiveError),
    "another order": (lambda f: f["positions"].reverse(), InvalidReceipt),
    "a winner less": (lambda f: (f["positions"].pop(), f["winners"].pop()), InvalidReceipt),
    "fewer wanted": (lambda f: f.__setitem__("winners_wanted", 2), InvalidReceipt),
    "another list hash": (lambda f: f.__setitem__("list_sha256", "00" * 32), InvalidReceipt),
    "another signature": (lambda f: f["beacon"].__setitem__("signature", "ab" * 48), InvalidBeacon),
    "another round": (lambda f: f["beacon"].__setitem__("round", 10), InvalidReceipt),
    "another round and time": (
        lambda f: (f["beacon"].__setitem__("round", 10), f.__setitem__("round_due_unix_s", 1270)),
        InvalidBeacon,
    ),
    "another key": (lambda f: f["chain"].__setitem__("public_key", "00" * 96), CollectiveError),
    "another chain hash": (lambda f: f["chain"].__setitem__("chain_hash", "00" * 32), InvalidChainInfo),
    "committed too late": (lambda f: f.__setitem__("committed_unix_s", f["round_due_unix_s"]), InvalidReceipt),
    "a position beyond": (lambda f: f["positions"].__setitem__(0, 99), InvalidReceipt),
    "a position before": (lambda f: f.__setitem__("positions", [-1, -2, -3]), InvalidReceipt),
    "a position before, no names": (lambda f: (f.pop("winners"), f["positions"].__setitem__(0, -8)), InvalidReceipt),
    "committed before time": (lambda f: f.__setitem__("committed_unix_s", -5), InvalidReceipt),
    "fewer than none wanted": (lambda f: f.__setitem__("winners_wanted", -1), InvalidReceipt),
    "a position that is a half": (lambda f: f["positions"].__setitem__(0, 0.5), Malformed),
    "another format": (lambda f: f.__setitem__("format", "x"), Malformed),
    "no entries": (lambda f: f.__setitem__("entries", []), CollectiveError),
    "a text as list": (lambda f: (f.pop("winners"), f.__setitem__("entries", "abcdefgh")), Malformed),
    "half a character": (lambda f: (f.pop("winners"), f["entries"].__setitem__(0, "\ud800")), Malformed),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_receipt_that_was_changed_is_refused(name: str):
    change, error = ATTACKS[name]
    with pytest.raises(error):
        check(parse_receipt(changed(change)))


@pytest.mark.parametrize("field", ["winners", "positions", "list_sha256"])
def test_a_receipt_says_nothing_twice(field: str):
    data = encode_receipt(receipt())
    twice = data.replace(f'"{field}":'.encode(), f'"{field}": "what people read",\n  "{field}":'.encode(), 1)
    with pytest.raises(Malformed, match="twice"):
        parse_receipt(twice)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


@given(field=st.sampled_from(sorted(json.loads(encode_receipt(receipt())))), value=JSON)
def test_any_other_value_of_any_field_is_an_error_of_ours(field: str, value: object):
    original = json.loads(encode_receipt(receipt()))
    if value == original[field] or (field == "committed_unix_s" and isinstance(value, int)):
        return
    with pytest.raises(CollectiveError):
        check(parse_receipt(changed(lambda fields: fields.__setitem__(field, value))))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_receipt_are_malformed(data: bytes):
    with pytest.raises(CollectiveError):
        parse_receipt(data)


def test_entries_that_would_hash_alike_are_told_apart():
    assert commit(["ab", "c"], 1) != commit(["a", "bc"], 1)
    with pytest.raises(BadSetting, match="several lines"):
        commit(["a\nb", "c"], 1)


def test_another_number_of_winners_draws_other_winners():
    more = replace(commit(ENTRIES, 3), winners_wanted=4)
    assert more.purpose != commit(ENTRIES, 3).purpose
