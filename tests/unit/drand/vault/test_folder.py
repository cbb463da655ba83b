"""The key files as the Go implementation keeps them, and a real vault over a real folder."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest

from collective.errors import BadSetting, InvalidSignature, Unavailable
from collective.groups.group import Point
from collective.secret import SecretScalar
from collective.signatures.bls import BlsScheme
from drand.model.schemes import SCHEME_NAMES, scheme_named
from drand.model.vault_messages import EpochOpened, IdentityShown, OpenEpoch, ShowIdentity, SignPartial, VaultRefused
from drand.vault.folder import (
    MAX_KEY_FILE_BYTES,
    DamagedKeyFile,
    KeyPairExists,
    NoKeyPair,
    VaultFolder,
    make_key_pair,
    self_signed,
)
from drand.vault.links import InprocLink, open_vault
from tests.support import vectors
from tests.support.committee import TOY_CHAINED
from tests.support.entropy import SeededEntropy
from tests.support.vaults import GENESIS_S, PERIOD_S, Ceremony, SetClock, fresh_id, sign_request

SCHEME = scheme_named("pedersen-bls-chained")


def made(path: Path, seed: int = 1) -> VaultFolder:
    folder = VaultFolder(path / "default")
    folder.save_key_pair(make_key_pair("127.0.0.1:8001", tls=True, scheme=SCHEME, entropy=SeededEntropy(seed)))
    return folder


def test_what_a_killed_process_left_of_a_secret_goes_with_the_next_start_and_with_a_reset(tmp_path: Path):
    folder = made(tmp_path)
    folder.share_file.parent.mkdir()
    left = [
        path.with_name(f".{path.name}.4711.tmp")
        for path in (folder.key_file, folder.share_file, folder.state_file.path)
    ]
    for clear in (open_vault("inproc:", folder.path).discard_leftovers, folder.forget_shares):
        for path in left:
            path.write_bytes(b"a share")
        clear()
        assert not any(path.exists() for path in left)
    assert folder.load_key_pair().identity.address == "127.0.0.1:8001"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("name", SCHEME_NAMES)
def test_a_new_key_pair_signs_itself_and_comes_back_from_its_files(tmp_path: Path, name: str):
    keys = make_key_pair("[::1]:80", tls=False, scheme=scheme_named(name), entropy=SeededEntropy(3))
    keys.identity.check_self_signature()
    folder = VaultFolder(tmp_path / "one")
    folder.save_key_pair(keys)
    assert folder.load_key_pair() == keys


def test_a_self_signature_is_verified_once_and_a_wrong_one_every_time(monkeypatch: pytest.MonkeyPatch):
    scheme = scheme_named(SCHEME_NAMES[0])
    one, other = (make_key_pair("a:1", tls=False, scheme=scheme, entropy=SeededEntropy(n)).identity for n in (71, 72))
    verified: list[bytes] = []
    verify = BlsScheme.verify

    def counted(self: BlsScheme, public_key: Point, message: bytes, signature: bytes) -> None:
        verified.append(signature)
        verify(self, public_key, message, signature)

    monkeypatch.setattr(BlsScheme, "verify", counted)
    for address in ("a:1", "b:2"):  # the signature covers the key only
        replace(one, address=address).check_self_signature()
    assert verified == [one.signature]
    forged = replace(one, signature=other.signature)
    for _ in range(2):
        with pytest.raises(InvalidSignature):
            forged.check_self_signature()
    assert verified == [one.signature, other.signature, other.signature]
    with pytest.raises(InvalidSignature, match="not self-signed"):
        replace(one, signature=b"").check_self_signature()


@pytest.mark.parametrize("case", vectors.v1_cases("keypair"))
def test_the_files_are_those_that_go_writes_for_the_same_secret(case, tmp_path: Path):
    given, folder = case["inputs"], VaultFolder(tmp_path)
    scheme = scheme_named(given["scheme"])
    secret = SecretScalar.from_bytes(bytes.fromhex(given["private_key"]), scheme.key_group.order)
    folder.save_key_pair(self_signed(secret, given["address"], tls=given["tls"], scheme=scheme))
    assert folder.key_file.read_text() == case["expected"]["drand_id.private"]
    assert folder.identity_file.read_text() == case["expected"]["drand_id.public"]


def test_files_and_folders_have_the_modes_that_go_gives_them(tmp_path: Path):
    before = os.umask(0o077)
    try:
        folder = made(tmp_path)
    finally:
        os.umask(before)
    assert (mode(folder.path), mode(folder.key_file.parent)) == (0o740, 0o740)
    assert (mode(folder.key_file), mode(folder.identity_file)) == (0o600, 0o644)
    assert folder.complaints() == []


def test_a_key_pair_is_never_overwritten(tmp_path: Path):
    folder = made(tmp_path)
    before = folder.key_file.read_bytes(), folder.identity_file.read_bytes()
    with pytest.raises(KeyPairExists, match="keypair already exists"):
        made(tmp_path, seed=2)
    folder.identity_file.unlink()
    with pytest.raises(KeyPairExists, match="keypair already exists"):
        made(tmp_path, seed=2)
    assert not folder.identity_file.exists()
    assert folder.key_file.read_bytes() == before[0]
    folder.identity_file.write_bytes(before[1])
    folder.key_file.unlink()
    with pytest.raises(KeyPairExists):
        made(tmp_path, seed=2)


def test_a_key_pair_that_is_not_there_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(NoKeyPair) as caught:
        VaultFolder(tmp_path).load_key_pair()
    assert "generate-keypair" in caught.value.advice


@pytest.mark.parametrize("spoiled", ["key_file", "identity_file"])
@pytest.mark.parametrize("content", [b"", b"Key = 7\n", b'Key = "zz"\n', b"\xff\xfe", b"x" * (2**20 + 1)])
def test_a_damaged_key_file_is_named(tmp_path: Path, spoiled: str, content: bytes):
    folder = made(tmp_path)
    path = getattr(folder, spoiled)
    path.write_bytes(content)
    with pytest.raises(DamagedKeyFile, match=path.name) as caught:
        folder.load_key_pair()
    assert caught.value.advice


@pytest.mark.parametrize("lost", ["key_file", "identity_file"])
def test_half_a_key_pair_is_damage_not_a_fresh_node(tmp_path: Path, lost: str):
    folder = made(tmp_path)
    getattr(folder, lost).unlink()
    with pytest.raises(DamagedKeyFile, match="is missing"):
        folder.load_key_pair()


def test_two_files_of_different_pairs_are_refused(tmp_path: Path):
    folder, other = made(tmp_path / "a"), made(tmp_path / "b", seed=2)
    folder.identity_file.write_bytes(other.identity_file.read_bytes())
    with pytest.raises(BadSetting, match="does not belong to"):
        folder.load_key_pair()


def test_files_too_open_are_complained_about_and_still_read(tmp_path: Path):
    folder = made(tmp_path)
    folder.key_file.chmod(0o644)
    folder.key_file.parent.chmod(0o755)
    file, parent = folder.complaints()
    assert file == f"{folder.key_file} has mode 0644, it should be 0600: chmod 0600 {folder.key_file}"
    assert "0740" in parent
    assert folder.load_key_pair()


def test_a_new_self_signature_replaces_the_public_file_only(tmp_path: Path):
    folder = made(tmp_path)
    keys = folder.load_key_pair()
    moved = self_signed(keys.secret, "10.0.0.1:9", tls=False, scheme=SCHEME)
    folder.save_identity(moved.identity)
    assert folder.load_key_pair() == moved


def test_forgetting_the_shares_leaves_the_key_pair(tmp_path: Path):
    folder = VaultFolder(tmp_path)
    keys = make_key_pair("127.0.0.1:8001", tls=True, scheme=SCHEME, entropy=SeededEntropy(1))
    folder.save_key_pair(keys)
    folder.share_file.parent.mkdir(parents=True)
    folder.share_file.write_text("a share")
    folder.state_file.replace(b"a state")
    for _ in range(2):  # the second time there is nothing to forget
        folder.forget_shares()
        assert folder.state_file.read() is None
        assert not folder.share_file.exists()
        assert folder.load_key_pair(SCHEME).identity == keys.identity


def test_a_key_file_of_any_length_is_not_read(tmp_path: Path):
    folder = VaultFolder(tmp_path)
    folder.save_key_pair(make_key_pair("127.0.0.1:8001", tls=True, scheme=SCHEME, entropy=SeededEntropy(1)))
    with folder.key_file.open("ab") as file:
        file.write(b"#" * (MAX_KEY_FILE_BYTES + 1))
    with pytest.raises(DamagedKeyFile, match="far too long"):
        folder.load_key_pair(SCHEME)


def test_a_damaged_share_file_is_named(tmp_path: Path):
    folder = made(tmp_path)
    assert folder.load_share(SCHEME) is None
    folder.share_file.parent.mkdir()
    folder.share_file.write_text('Index = 0\nShare = "00"\n')
    with pytest.raises(DamagedKeyFile, match=r"dist_key\.private"):
        folder.load_share(SCHEME)


# ------------------------------------------------------------------ a vault over it


def single_node(path: Path) -> tuple[InprocLink, VaultFolder, Ceremony]:
    """A network of one, its vault on disk."""
    ceremony = Ceremony(1, 1, SCHEME)
    folder = VaultFolder(path / "default")
    folder.save_key_pair(ceremony.sites[0].keys)
    link = open_vault("inproc:", folder.path, clock=SetClock(GENESIS_S + 100), entropy=SeededEntropy(8))
    ceremony.sites[0].vault = link.vault
    return link, folder, ceremony


async def test_an_opened_share_is_written_where_go_reads_it_and_can_be_adopted_from_there(tmp_path: Path):
    _, folder, ceremony = single_node(tmp_path)
    [end] = ceremony.run()
    share = folder.load_share(SCHEME)
    assert share is not None
    assert (share.index, share.commits) == (0, end.commits)
    assert (mode(folder.share_file), mode(folder.state_file.path)) == (0o600, 0o600)
    assert mode(folder.share_file.parent) == 0o740

    group = ceremony.group(end.commits)
    folder.state_file.path.unlink()
    link = open_vault("inproc:", folder.path, clock=SetClock(GENESIS_S + 100))
    assert not link.holds(end.epoch_id)
    assert link.adopt(group) == end.epoch_id
    assert link.holds(end.epoch_id)
    assert isinstance(await link.ask(OpenEpoch(fresh_id(), end.epoch_id, group)), EpochOpened)
    reply = await link.ask(sign_request(end.epoch_id, 1, group.genesis_seed))
    assert not isinstance(reply, VaultRefused)

    folder.forget_shares()
    assert folder.load_share(SCHEME) is None
    link = open_vault("inproc:", folder.path)
    assert isinstance(await link.ask(SignPartial(fresh_id(), end.epoch_id, reply.round, b"")), VaultRefused)
    with pytest.raises(Unavailable, match="no share to adopt"):
        link.adopt(group)


SIGNER = """
import sys
from dataclasses import replace
from pathlib import Path
from drand.model.vault_messages import PartialSigned
from drand.vault.links import open_vault
from tests.support.vaults import GENESIS_S, PERIOD_S, SetClock, sign_request

