"""The deployment guide's own sequence, typed as it is written there, between separate processes."""

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from collective.sharing.lagrange import coefficients_at_zero
from drand.model.schemes import SCHEME_NAMES, Scheme, scheme_named
from drand.wire.toml_files import decode_group_file, decode_share_file
from tests.support.processes import OURS, Network, Node
from tests.support.running import Running

SECRET = "mysecret901234567890123456789012"
NODES, THRESHOLD = 3, 2


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """Three machines; folder and control port are in each operator's environment: commands read as in the guide."""
    with Network(tmp_path, NODES) as network:
        for node in network.nodes:
            node.environment = {"DRAND_FOLDER": str(node.folder), "DRAND_CONTROL": node.control}
        yield network


def typed(node: Node, command: str) -> Running:
    """A line of the guide at one node's prompt."""
    words = command.split()
    assert words[0] == "drand"
    return node.begin(*words[1:])


def start(node: Node) -> None:
    """`drand start`, left running."""
    flags = f"--tls-disable --private-listen {node.private} --public-listen {node.public}"
    node.daemon = typed(node, f"drand start {flags}")
    node.daemon.wait_for(OURS.ready)


@pytest.mark.slow
@pytest.mark.parametrize("scheme_name", SCHEME_NAMES)
def test_the_guides_sequence_ends_in_randomness_that_verifies(network: Network, scheme_name: str):
    scheme = scheme_named(scheme_name)
    leader, *others = network.nodes
    for node in network.nodes:
        start(node)  # on an empty folder: the keys come afterwards
    for node in network.nodes:
        said = typed(node, f"drand generate-keypair {node.private} --tls-disable --scheme {scheme_name}").succeed()
        assert "Beacon process [default] was loaded on drand." in said

    leading = typed(
        leader,
        f"drand share --leader --nodes {NODES} --threshold {THRESHOLD} --secret {SECRET} --period 1s --timeout 1s",
    )
    leader.daemon.wait_for(OURS.leads)
    ways = ("--connect", "connect")  # the second is how the guide has it in one place
    joining = [
        typed(node, f"drand share {way} {leader.private} --tls-disable --secret {SECRET}")
        for node, way in zip(others, ways, strict=True)
    ]
    for command in (leading, *joining):
        assert re.search(r"Hash of the group configuration: [0-9a-f]{64}", command.succeed())

    check_group(network, scheme)
    check_shares(network, scheme)
    check_chain_info(network)
    check_rounds(network)


def check_group(network: Network, scheme: Scheme) -> None:
    """`show group`: the same everywhere, and readable."""
    shown = {typed(node, "drand show group").succeed() for node in network.nodes}
    assert len(shown) == 1
    out = network.folder / "group.toml"
    typed(network.nodes[1], f"drand show group --out {out}").succeed()
    group = decode_group_file(out.read_bytes())
    assert (len(group.nodes), group.threshold, group.period_s, group.scheme) == (NODES, THRESHOLD, 1, scheme)
    assert f"Hash of the group configuration: {group.hash().hex()}" in shown.pop()


def check_shares(network: Network, scheme: Scheme) -> None:
    """`show share`: any threshold of the shares is the key that the group file shows the public half of."""
    shares = {}
    for node in network.nodes:
        said = typed(node, "drand show share").succeed()
        shown = json.loads(said[said.index("{") :])
        assert set(shown) == {"index", "share"}
        assert set(shown["share"]) == {"gid", "scalar"}
        shares[shown["index"]] = int(shown["share"]["scalar"], 16)
        stored = decode_share_file((node.beacon_folder / "groups" / "dist_key.private").read_bytes(), scheme)
        assert stored.secret.to_bytes() == bytes.fromhex(shown["share"]["scalar"])
        assert stored.index == shown["index"]
    key = decode_group_file((network.folder / "group.toml").read_bytes()).public_key[0]
    for chosen in ([0, 1], [1, 2], [0, 2]):
        assert public_key(scheme, {index: shares[index] for index in chosen}) == key


def public_key(scheme: Scheme, shares: dict[int, int]) -> bytes:
    """The encoded public key of the secret that the shares make."""
    group = scheme.key_group
    weights = coefficients_at_zero(shares, group.order)
    secret = sum(weights[index] * share for index, share in shares.items()) % group.order
    return group.encode(group.multiply(group.generator(), secret))


def check_chain_info(network: Network) -> None:
    """`get chain-info` of any node, `show chain-info` and `/info` say the same."""
    said = {typed(node, f"drand get chain-info --tls-disable {node.private}").succeed() for node in network.nodes}
    said |= {typed(node, "drand show chain-info").succeed() for node in network.nodes}
    assert len(said) == 1
    assert json.loads(said.pop()) == json.loads(curl(f"http://{network.nodes[0].public}/info"))


def check_rounds(network: Network) -> None:
    """Rounds are made, every node serves the same, and they verify."""
    for node in network.nodes:
        node.wait_round(3)
    latest = json.loads(curl(f"http://{network.nodes[2].public}/public/latest"))
    assert latest["round"] >= 3
    first = {curl(f"http://{node.public}/public/1") for node in network.nodes}
    assert len(first) == 1
    assert json.loads(first.copy().pop())["round"] == 1
    info, rounds = network.folder / "info.json", network.folder / "rounds.json"
    info.write_text(curl(f"http://{network.nodes[0].public}/info"))
    rounds.write_text("\n".join([*first, *(curl(f"http://{network.nodes[1].public}/public/{n}") for n in (2, 3))]))
    assert "all 3 beacons are valid, rounds 1 to 3" in run(["verify", "--chain", str(info), str(rounds)])


def run(arguments: Sequence[str]) -> str:
    """A command that needs no node."""
    return Running([*OURS.command, *arguments]).succeed()


def curl(url: str) -> str:
    """What curl prints; where there is none, what our own request gets."""
    if shutil.which("curl"):
        return Running(["curl", "--silent", "--show-error", "--fail", url]).succeed()
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
    return body.decode().rstrip("\n")
