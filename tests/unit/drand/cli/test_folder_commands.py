"""Commands on a node's own folder: keys, secrets shown, resetting, deleting beacons. No daemon runs here."""

import io
import json
import stat
from pathlib import Path

import pytest

from collective.secret import SecretScalar
from drand.daemon.folders import BeaconFolder
from drand.model.chain import Index, Round
from drand.model.schemes import SCHEME_NAMES
from drand.model.share import Share
from drand.store.sqlite import open_store
from drand.vault.folder import ForeignIdentity, VaultFolder
from drand.wire.toml_files import encode_group_file
from tests.support.command_line import Ended, drand, operated
from tests.support.operated import GROUP
from tests.support.served import CHAINED, KEY, beacon


class Node:
    """A folder, and commands about it."""

    def __init__(self, path: Path) -> None:
        self.folder = path / "node"
        self.nobody = f"unix://{path}/nobody.sock"
        self.beacon = BeaconFolder(self.folder, "default")

    def generate(self, *arguments: str) -> Ended:
        return drand("generate-keypair", "--folder", self.folder, "--control", self.nobody, *arguments)

    def in_group(self, rounds: int = 5) -> None:
        """Keys, a group file, a share and some rounds."""
        assert self.generate("127.0.0.1:4001").code == 0
        vault = VaultFolder(self.beacon.root)
        vault.save_share(Share(Index(1), SecretScalar(42), (KEY,), CHAINED))
        self.beacon.group_file.write_bytes(encode_group_file(GROUP))
        with_store = open_store(self.beacon.store, chained=True)
        with_store.append([beacon(round_) for round_ in range(rounds + 1)])
        with_store.close()

    def last_round(self) -> int:
        store = open_store(self.beacon.store, chained=True)
        try:
            last = store.last()
            return last.round if last is not None else -1
        finally:
            store.close()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """What the operator types."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


# ------------------------------------------------------------ keys


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


def test_without_a_port_and_without_a_terminal_it_is_8080(node: Node, typed):
    typed("")
    ended = node.generate("node.example.org")
    assert "Invalid port: node.example.org\n" in ended.out
    assert "Default port selected" in ended.out
    assert VaultFolder(node.beacon.root).load_key_pair().identity.address == "node.example.org:8080"


def test_at_a_terminal_the_port_is_asked_for_until_it_is_one(node: Node, monkeypatch: pytest.MonkeyPatch):
    answers = iter(["99", "a port", "70000", "4567"])
    monkeypatch.setattr("drand.cli.keys.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *_, **__: next(answers))
    assert node.generate("node.example.org").code == 0
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


# ------------------------------------------------------------ secrets


def test_the_private_key_is_shown_with_a_warning(node: Node):
    node.generate("127.0.0.1:4001")
    ended = drand("show", "private", "--folder", node.folder)
    secret = VaultFolder(node.beacon.root).load_key_pair().secret
    assert json.loads(ended.out)["priKey"] == secret.to_bytes().hex()
    assert "warning: " in ended.err


def test_the_share_is_shown_in_the_guides_format(node: Node):
    node.in_group()
    ended = drand("show", "share", "--folder", node.folder)
    assert json.loads(ended.out) == {"index": 1, "share": {"gid": 22, "scalar": f"{42:064x}"}}
    assert "warning: " in ended.err


def test_there_is_no_share_before_a_ceremony(node: Node):
    node.generate("127.0.0.1:4001")
    ended = drand("show", "share", "--folder", node.folder)
    assert ended.code == 1
    assert "has no share yet" in ended.err
    assert ended.hints


@pytest.mark.parametrize("command", [("show", "private"), ("show", "share"), ("util", "del-beacon", "1")])
def test_a_folder_without_the_beacon_is_named_with_what_it_holds(command: tuple[str, ...], node: Node):
    node.generate("127.0.0.1:4001", "--id", "quick")
    ended = drand(*command, "--folder", node.folder)
    assert ended.code == 1
    assert "there is no beacon default in" in ended.err
    assert "here are: quick" in ended.err


def test_the_folder_flag_may_come_before_the_command_and_beats_its_variable(
    node: Node, monkeypatch: pytest.MonkeyPatch
):
    node.generate("127.0.0.1:4001")
    monkeypatch.setenv("DRAND_FOLDER", "/no/such/folder")
    assert drand("show", "private").code == 1
    assert drand("--folder", node.folder, "show", "private").code == 0
    monkeypatch.setenv("DRAND_FOLDER", str(node.folder))
    assert drand("show", "private").code == 0
    assert drand("--folder", node.folder, "show", "private", "--folder", "/no/such/folder").code == 1


# ------------------------------------------------------------ resetting


@pytest.mark.parametrize("answer", ["n\n", "\n", "yes please\n"])
def test_a_reset_needs_a_yes(answer: str, node: Node, typed):
    node.in_group()
    typed(answer)
    ended = drand("util", "reset", "--folder", node.folder)
    assert ended.code == 0
    assert ended.out.endswith("[y/N]drand: not reseting the state.\n")
    assert node.beacon.group_file.exists()
    assert node.last_round() == 5


def test_a_reset_that_nobody_answers_is_no_success(node: Node, typed):
    node.in_group()
    typed("")
    ended = drand("util", "reset", "--folder", node.folder)
    assert ended.code == 1
    assert "nobody answered" in ended.err
    assert "echo y |" in ended.err
    assert node.last_round() == 5


def test_a_reset_forgets_group_share_and_beacons_and_keeps_the_keys(node: Node, typed):
    node.in_group()
    key = (node.beacon.keys / "drand_id.private").read_bytes()
    typed("Y\n")
    ended = drand("util", "reset", "--folder", node.folder)
    assert (ended.code, ended.out.endswith("drand: beacon id [default] - database reset\n")) == (0, True)
    assert not node.beacon.group_file.exists()
    assert not node.beacon.share_file.exists()
    assert not node.beacon.store.exists()
    assert (node.beacon.keys / "drand_id.private").read_bytes() == key


def test_a_beacon_that_runs_is_neither_reset_nor_shortened(node: Node, typed):
    node.in_group()
    typed("y\n")
    running = open_store(node.beacon.store, chained=True)
    try:
        for command in (("util", "reset"), ("util", "del-beacon", "2")):
            ended = drand(*command, "--folder", node.folder)
            assert ended.code == 1
            assert "a running daemon has beacon default open" in ended.err
            assert "drand stop" in ended.err
    finally:
        running.close()
    assert node.last_round() == 5
    assert node.beacon.share_file.exists()


def test_a_disk_that_refuses_ends_in_a_sentence(node: Node, typed, monkeypatch: pytest.MonkeyPatch):
    node.in_group()
    typed("y\n")

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refused)
    ended = drand("util", "reset", "--folder", node.folder)
    assert ended.code == 1
    assert "Permission denied" in ended.err
    assert ended.hints


def test_all_beacons_of_a_folder_are_reset_at_once(node: Node, typed):
    node.in_group()
    node.generate("127.0.0.1:4001", "--id", "quick")
    typed("y\n")
    ended = drand("util", "reset", "--all", "--folder", node.folder)
    assert "beacon id [default] - database reset\n" in ended.out
    assert "beacon id [quick] - database reset\n" in ended.out


def test_deleting_a_round_takes_all_later_ones_with_it(node: Node):
    node.in_group(rounds=5)
    ended = drand("util", "del-beacon", "3", "--verbose", "--folder", node.folder)
    assert ended.out == "beacon id [default] - deleted 3 beacons from round 3 on\n"
    assert node.last_round() == 2


@pytest.mark.parametrize(("round_", "code"), [("0", 2), ("-1", 2), ("one", 2), ("²", 2), ("6", 1)])
def test_a_round_that_is_none_or_not_there_deletes_nothing(round_: str, code: int, node: Node):
    node.in_group(rounds=5)
    ended = drand("util", "del-beacon", "--folder", node.folder, "--", round_)
    assert ended.code == code
    assert "given round" in ended.err
    assert ended.hints
    assert node.last_round() == Round(5)


# ------------------------------------------------------------ start


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "TLS is on, but no certificate and private key are given"),
        (("--tls-disable", "--tls-cert", "a.pem"), "combination is not valid"),
        (("--tls-disable", "--db", "postgres"), "not available in this version"),
        (("--tls-disable", "--vault", "unix:/run/vault"), "not available in this version"),
        (("--tls-disable", "--folder", "/proc/no/such"), "cannot make the folder"),
    ],
)
def test_a_daemon_that_cannot_run_says_so_at_once(arguments: tuple[str, ...], text: str, node: Node):
    ended = drand("start", "--folder", node.folder, "--control", node.nobody, *arguments)
    assert ended.code == 1
    assert text in ended.err
    assert ended.hints


def test_a_daemon_is_set_up_as_flags_and_variables_say(node: Node, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr("drand.daemon.daemon.run_daemon", seen.append)
    monkeypatch.setenv("DRAND_PUBLIC_LISTEN", "127.0.0.1:8081")
    flags = (
        "--tls-disable",
        "--private-listen",
        "0.0.0.0:4444",
        "--id",
        "",
        "--json",
        "--verbose",
        "--metrics",
        "9999",
    )
    assert drand("start", "--folder", node.folder, *flags).code == 0
    (settings,) = seen
    assert (settings.private_listen, settings.public_listen) == ("0.0.0.0:4444", "127.0.0.1:8081")
    assert (settings.only_beacon, settings.json_logs, settings.verbose) == ("", True, True)
    assert (settings.folder, settings.metrics, settings.control) == (node.folder, "9999", "8888")
    assert drand("start", "--folder", node.folder, "--tls-disable").code == 0
    assert seen[-1].only_beacon is None