folder, epoch_id = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
vault = open_vault("inproc:", folder, clock=SetClock(GENESIS_S + 1000 * PERIOD_S)).vault
for line in sys.stdin:
    assert isinstance(vault.answer(sign_request(epoch_id, int(line), bytes(96))), PartialSigned)
    print(line, end="", flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 13, 60])
def test_a_killed_vault_signs_no_second_message_for_a_round_it_answered(tmp_path: Path, acknowledged: int):
    _, folder, ceremony = single_node(tmp_path)
    [end] = ceremony.run()
    child = subprocess.Popen(
        [sys.executable, "-c", SIGNER, str(folder.path), end.epoch_id.hex()],
        stdin=PIPE,
        stdout=PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[4],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("".join(f"{round_}\n" for round_ in range(2, 2 + acknowledged + 20)))
    child.stdin.flush()
    answered = [child.stdout.readline() for _ in range(acknowledged)]
    child.send_signal(signal.SIGKILL)
    answered += child.stdout.read().splitlines()
    child.stdin.close()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    vault = open_vault("inproc:", folder.path, clock=SetClock(GENESIS_S + 1000 * PERIOD_S)).vault
    for round_ in map(int, answered):
        refused = vault.answer(sign_request(end.epoch_id, round_, b"\x01" * 96))
        assert isinstance(refused, VaultRefused)
        assert "one message" in refused.reason
    assert mode(folder.state_file.path) == 0o600


async def test_a_share_file_that_cannot_be_written_is_tried_again(tmp_path: Path):
    link, folder, ceremony = single_node(tmp_path)
    end = ceremony.combine(0, ceremony.deals())
    folder.share_file.parent.write_text("a file where the folder should be")
    request = OpenEpoch(fresh_id(), end.epoch_id, ceremony.group(end.commits))
    refused = await link.ask(request)
    assert isinstance(refused, VaultRefused)
    assert refused.retry
    folder.share_file.parent.unlink()
    assert isinstance(await link.ask(request), EpochOpened)
    assert folder.load_share(SCHEME) is not None


async def test_a_vault_over_a_folder_shows_its_identity(tmp_path: Path):
    link, folder, ceremony = single_node(tmp_path)
    reply = await link.ask(ShowIdentity(fresh_id()))
    assert isinstance(reply, IdentityShown)
    assert reply.identity == ceremony.sites[0].keys.identity
    assert link.complaints() == []
    folder.key_file.chmod(0o640)
    assert len(link.complaints()) == 1


@pytest.mark.parametrize("uri", ["unix:/run/vault.sock", "tcp://host:1", "sim:", "inproc", "", "inproc:x"])
def test_another_kind_of_link_says_which_kind_there_is(tmp_path: Path, uri: str):
    with pytest.raises(BadSetting, match="not available in this version") as caught:
        open_vault(uri, tmp_path)
    assert "inproc:" in caught.value.advice


def test_a_key_pair_does_not_print_its_secret():
    keys = self_signed(SecretScalar(12345678901), "a:1", tls=False, scheme=TOY_CHAINED)
    assert "12345678901" not in repr(keys)
    assert "2dfdc1c35" not in repr(keys)
