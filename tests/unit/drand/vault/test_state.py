"""The vault's own file: strict, checked, private; and secrets that print nowhere."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest

from collective.files import DiskRefused
from drand.model.schemes import scheme_named
from drand.vault.state import (
    MAX_FILE_BYTES,
    DiskStateFile,
    StateDamaged,
    VaultState,
    decode,
    encode,
)
from tests.support.committee import TOY_CHAINED
from tests.support.vaults import Ceremony, Site

ORDER = TOY_CHAINED.key_group.order
REAL = scheme_named("bls-unchained-g1-rfc9380")


def mid_ceremony(scheme=TOY_CHAINED) -> tuple[Ceremony, Site]:
    """A vault that holds everything it can hold: an open session with received shares, and a share."""
    ceremony = Ceremony(3, 2, scheme)
    deals = ceremony.deals()
    ceremony.judge(0, deals)
    ceremony.combine(0, deals)
    return ceremony, ceremony.sites[0]


def resealed(body: bytes) -> bytes:
    """A file whose checksum is right, whatever is in it."""
    return f"drand-vault-state 1 {hashlib.sha256(body).hexdigest()}\n".encode() + body


def test_the_state_comes_back_from_its_bytes():
    _, site = mid_ceremony()
    data = site.file.data or b""
    state = decode(data, "file", order=ORDER)
    assert state.sessions[0].polynomial
    assert [item.dealer for item in state.sessions[0].received] == [1, 2]
    assert encode(state) == data
    assert decode(encode(state), "file", order=ORDER) == state


def test_the_file_says_what_it_is_in_its_first_line():
    _, site = mid_ceremony()
    first, _, body = (site.file.data or b"").partition(b"\n")
    assert first == b"drand-vault-state 1 " + hashlib.sha256(body).hexdigest().encode()
    assert set(json.loads(body)) == set(VaultState.__struct_fields__)


def test_no_single_changed_byte_goes_unnoticed():
    _, site = mid_ceremony()
    data = bytearray(site.file.data or b"")
    for place in range(0, len(data), 7):
        spoiled = bytes(data[:place]) + bytes([data[place] ^ 0x20]) + bytes(data[place + 1 :])
        with pytest.raises(StateDamaged):
            decode(spoiled, "the file", order=ORDER)


@pytest.mark.parametrize("kept", [0, 1, 30, 85, 86, 200])
def test_a_file_that_was_cut_short_is_damaged(kept: int):
    _, site = mid_ceremony()
    with pytest.raises(StateDamaged, match="the file"):
        decode((site.file.data or b"")[:kept], "the file", order=ORDER)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a vault's state file"),
        (b"SQLite format 3\x00\n", "not a vault's state file"),
        (b"drand-vault-state 2 " + b"0" * 64 + b"\n{}", "another version"),
        (b"drand-vault-state 1 " + b"0" * 64 + b"\n{}", "checksum"),
        (resealed(b"{}"), "missing required field"),
        (resealed(b"[" * 100_000), "damaged"),
        (resealed(b'{"public_key":"","scheme":"s","surprise":1}'), "unknown field"),
        (resealed(b'{"public_key":"","scheme":"s","sessions":7}'), "damaged"),
    ],
)
def test_what_no_vault_wrote_is_refused_by_name(data: bytes, reason: str):
    with pytest.raises(StateDamaged, match=reason) as caught:
        decode(data, "/the/file", order=ORDER)
    assert "/the/file" in str(caught.value)
    assert caught.value.advice


@pytest.mark.parametrize("scalar", ["00", "zz" * 32, 5, "ff" * 32, f"{ORDER:064x}"])
def test_a_scalar_outside_the_group_is_damage_and_is_not_shown(scalar: object):
    _, site = mid_ceremony()
    content = json.loads((site.file.data or b"").partition(b"\n")[2])
    content["epochs"][0]["share"] = scalar
    with pytest.raises(StateDamaged) as caught:
        decode(resealed(json.dumps(content).encode()), "file", order=ORDER)
    assert str(scalar) not in str(caught.value) or scalar == 5


def test_a_vault_does_not_start_on_a_damaged_file_and_leaves_it_alone():
    _, site = mid_ceremony()
    site.file.data = (site.file.data or b"")[:-1]
    kept = site.file.data
    with pytest.raises(StateDamaged):
        site.restart()
    assert site.file.data == kept


def test_a_vault_does_not_start_on_the_file_of_another_key():
    _, mine = mid_ceremony()
    other = Ceremony(1, 1, seed=3).sites[0]
    other.file.data = mine.file.data
    with pytest.raises(StateDamaged, match="another key pair"):
        other.restart()


# ------------------------------------------------------------------ on disk


def test_the_file_is_private_whatever_the_umask_and_replaced_whole(tmp_path: Path):
    file = DiskStateFile(tmp_path / "vault.state")
    assert file.read() is None
    file.replace(b"one")
    file.path.chmod(0o644)
    file.replace(b"two")
    assert file.read() == b"two"
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["vault.state"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = DiskStateFile(tmp_path / "vault.state")
    file.replace(b"one")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("collective.files.os.fsync", full)
    with pytest.raises(DiskRefused, match=r"vault\.state: No space left"):
        file.replace(b"two")
    assert file.read() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["vault.state"]


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path):
    file = DiskStateFile(tmp_path / "vault.state")
    with open(file.path, "wb") as sparse:
        sparse.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(StateDamaged, match="has more than"):
        file.read()


def test_a_folder_in_the_files_place_is_an_error_by_name(tmp_path: Path):
    (tmp_path / "vault.state").mkdir()
    with pytest.raises(DiskRefused, match="cannot read"):
        DiskStateFile(tmp_path / "vault.state").read()


# ------------------------------------------------------------------ secrets


def secrets_of(state: VaultState, site: Site) -> list[bytes]:
    """Every secret the vault holds, 32 bytes each."""
    [session], [held] = state.sessions, state.epochs
    scalars = [site.keys.secret, held.share, *session.polynomial, *(item.share for item in session.received)]
    assert len(scalars) == 6
    return [scalar.to_bytes() for scalar in scalars]


def traces(secret: bytes) -> list[str]:
    """How a secret might look in a text."""
    return [secret.hex(), secret.hex().upper(), str(int.from_bytes(secret, "big")), repr(secret)[2:-1]]


def test_nothing_prints_a_secret():
    ceremony, site = mid_ceremony(REAL)
    state = decode(site.file.data or b"", "file", order=REAL.key_group.order)
    ceremony.open(0, ceremony.combine(0, ceremony.deals()))
    keeper = site.vault._keeper
    shown = [state, site.keys, keeper, site.vault, site.file, site.exported, site.vault._state]
    texts = " ".join(f"{thing!r} {thing} {thing!a}" for thing in shown)
    assert "redacted" in texts
    assert not [trace for secret in secrets_of(state, site) for trace in traces(secret) if trace in texts]


def test_no_reply_holds_a_secret():
    ceremony, site = mid_ceremony(REAL)
    deals = ceremony.deals()
    replies = [ceremony.judge(0, deals), deals, ceremony.combine(0, deals)]
    state = decode(site.file.data or b"", "file", order=REAL.key_group.order)
    sealed = [deal.encrypted_share for deal in deals[0].deals]
    raw = b"".join([*deals[0].commits, *sealed, deals[0].signature, repr(replies).encode()])
    for secret in secrets_of(state, site):
        assert secret not in raw
        assert secret.hex().encode() not in raw


def test_a_state_is_not_pickled():
    _, site = mid_ceremony()
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(decode(site.file.data or b"", "file", order=ORDER))
