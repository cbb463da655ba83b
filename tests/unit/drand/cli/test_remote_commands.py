"""`get` and `util check`: what other nodes say is believed only after it was checked."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from collective.clock import SystemClock
from collective.secret import SecretScalar
from drand.errors import InvalidChainInfo
from drand.model.chain import Beacon, ChainInfo, Index, Round
from drand.model.group import NANOSECONDS, Group, Identity, Node, Peer
from drand.model.packets import Metadata
from drand.model.schemes import scheme_named
from drand.net.errors import PeerRefused, PeerUnreachable
from drand.net.peer_client import PeerClient
from drand.vault.folder import self_signed
from drand.wire.toml_files import encode_group_file
from tests.support.command_line import drand

SCHEME = scheme_named("pedersen-bls-unchained")
SECRET = SecretScalar(7)
A, B, C = "a.example.org:1", "b.example.org:2", "c.example.org:3"


def identity(address: str, secret: int) -> Identity:
    return self_signed(SecretScalar(secret), address, tls=False, scheme=SCHEME).identity


GROUP = Group(
    nodes=tuple(Node(identity(address, at + 20), Index(at)) for at, address in enumerate((A, B, C))),
    threshold=2,
    period_ns=3 * NANOSECONDS,
    catchup_period_ns=0,
    genesis_unix_s=1_700_000_000,
    genesis_seed=bytes(32),
    scheme=SCHEME,
    public_key=(SCHEME.key_group.encode(SCHEME.bls.public_key(SECRET)),) * 2,
)
INFO = GROUP.chain_info()


def signed(round_: int, secret: SecretScalar = SECRET) -> Beacon:
    return Beacon(Round(round_), SCHEME.bls.sign(secret, SCHEME.digest(round_, b"")))


class Network:
    """Nodes by address; each answers with something or raises it. Stands in for sockets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[tuple[str, bool, Metadata]] = []
        network = self

        async def public_rand(_: PeerClient, peer: Peer, round_: Round, metadata: Metadata) -> Beacon:
            return network.answer(peer, metadata)

        async def chain_info(_: PeerClient, peer: Peer, metadata: Metadata) -> ChainInfo:
            return network.answer(peer, metadata)

        async def get_identity(_: PeerClient, peer: Peer, metadata: Metadata) -> Identity:
            return network.answer(peer, metadata)

        async def home(_: PeerClient, peer: Peer, metadata: Metadata) -> None:
            network.answer(peer, metadata)

        for call in (public_rand, chain_info, get_identity, home):
            monkeypatch.setattr(PeerClient, call.__name__, call)

    def answer(self, peer: Peer, metadata: Metadata):
        self.asked.append((peer.address, peer.tls, metadata))
        found = self.answers.get(peer.address, PeerUnreachable(f"{peer.address} is unreachable"))
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


@pytest.fixture
def group_file(tmp_path: Path) -> Path:
    path = tmp_path / "group.toml"
    path.write_bytes(encode_group_file(GROUP))
    return path


def test_a_round_is_printed_once_it_verifies_under_the_groups_key(network: Network, group_file: Path):
    network.answers[A] = signed(9)
    ended = drand("get", "public", group_file, "--round", "9", "--verbose")
    assert ended.code == 0
    assert json.loads(ended.out) == {
        "round": 9,
        "randomness": signed(9).randomness.hex(),
        "signature": signed(9).signature.hex(),
    }
    assert ended.err == f"drand: public randomness retrieved from {A}\n"
    (asked,) = network.asked
    assert asked[:2] == (A, False)
    assert (asked[2].beacon_id, asked[2].chain_hash) == ("default", INFO.hash())


def test_a_previous_signature_that_a_node_made_up_for_an_unchained_chain_is_not_printed(
    network: Network, group_file: Path
):
    network.answers[A] = replace(signed(9), previous_signature=b"\xee" * 96)
    ended = drand("get", "public", group_file, "--round", "9")
    assert ended.code == 0
    assert set(json.loads(ended.out)) == {"round", "randomness", "signature"}


