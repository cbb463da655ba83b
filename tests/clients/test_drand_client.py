"""npm's `drand-client` against our nodes and our relay, verification on: one network, one chain for each scheme."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drand.model.schemes import SCHEME_NAMES
from tests.support.processes import Ceremony, Network
from tests.support.relays import RelayProcess
from tests.support.running import Running

HERE = Path(__file__).parent
BEACON_IDS = dict(zip(SCHEME_NAMES, ("default", "unchained", "rfc9380", "ong1", "bn254"), strict=True))
ROUNDS = 3

pytestmark = pytest.mark.xdist_group("drand-client")


@pytest.fixture(scope="module")
def node() -> str:
    """The JavaScript runtime; without it, or without the client, the tests are skipped."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / "drand-client").is_dir():
        pytest.skip("drand-client is not installed: run `npm ci` in tests/clients")
    return found


@pytest.fixture(scope="module")
def network(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two daemons with a chain of each scheme."""
    with Network(tmp_path_factory.mktemp("client"), 2) as network:
        network.start()
        for scheme, beacon_id in BEACON_IDS.items():
            if beacon_id != "default":
                for one in network.nodes:
                    one.make_keys(scheme, beacon_id)
        ceremonies = [Ceremony(threshold=2, scheme=scheme, beacon_id=name) for scheme, name in BEACON_IDS.items()]
        commands = [command for ceremony in ceremonies for command in network.shares(ceremony)]
        for command in commands:
            command.succeed()
        yield network


@pytest.fixture(scope="module")
def relay(network: Network) -> Iterator[RelayProcess]:
    """A relay of all five chains in two worker processes, fed by both daemons' HTTP."""
    for beacon_id in BEACON_IDS.values():
        wait_for_rounds(network, beacon_id)
    upstreams = [flag for one in network.nodes for flag in ("--url", f"http://{one.public}")]
    running = RelayProcess(*upstreams, "--workers", "2")
    running.start()
    yield running
    running.stop()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_the_javascript_client_fetches_and_verifies_our_rounds(network: Network, node: str, scheme: str):
    wait_for_rounds(network, BEACON_IDS[scheme])
    check(network, node, scheme, [one.public for one in network.nodes])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_the_javascript_client_fetches_and_verifies_from_our_relay(
    network: Network, relay: RelayProcess, node: str, scheme: str
):
    check(network, node, scheme, [relay.address, network.nodes[1].public])


def check(network: Network, node: str, scheme: str, servers: list[str]) -> None:
    """Run the script against the first of `servers`, the others beside it for the client that picks the fastest."""
    info = json.loads(network.nodes[0].ask("show", "chain-info", "--id", BEACON_IDS[scheme]))
    assert info["schemeID"] == scheme
    rounds = [str(round_) for round_ in range(1, ROUNDS + 1)]
    base_urls = ",".join(f"http://{server}" for server in servers)
    command = [node, str(HERE / "check_client.mjs"), base_urls, info["hash"], info["public_key"], *rounds]
    said = json.loads(Running(command).succeed().splitlines()[-1])
    assert said["scheme"] == scheme
    assert said["fetched"] == [1, 2, 3]
    assert said["latest"] >= ROUNDS
    assert said["watched"] >= said["latest"]


def wait_for_rounds(network: Network, beacon_id: str) -> None:
    """Until the first daemon has the rounds that are asked for."""
    daemon = network.nodes[0].daemon
    assert daemon is not None
    daemon.wait_until(lambda line: made(line, beacon_id), f"round {ROUNDS} of {beacon_id}")


def made(line: str, beacon_id: str) -> bool:
    """Whether a log line says that the last of the wanted rounds, or a later one, was made in this chain."""
    if "round made" not in line or f".{beacon_id}\t" not in line:
        return False
    return int(json.loads(line.rpartition("\t")[2])["round"]) >= ROUNDS
