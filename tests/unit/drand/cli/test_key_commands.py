"""Commands that make a node's keys and sign them again: `generate-keypair`, `util self-sign`."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drand.daemon.folders import BeaconFolder
from drand.model.schemes import SCHEME_NAMES
from drand.vault.folder import ForeignIdentity, VaultFolder
from tests.support.command_line import drand, operated
from tests.support.node_folder import Node


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_a_key_pair_is_made_signed_and_waits_for_the_daemon(scheme: str, node: Node):
    ended = node.generate("--scheme", scheme, "node.example.org:4444")
    assert ended.code == 0
    assert "Generating private / public key pair with TLS indication\n" in ended.out
    assert f"Generated keys at  {node.beacon.keys}\n" in ended.out
    assert "Keys couldn't be loaded on drand daemon." in ended.out
    keys = VaultFolder(node.beacon.root).load_key_pair()
    keys.identity.check_self_signature()
    assert (keys.identity.address, keys.identity.tls) == ("node.example.org:4444", True)
    assert f'Key = "{keys.identity.key.hex()}"' in ended.out
    assert keys.secret.to_bytes().hex() not in ended.out + ended.err
    assert stat.S_IMODE((node.beacon.keys / "drand_id.private").stat().st_mode) == 0o600


async def test_a_daemon_that_runs_loads_the_new_keys(node: Node, tmp_path: Path):
    async with operated(tmp_path) as line:
        ended = await line.drand("generate-keypair", "127.0.0.1:4001", "--folder", node.folder, "--id", "quick")
        assert ended.out.endswith("\n\n\nBeacon process [quick] was loaded on drand.\n")
        ((what, metadata, _),) = line.daemon.told
    assert (what, metadata.beacon_id) == ("load_beacon", "quick")


def test_flags_may_follow_the_address_and_the_id_names_the_folder(node: Node):
    ended = node.generate("127.0.0.1:4001", "--tls-disable", "--id", "quick")
    assert "Generating private / public key pair without TLS.\n" in ended.out
    keys = VaultFolder(BeaconFolder(node.folder, "quick").root).load_key_pair()
    assert keys.identity.tls is False


def test_a_key_pair_is_never_overwritten(node: Node):
    node.generate("127.0.0.1:4001")
    before = (node.beacon.keys / "drand_id.private").read_bytes()
    again = node.generate("127.0.0.1:4002")
    assert again.code == 1
    assert "keypair already exists" in again.err
    assert again.hints
    assert (node.beacon.keys / "drand_id.private").read_bytes() == before


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """What comes through a pipe that its writer closes; without a call, nothing comes and it stays open."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as ours, os.fdopen(writing, "w") as theirs:
        monkeypatch.setattr("sys.stdin", ours)

        def send(text: str) -> None:
            theirs.write(text)
            theirs.close()

        yield send


@pytest.mark.parametrize("answers", ["", "\n"])
def test_without_a_port_and_without_an_answer_it_is_8080(node: Node, piped: Callable[[str], None], answers: str):
    piped(answers)
    ended = node.generate("node.example.org")
    assert "Invalid port: node.example.org\n" in ended.out
    assert "Default port selected" in ended.out
    assert VaultFolder(node.beacon.root).load_key_pair().identity.address == "node.example.org:8080"


def test_a_pipe_that_stays_open_and_empty_is_not_waited_for(
    node: Node, piped: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("drand.cli.keys.PIPE_PATIENCE_S", 0)
    assert "Default port selected" in node.generate("node.example.org").out


def test_the_port_is_asked_for_until_it_is_one(node: Node, piped: Callable[[str], None]):
    piped("99\na port\n70000\n4567\n")
    ended = node.generate("node.example.org")
    assert ended.code == 0
    assert ended.out.count("Please, choose a port number (or ENTER for default port 8080): ") == 4
    assert VaultFolder(node.beacon.root).load_key_pair().identity.address == "node.example.org:4567"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 2, "missing drand address in argument. Abort"),
        (("a:1", "b:2"), 2, "expecting only one argument, the address"),
        ((":8080",), 1, "names no host"),
        (("a b:8080",), 1, "white space"),
        (("a:80800",), 1, "no port number"),
        (("a:1", "--scheme", "rsa"), 2, "is not one of"),
        (("a:1", "--id", "a/b"), 2, "cannot be a beacon id"),
    ],
)
def test_an_address_that_nobody_could_dial_is_refused(arguments: tuple[str, ...], code: int, text: str, node: Node):
    ended = node.generate(*arguments)
    assert ended.code == code
    assert text in ended.err
    assert ended.hints
    assert not node.beacon.has_keys


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:8080"])
def test_an_address_to_listen_on_is_no_address_to_be_dialled_at(address: str, node: Node):
    ended = node.generate(address)
    assert ended.code == 0
    assert f"warning: {address} is where to listen" in ended.err
    assert not [line for line in node.generate("--id", "other", "127.0.0.1:8080").err.splitlines() if "warning" in line]