def test_a_node_that_lies_is_passed_over_for_one_that_does_not(network: Network, group_file: Path):
    network.answers |= {A: signed(9, SecretScalar(8)), C: signed(9)}
    ended = drand("get", "public", group_file, "--round", "9")
    assert ended.code == 0
    assert json.loads(ended.out)["signature"] == signed(9).signature.hex()
    assert f"could not get public randomness from {A}" in ended.err
    assert [address for address, _, _ in network.asked] == [A, B, C]


def test_a_lie_that_nobody_corrects_is_exit_code_4(network: Network, group_file: Path):
    network.answers[B] = signed(9, SecretScalar(8))
    ended = drand("get", "public", group_file, "--round", "9")
    assert (ended.code, ended.out) == (4, "")
    assert "drand: could not verify randomness" in ended.err
    assert ended.hints


def test_when_nobody_answers_the_exit_code_is_1(network: Network, group_file: Path):
    ended = drand("get", "public", group_file)
    assert (ended.code, ended.out) == (1, "")
    assert ended.hints


def test_only_the_named_members_are_asked_in_their_order(network: Network, group_file: Path):
    network.answers[B] = signed(9)
    assert drand("get", "public", "--nodes", f"{C},{B}", group_file, "--round", "9").code == 0
    assert [address for address, _, _ in network.asked] == [C, B]
    stranger = drand("get", "public", "--nodes", "d.example.org:4", group_file)
    assert stranger.code == 1
    assert "addresses specified don't exist in group.toml: d.example.org:4" in stranger.err


def test_a_round_of_the_future_is_exit_code_3_and_asks_nobody(network: Network, group_file: Path):
    ended = drand("get", "public", group_file, "--round", str(2**40))
    assert ended.code == 3
    assert "does not exist yet" in ended.err
    assert ended.hints
    assert network.asked == []


def test_a_latest_round_that_is_old_is_printed_with_a_warning(network: Network, group_file: Path):
    network.answers[A] = signed(9)
    ended = drand("get", "public", group_file)
    assert json.loads(ended.out)["round"] == 9
    assert "is due, but this node's latest is 9" in ended.err
    current = INFO.schedule.current_round(SystemClock().now())
    network.answers[A] = signed(current)
    assert "warning" not in drand("get", "public", group_file).err


def test_a_group_without_a_key_or_a_damaged_file_is_refused(network: Network, tmp_path: Path):
    path = tmp_path / "group.toml"
    path.write_bytes(encode_group_file(replace(GROUP, public_key=())))
    assert "no public key yet" in drand("get", "public", path).err
    path.write_bytes(encode_group_file(GROUP)[:300])
    assert drand("get", "public", path).code == 1
    assert drand("get", "public", tmp_path / "none.toml").code == 2
    assert network.asked == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b'Period = "3s"', b'Period = "99999999999999h"', ("Period", "99999999999999h", "30s")),
        (b"Threshold = 2", b"Threshold = 4", ("threshold", "drand show group --out")),
        (b"[[Nodes]]", b"{", ("not a TOML file", "drand show group --out")),
    ],
)
def test_a_group_file_that_is_none_is_named_with_what_to_give_instead(
    before: bytes, after: bytes, words: tuple[str, ...], network: Network, tmp_path: Path
):
    path = tmp_path / "group.toml"
    path.write_bytes(encode_group_file(GROUP).replace(before, after, 1))
    ended = drand("get", "public", path)
    assert (ended.code, ended.hints) == (1, True)
    assert all(word in ended.err for word in (str(path), *words)), ended.err
    assert network.asked == []


