"""Files written by Go, by hand or by nobody sane: what is read, what is refused, and what is never quoted."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed, MalformedPoint, MalformedScalar
from collective.secret import SecretScalar
from drand.errors import InvalidGroup, UnknownScheme
from drand.model.chain import Index, canonical_beacon_id
from drand.model.group import Group
from drand.model.schemes import Scheme
from drand.model.share import Share
from drand.wire.toml_files import (
    decode_group_file,
    decode_identity_file,
    decode_key_file,
    decode_share_file,
    encode_group_file,
    encode_identity_file,
    encode_key_file,
    encode_share_file,
)
from drand.wire.toml_text import Table, quoted
from tests.support.wire_samples import (
    CHAINED,
    QUICKNET,
    assert_only_malformed,
    damaged,
    group,
    groups,
    identity,
    names,
    schemes,
)

SECRET = SecretScalar(0x1234)
SECRET_HEX = SECRET.to_bytes().hex()
SHARE = Share(Index(2), SECRET, group().public_key, CHAINED)
GROUP_FILE = encode_group_file(group()).decode()
FILES: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "key": (decode_key_file, encode_key_file(SECRET, CHAINED)),
    "identity": (decode_identity_file, encode_identity_file(identity(0))),
    "share": (decode_share_file, encode_share_file(SHARE)),
    "group": (decode_group_file, GROUP_FILE.encode()),
}


@given(groups())
def test_a_group_file_is_read_back_as_it_was_written(written: Group) -> None:
    assert decode_group_file(encode_group_file(written)) == written


@given(st.integers(0, 65535), st.integers(1, 2**200), schemes)
def test_a_share_file_is_read_back_as_it_was_written(index: int, secret: int, scheme: Scheme) -> None:
    share = Share(Index(index), SecretScalar(secret), (identity(0, scheme).key,), scheme)
    assert decode_share_file(encode_share_file(share)) == share


@given(names)
def test_any_text_is_quoted_so_that_toml_reads_it_back(text: str) -> None:
    assert Table.parse(f"x = {quoted(text)}".encode(), "file").text("x") == text


def test_control_characters_are_written_with_the_escapes_of_go() -> None:
    assert quoted('\x00\b\t\n\f\r\x1f"\\\x7fé') == r'"\u0000\b\t\n\f\r\u001f\"\\\u007fé"'


def test_keys_match_in_any_case_and_unknown_ones_are_ignored() -> None:
    text = GROUP_FILE.replace("Threshold", "threshold").replace("Address", "ADDRESS").replace("Period =", "pERIOD =")
    assert decode_group_file(text.encode() + b"\n[Unknown]\nx = [1, 2.5]\n") == group()
    assert decode_group_file(b"\xef\xbb\xbf" + GROUP_FILE.replace("\n", "\r\n").encode()) == group()


def test_the_exact_spelling_of_a_key_wins_over_another_one() -> None:
    table = Table.parse(b'key = "a"\nKey = "b"\nKEY = "c"', "file")
    assert (table.text("Key"), table.text("kEy")) == ("b", "a")


def without(*fields: str) -> bytes:
    lines = GROUP_FILE.splitlines(keepends=True)
    return "".join(line for line in lines if line.split("=")[0].strip() not in fields).encode()


def test_a_group_file_of_an_older_release_lacks_what_came_later() -> None:
    old = decode_group_file(without("SchemeID", "ID", "CatchupPeriod", "Signature", "SchemeName"))
    assert (old.scheme, old.beacon_id, old.catchup_period_ns) == (CHAINED, "default", 0)
    assert {node.identity.signature for node in old.nodes} == {b""}
    assert old.hash() == group().hash()


def test_a_missing_seed_is_the_hash_of_the_group() -> None:
    candidates = decode_group_file(encode_group_file(group(finished=False)).replace(b"07" * 32, b""))
    assert candidates.genesis_seed == candidates.hash()


def test_the_empty_beacon_id_is_written_as_it_is_and_read_as_the_default_one() -> None:
    text = encode_group_file(replace(group(), beacon_id=""))
    assert b'\nID = ""\n' in text
    assert decode_group_file(text).beacon_id == canonical_beacon_id("")


def test_nodes_that_no_file_numbers_are_in_the_order_of_their_keys() -> None:
    """As in drand's deploy/200409/group.toml, written before nodes had indices."""
    unnumbered = re.sub(r"  Index = \d\n", "", GROUP_FILE)
    head, *nodes = unnumbered.split("[PublicKey]")[0].split("[[Nodes]]")
    shuffled = "[[Nodes]]".join([head, *reversed(nodes)]) + "[PublicKey]" + unnumbered.split("[PublicKey]")[1]
    assert decode_group_file(unnumbered.encode()) == decode_group_file(shuffled.encode()) == group()


