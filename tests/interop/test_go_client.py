"""The command line of drand/go-clients, named by DRAND_GO_CLIENT, against our node's HTTP and our relay's.

It fetches `/info` first, and beacons below the chain's hash; what does not verify it refuses. It reads the default
chain of a server only, so each scheme is the default of a server of its own.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drand.model.chain import Beacon, Round
from drand.model.schemes import SCHEME_NAMES, scheme_named
from drand.model.verification import ChainVerifier
from drand.wire.http_json import parse_chain_info
from tests.support.living_chain import PAST_ROUNDS, InThread, LivingChain
from tests.support.processes import Ceremony, Network
from tests.support.relays import RelayProcess

VARIABLE = "DRAND_GO_CLIENT"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def go_client() -> str:
    """The binary; without it the tests are skipped."""
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"no {VARIABLE}: the path of the command line of drand/go-clients")
    if not Path(named).is_file():
        pytest.fail(f"{VARIABLE} names {named}, which is no file")
    return named


@pytest.fixture(scope="module")
def network(go_client: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two daemons of ours with one chain."""
    with Network(tmp_path_factory.mktemp("go-client"), 2) as network:
        network.start()
        network.hold(Ceremony(threshold=2))
        network.nodes[0].wait_round(2)
        yield network


@pytest.fixture(params=SCHEME_NAMES)
def chain(request: pytest.FixtureRequest) -> LivingChain:
    """A chain of each scheme whose rounds go on."""
    return LivingChain(scheme_named(request.param))


def ask(go_client: str, address: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`get WORDS` from one server, whose chain is taken from its word: the client has no list of ours."""
    command = [go_client, "get", words[0], "--insecure", "--url", f"http://{address}", *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def answer(go_client: str, address: str, *words: str) -> str:
    """The JSON that it prints, after lines of its log."""
    done = ask(go_client, address, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def expect_rounds(go_client: str, address: str, rounds: list[int]) -> None:
    """It reads the chain information and these rounds and a latest one; what it prints verifies here too."""
    info = parse_chain_info(answer(go_client, address, "chain-info").encode())
    verifier = ChainVerifier(info.scheme, info.public_key)
    for wanted in (*rounds, None):
        found = json.loads(answer(go_client, address, "public", *([] if wanted is None else [str(wanted)])))
        assert found["round"] == wanted if wanted is not None else found["round"] >= max(rounds)
        previous = bytes.fromhex(found.get("previous_signature") or "")
        verifier.check(Beacon(Round(found["round"]), bytes.fromhex(found["signature"]), previous))


def test_the_go_client_reads_and_verifies_rounds_of_our_node(go_client: str, network: Network):
    expect_rounds(go_client, network.nodes[1].public, [1, 2])


def test_the_go_client_reads_and_verifies_rounds_of_our_relay_that_follows_a_node(go_client: str, network: Network):
    relay = RelayProcess("--url", f"http://{network.nodes[0].public}", "--workers", "2")
    relay.start()
    try:
        expect_rounds(go_client, relay.address, [1, 2])
    finally:
        relay.stop()


def test_the_go_client_verifies_every_scheme_that_our_relay_serves(go_client: str, chain: LivingChain):
    with InThread(chain) as server:
        relay = RelayProcess("--url", server.url)
        relay.start()
        try:
            expect_rounds(go_client, relay.address, [1, PAST_ROUNDS - 1])
        finally:
            relay.stop()


def test_the_go_client_refuses_a_forged_round(go_client: str, chain: LivingChain):
    chain.forged.add(7)
    with InThread(chain) as server:
        address = server.url.removeprefix("http://")
        assert json.loads(answer(go_client, address, "public", "6"))["round"] == 6
        refused = ask(go_client, address, "public", "7")
        assert refused.returncode != 0
        assert "verification of { round: 7" in refused.stdout