def test_the_old_layout_of_one_beacon_is_not_written_beside(node: Node):
    (node.folder / "key").mkdir(parents=True)
    ended = node.generate("127.0.0.1:4001")
    assert ended.code == 1
    assert "old layout" in ended.err
    assert ended.hints


def test_self_sign_signs_what_is_not_signed_and_leaves_the_rest(node: Node):
    node.generate("127.0.0.1:4001")
    public = node.beacon.keys / "drand_id.public"
    signed = public.read_text()
    assert "already self signed" in drand("util", "self-sign", "--folder", node.folder).out
    public.write_text("\n".join(line for line in signed.splitlines() if not line.startswith("Signature")) + "\n")
    ended = drand("util", "self-sign", "--folder", node.folder)
    assert ended.code == 0
    assert "beacon id [default] - Public identity self signed for scheme pedersen-bls-chained\n" in ended.out
    assert public.read_text() == signed


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"x" * (2**20 + 1)])
def test_self_sign_makes_a_lost_public_file_again_from_the_private_one(node: Node, content: bytes | None):
    node.generate("127.0.0.1:4001", "--tls-disable")
    public = node.beacon.keys / "drand_id.public"
    signed = public.read_text()
    if content is None:
        public.unlink()
    else:
        public.write_bytes(content)
    refused = drand("util", "self-sign", "--folder", node.folder)
    assert refused.code == 1
    assert "drand_id.public" in refused.err
    assert "drand util self-sign --address HOST:PORT" in refused.err
    ended = drand("util", "self-sign", "--folder", node.folder, "--address", "127.0.0.1:4001", "--tls-disable")
    assert ended.code == 0
    assert public.read_text() == signed


def test_self_sign_makes_the_public_file_of_another_key_this_keys_own(node: Node, tmp_path: Path):
    node.generate("127.0.0.1:4001")
    drand("generate-keypair", "127.0.0.1:4002", "--tls-disable", "--folder", tmp_path / "other", "--control", "1")
    public = node.beacon.keys / "drand_id.public"
    signed = public.read_text()
    public.write_bytes((BeaconFolder(tmp_path / "other", "default").keys / "drand_id.public").read_bytes())
    with pytest.raises(ForeignIdentity, match="does not belong to") as caught:
        VaultFolder(node.beacon.root).load_key_pair()
    assert "drand util self-sign" in caught.value.advice
    ended = drand("util", "self-sign", "--folder", node.folder)
    assert ended.code == 0
    assert "address 127.0.0.1:4002 and TLS off are taken from" in ended.err
    keys = VaultFolder(node.beacon.root).load_key_pair()
    assert (keys.identity.address, keys.identity.tls) == ("127.0.0.1:4002", False)
    public.write_bytes((BeaconFolder(tmp_path / "other", "default").keys / "drand_id.public").read_bytes())
    assert drand("util", "self-sign", "--folder", node.folder, "--address", "127.0.0.1:4001").code == 0
    assert public.read_text() == signed


def test_self_sign_gives_no_new_address_to_a_key_pair_that_is_whole(node: Node):
    node.generate("127.0.0.1:4001")
    before = (node.beacon.keys / "drand_id.public").read_bytes()
    ended = drand("util", "self-sign", "--folder", node.folder, "--address", "127.0.0.1:4009")
    assert ended.code == 1
    assert "says 127.0.0.1:4001, not 127.0.0.1:4009" in ended.err
    assert ended.hints
    assert (node.beacon.keys / "drand_id.public").read_bytes() == before


def test_self_sign_cannot_make_a_private_key(node: Node):
    node.generate("127.0.0.1:4001")
    (node.beacon.keys / "drand_id.private").write_bytes(b"Key = 7\n")
    ended = drand("util", "self-sign", "--folder", node.folder)
    assert ended.code == 1
    assert "a key pair cannot be made again" in ended.err