def test_a_list_of_candidates_may_lack_its_genesis_time_and_no_ceremony_takes_it() -> None:
    """As in drand's demo/docker/data/group.toml: enough for `drand util check --group`."""
    candidates = decode_group_file(encode_group_file(replace(group(finished=False), genesis_unix_s=0)))
    assert candidates.nodes == group().nodes
    with pytest.raises(InvalidGroup, match="genesis time is missing"):
        candidates.check()


@pytest.mark.parametrize(
    ("old", "new", "error", "why"),
    [
        ("Threshold = 2", "Threshold = 1", InvalidGroup, "below the minimum"),
        ("Threshold = 2", "", InvalidGroup, "threshold 0"),
        ("Threshold = 2", "Threshold = 4", InvalidGroup, "group file threshold greater than number of participants"),
        ("Threshold = 2", 'Threshold = "2"', Malformed, r"Threshold is not of the expected type \(int\)"),
        ("Threshold = 2", "Threshold = true", Malformed, "Threshold is not of the expected type"),
        ("Threshold = 2", "Threshold = 2.0", Malformed, "Threshold is not of the expected type"),
        ("Threshold = 2", "Threshold = 18446744073709551616", Malformed, "Threshold does not fit 64 bits"),
        ('"3s"', '"3"', Malformed, "invalid duration '3'"),
        ('"3s"', '"999ms"', InvalidGroup, "at least one second"),
        ('"3s"', '"-3s"', InvalidGroup, "period"),
        ('"1.5s"', '"-1.5s"', InvalidGroup, "negative catch-up"),
        ('"3s"', '"2000000h"', InvalidGroup, "periods are at most"),
        ("GenesisTime = 1700000010", "GenesisTime = -5", InvalidGroup, "genesis"),
        ("GenesisTime = 1700000010", "", InvalidGroup, "the genesis time is missing"),
        ("TransitionTime = 0", "TransitionTime = -1", InvalidGroup, "negative"),
        (CHAINED.name, "who-knows", UnknownScheme, "who-knows"),
        ("Index = 1", "Index = 0", InvalidGroup, "share one index"),
        ("Index = 1", "", InvalidGroup, "share one index"),
        ("Index = 1", "Index = -1", InvalidGroup, "node index -1"),
        ("node0.example.org:4400", "node0.example.org", Malformed, r"group file, Nodes\[\d\].*missing port"),
        (identity(1).key.hex(), "zz", Malformed, r"Nodes\[\d\]: Key is not hexadecimal"),
        (identity(1).key.hex(), "00" * 48, MalformedPoint, r"group file, Nodes\[\d\].*could not unmarshal key"),
        ("[PublicKey]", "[[PublicKey]]", Malformed, "PublicKey is not of the expected type"),
        ("Coefficients = [", "Coefficients = [7, ", Malformed, "is not an array of strings"),
        ("[[Nodes]]", "[Nodes]", Malformed, "not a TOML file"),
    ],
)
def test_a_group_file_with_one_thing_wrong_is_refused_for_that_thing(
    old: str, new: str, error: type[Malformed], why: str
) -> None:
    assert old in GROUP_FILE
    with pytest.raises(error, match=why):
        decode_group_file(GROUP_FILE.replace(old, new).encode())


def test_nodes_that_are_no_tables_are_refused() -> None:
    with pytest.raises(Malformed, match="group file: Nodes is not an array of tables"):
        decode_group_file(b"Threshold = 2\nNodes = [1, 2]\n")


