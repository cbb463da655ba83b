"""Age's keys and their text form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drand.timelock import MalformedKey, X25519Identity, X25519Recipient, bech32, decrypt_bytes, encrypt_bytes
from drand.timelock.x25519 import read_identities
from tests.support.entropy import SeededEntropy

# C2SP age.md, "The X25519 recipient type": the key is 32 times 0x42.
SECRET = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
PUBLIC = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def test_the_example_of_the_format():
    key = X25519Identity.parse(SECRET)
    assert key.encode() == SECRET
    assert str(key.recipient) == PUBLIC
    assert X25519Recipient.parse(PUBLIC).public_key == key.recipient.public_key
    assert X25519Recipient.parse(PUBLIC.upper()).public_key == key.recipient.public_key


def test_a_key_does_not_print_itself():
    assert "SECRET" not in repr(X25519Identity.parse(SECRET))
    assert PUBLIC in repr(X25519Identity.parse(SECRET))


NO_RECIPIENTS = [
    "",
    "age1",
    PUBLIC[:-1],
    PUBLIC + "q",
    PUBLIC.replace("z", "y", 1),
    PUBLIC.title(),
    SECRET,
    "ag" + PUBLIC[3:],
    "age1" + "b" * 58,
    "é" + PUBLIC,
]


@pytest.mark.parametrize("text", NO_RECIPIENTS)
def test_what_is_no_recipient_is_refused(text: str):
    with pytest.raises(MalformedKey):
        X25519Recipient.parse(text)


def test_no_error_shows_a_secret():
    for text in (SECRET[:-1], SECRET.replace("GFP", "GFQ", 1), SECRET.lower().replace("age", "AGE", 1)):
        with pytest.raises(MalformedKey) as refusal:
            X25519Identity.parse(text)
        assert "GFP" not in str(refusal.value).upper()


@given(st.binary(max_size=100))
def test_bech32_gives_back_what_it_was_given(data: bytes):
    assert bech32.decode(bech32.encode("age", data), "age") == data


@given(st.binary(min_size=1, max_size=40), st.data())
def test_bech32_notices_any_one_letter(data: bytes, choose: st.DataObject):
    text = bech32.encode("age", data)
    place = choose.draw(st.integers(4, len(text) - 1))
    letter = choose.draw(st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        with pytest.raises(MalformedKey):
            bech32.decode(changed, "age")


def test_bits_left_over_must_be_zero_and_few():
    for values in ([0, 1], [0, 0, 0]):  # ten bits for one byte with a one in the rest; a whole letter too many
        letters = "".join(bech32._LETTERS[value] for value in values)
        checksum = bech32._polymod(bech32._expanded("age") + values + [0] * 6) ^ 1
        tail = "".join(bech32._LETTERS[checksum >> 5 * (5 - place) & 31] for place in range(6))
        with pytest.raises(MalformedKey, match="zero"):
            bech32.decode("age1" + letters + tail, "age")


def test_a_recipient_of_low_order_is_refused():
    with pytest.raises(MalformedKey, match="low order"):
        encrypt_bytes(b"", [X25519Recipient(bytes(32))])


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_have_32_bytes(size: int):
    for kind in (X25519Recipient, X25519Identity):
        with pytest.raises(MalformedKey):
            kind(bytes(size))


def test_an_identity_file_has_keys_comments_and_empty_lines():
    keys = [X25519Identity.generate(SeededEntropy(seed)) for seed in range(2)]
    found = read_identities(["# made today", "", keys[0].encode(), f"  {keys[1].encode()}  "])
    assert decrypt_bytes(encrypt_bytes(b"x", [keys[1].recipient]), found) == b"x"
    with pytest.raises(MalformedKey, match="no identity"):
        read_identities(["# nothing"])
    with pytest.raises(MalformedKey, match="line 2"):
        read_identities(["#", SECRET[:-1]])