def test_chain_info_comes_from_the_first_node_that_answers(network: Network):
    network.answers[B] = INFO
    ended = drand("get", "chain-info", A, B, "--tls-disable", "--id", "quick")
    assert json.loads(ended.out)["hash"] == INFO.hash().hex()
    assert [(address, tls) for address, tls, _ in network.asked] == [(A, False), (B, False)]
    assert network.asked[0][2].beacon_id == "quick"
    assert drand("get", "chain-info", B, "--hash").out == INFO.hash().hex() + "\n"
    assert network.asked[-1][1] is True


def test_another_chain_than_the_one_asked_for_is_exit_code_4(network: Network):
    network.answers[A] = InvalidChainInfo("another chain")
    ended = drand("get", "chain-info", A, "--chain-hash", "ab" * 32)
    assert ended.code == 4
    assert network.asked[0][2].chain_hash == b"\xab" * 32
    assert ended.hints


@pytest.mark.parametrize("chain_hash", ["abc", "zz" * 32, "ab" * 31])
def test_a_chain_hash_has_64_digits(chain_hash: str, network: Network):
    ended = drand("get", "chain-info", A, "--chain-hash", chain_hash)
    assert ended.code == 1
    assert "64 hexadecimal digits" in ended.err
    assert network.asked == []


def test_no_address_is_a_wrong_use():
    assert drand("get", "chain-info").code == 2
    assert drand("util", "check").code == 2
    assert drand("util", "remote-status").code == 2


def test_check_without_an_id_asks_only_whether_somebody_is_there(network: Network):
    network.answers["a.example.org:8080"] = None
    ended = drand("util", "check", "a.example.org", "--tls-disable")
    assert (ended.code, ended.out) == (0, "drand: id a.example.org:8080 answers correctly\n")


def test_check_names_those_that_do_not_answer(network: Network):
    network.answers[A] = None
    network.answers[C] = PeerRefused("beacon id is not running", code="UNKNOWN")
    ended = drand("util", "check", A, B, C)
    assert ended.code == 1
    assert ended.out.splitlines() == [
        f"drand: id {A} answers correctly",
        f"drand: error checking id {B}",
        f"drand: error checking id {C}",
    ]
    assert f"following nodes don't answer: {B},{C}" in ended.err
    assert ended.hints
    assert "beacon id is not running" in drand("util", "check", C, "--verbose").out
    told = drand("util", "check", A, C, "--json")
    assert told.code == 1
    refused = {"answers": False, "error": "beacon id is not running"}
    assert json.loads(told.out) == {A: {"answers": True, "error": None}, C: refused}


def test_check_with_an_id_wants_a_signed_identity_of_that_address(network: Network):
    network.answers[A] = identity(A, 3)
    network.answers[B] = identity(A, 3)
    network.answers[C] = replace(identity(C, 3), signature=identity(C, 4).signature)
    ended = drand("util", "check", A, B, C, "--id", "default", "--verbose")
    assert ended.code == 1
    assert f"mismatch of address: contact {B} reply with {A}" in ended.out
    assert f"following nodes don't answer: {B},{C}" in ended.err


def test_check_with_a_group_takes_addresses_and_id_from_it(network: Network, group_file: Path):
    network.answers |= {node.identity.address: node.identity for node in GROUP.nodes}
    ended = drand("util", "check", "--group", group_file, "--tls-disable")
    assert (ended.code, len(ended.out.splitlines())) == (0, 3)
    assert {metadata.beacon_id for _, _, metadata in network.asked} == {"default"}
    assert drand("util", "check", "--group", group_file, "--id", "default").code == 2


def test_a_certificate_to_trust_must_be_readable(network: Network, tmp_path: Path):
    assert drand("get", "chain-info", A, "--tls-cert", tmp_path / "none.pem").code == 2


def test_what_a_stranger_answers_cannot_steer_the_terminal(network: Network):
    network.answers[A] = PeerRefused("\x1b[2Jyour node is fine\r\nerror: none", code="UNKNOWN")
    ended = drand("get", "chain-info", A)
    assert "\x1b" not in ended.err
    assert "\r" not in ended.err
    assert len(ended.err.splitlines()) == 3