def test_a_key_file_without_a_scheme_has_the_default_one_or_the_groups() -> None:
    text = f'Key = "{SECRET_HEX}"\n'.encode()
    assert decode_key_file(text) == (SECRET, CHAINED)
    assert decode_key_file(text, QUICKNET) == (SECRET, QUICKNET)
    assert decode_key_file(encode_key_file(SECRET, CHAINED), QUICKNET) == (SECRET, QUICKNET)
    with pytest.raises(Malformed, match=f"its scheme is {QUICKNET.name}, {CHAINED.name} is needed"):
        decode_key_file(encode_key_file(SECRET, QUICKNET), CHAINED)


def test_an_identity_file_without_a_signature_is_read_and_fails_its_own_check() -> None:
    unsigned = replace(identity(0), signature=b"")
    text = encode_identity_file(unsigned)
    assert decode_identity_file(text) == unsigned
    assert decode_identity_file(text.replace(b'Signature = ""\n', b"")) == unsigned


def test_a_share_file_of_another_scheme_is_refused_in_the_words_of_go() -> None:
    text = encode_share_file(SHARE)
    with pytest.raises(
        Malformed, match=f"mismatch in scheme name in Share FromTOML: '{CHAINED.name}'!='{QUICKNET.name}'"
    ):
        decode_share_file(text, QUICKNET)


def test_a_share_file_without_a_scheme_needs_the_groups() -> None:
    text = encode_share_file(SHARE).replace(f'SchemeName = "{CHAINED.name}"\n'.encode(), b"")
    assert decode_share_file(text + b'PrivatePoly = ["00"]\n', CHAINED) == SHARE
    with pytest.raises(UnknownScheme):
        decode_share_file(text)


@pytest.mark.parametrize(
    ("old", "new", "error", "why"),
    [
        ("Index = 2", "Index = 65536", Malformed, "index 65536"),
        ("Index = 2", "Index = -1", Malformed, "index -1"),
        (SECRET_HEX, "00" * 32, MalformedScalar, "share file: Share: .* between 1 and the group order"),
        (SECRET_HEX, "ff" * 32, MalformedScalar, "share file: Share: .* between 1 and the group order"),
        (SECRET_HEX, SECRET_HEX[:-2], MalformedScalar, "32 bytes, got 31"),
        (SECRET_HEX, SECRET_HEX[:-1], Malformed, "share file: Share is not hexadecimal"),
        (SECRET_HEX, " " + SECRET_HEX, Malformed, "share file: Share is not hexadecimal"),
        ("Commits = ", "Commit = ", Malformed, "0 commits"),
        (identity(0).key.hex(), "00" * 48, Malformed, "number 0"),
    ],
)
def test_a_share_file_with_one_thing_wrong_is_refused_for_that_thing(
    old: str, new: str, error: type[Malformed], why: str
) -> None:
    text = encode_share_file(SHARE).decode()
    assert old in text
    with pytest.raises(error, match=why) as caught:
        decode_share_file(text.replace(old, new).encode())
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize("ending", ["", "\n[", '"\nKey = 1', "\\q", "\x00"])
def test_a_broken_file_is_refused_without_quoting_the_secret_in_it(ending: str) -> None:
    with pytest.raises(Malformed, match="private key file: not a TOML file: syntax error") as caught:
        decode_key_file(f'Key = "{SECRET_HEX}{ending}'.encode())
    assert "1234" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff", "byte 0 is not UTF-8"),
        (b"x = " + b"[" * 100_000, "not a TOML file"),
        (b"x = " + b"9" * 5_000, "not a TOML file"),
        (b"#" * (4 * 1024 * 1024 + 1), "at most 4194304"),
    ],
)
def test_a_file_that_is_no_text_or_an_attack_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode_group_file(data)


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
def test_files_from_anywhere_decode_or_are_malformed(kind: str, data: st.DataObject) -> None:
    decode, original = FILES[kind]
    assert_only_malformed(decode, original)
    assert_only_malformed(decode, data.draw(st.binary(max_size=200) | damaged([original])))
