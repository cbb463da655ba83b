"""npm's `drand-client` against our nodes, with verification on: one network, one chain for each scheme."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drand.model.schemes import SCHEME_NAMES
from tests.support.processes import Ceremony, Network, Running

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


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_the_javascript_client_fetches_and_verifies_our_rounds(network: Network, node: str, scheme: str):
    first = network.nodes[0]
    info = json.loads(first.ask("show", "chain-info", "--id", BEACON_IDS[scheme]))
    assert info["schemeID"] == scheme
    assert first.daemon is not None
    first.daemon.wait_until(lambda line: made(line, BEACON_IDS[scheme]), f"round {ROUNDS} of {scheme}")
    rounds = [str(round_) for round_ in range(1, ROUNDS + 1)]
    base_url = f"http://{first.public}"
    command = [node, str(HERE / "check_client.mjs"), base_url, info["hash"], info["public_key"], *rounds]
    said = json.loads(Running(command).succeed().splitlines()[-1])
    assert said["scheme"] == scheme
    assert said["fetched"] == [1, 2, 3]
    assert said["latest"] >= ROUNDS
    assert said["watched"] >= said["latest"]


def made(line: str, beacon_id: str) -> bool:
    """Whether a log line says that the last of the wanted rounds, or a later one, was made in this chain."""
    if "round made" not in line or f".{beacon_id}\t" not in line:
        return False
    return int(json.loads(line.rpartition("\t")[2])["round"]) >= ROUNDS
