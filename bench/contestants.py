"""Who is measured: this implementation, and Go's where DRAND_GO names its binary; and networks of either."""

import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drand.cli.local_network import LocalNetwork, LocalNode
from drand.model.group import Group, Peer
from drand.model.packets import OUR_VERSION, Metadata
from drand.net.control_client import ControlClient
from drand.net.handlers import SetupOrder

GO_VARIABLE = "DRAND_GO"
SCHEME = "bls-unchained-g1-rfc9380"
PATIENCE_S = 60.0
HEAD_START_S = 0.03  # the leader's order comes first: Go refuses a participant whose leader does not lead yet
METADATA = Metadata(OUR_VERSION, "default")


@dataclass(frozen=True, slots=True)
class Contestant:
    """A drand and the words that start it."""

    name: str
    command: tuple[str, ...]

    @property
    def ours(self) -> bool:
        return self.name == "ours"


def contestants() -> list[Contestant]:
    """Ours, as installed for operators, then Go's where it is named."""
    script = Path(sys.executable).with_name("drand")
    command = (str(script),) if script.exists() else (sys.executable, "-m", "drand.cli.main")
    found = [Contestant("ours", command)]
    if go := os.environ.get(GO_VARIABLE):
        found.append(Contestant("go", (go,)))
    return found


def say(line: str) -> None:
    """Progress, on stderr: stdout is the table's."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def network(who: Contestant, nodes: int) -> Iterator[LocalNetwork]:
    """`nodes` daemons of `who` with fresh keys, answering on loopback; ended and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="drand-bench-") as folder:
        made = LocalNetwork(Path(folder), nodes, who.command)
        try:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(make_keys, made.nodes))
            for node in made.nodes:
                node.start()
            for node in made.nodes:
                wait_answering(node)
            yield made
        finally:
            made.stop()


def make_keys(node: LocalNode) -> None:
    """Make the node's folder and its long-term key pair."""
    node.folder.mkdir(parents=True, mode=0o740)
    flags = ["--folder", str(node.folder), "--control", node.control, "--tls-disable", "--scheme", SCHEME]
    node.run("generate-keypair", *flags, node.private)


def wait_answering(node: LocalNode, *, peers: bool = True) -> None:
    """Until the daemon answers a ping (and listens for peers); raises RuntimeError with its last words if not."""
    deadline = time.monotonic() + PATIENCE_S
    for address in (f"127.0.0.1:{node.control}", *([node.private] if peers else [])):
        while not _listens(address):
            if time.monotonic() > deadline or node.process is None or node.process.poll() is not None:
                raise RuntimeError(f"{node.name} did not start: {node.last_words()}")
            time.sleep(0.005)
    with ControlClient(node.control) as control:
        control.ping()


def _listens(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, int(port))) == 0


def hold(made: LocalNetwork, *, period_s: int, genesis_in_s: int = 0, phase_s: int = 30) -> tuple[Group, float]:
    """A key generation through the control ports; the group, and seconds from the leader's order to the last answer.

    The clients are connected beforehand, and all of them run in this process, whoever the daemons are.
    """
    leader, *others = made.nodes
    secret = made.secret.encode()

    def order(node: LocalNode) -> SetupOrder:
        return SetupOrder(
            leader=None if node is leader else Peer(leader.private, tls=False),
            nodes=len(made.nodes) if node is leader else 0,
            threshold=len(made.nodes) // 2 + 1 if node is leader else 0,
            timeout_s=phase_s,
            beacon_offset_s=genesis_in_s,
            secret=secret,
            period_s=period_s if node is leader else 0,
            catchup_period_s=1 if node is leader else 0,
        )

    clients = [ControlClient(node.control) for node in made.nodes]
    try:
        for client in clients:
            client.ping()
        with ThreadPoolExecutor(len(clients)) as pool:
            started = time.monotonic()
            first = pool.submit(clients[0].init_dkg, METADATA, order(leader))
            time.sleep(HEAD_START_S)
            rest = [
                pool.submit(client.init_dkg, METADATA, order(node))
                for client, node in zip(clients[1:], others, strict=True)
            ]
            groups = [answer.result() for answer in (first, *rest)]
            took_s = time.monotonic() - started
    finally:
        for client in clients:
            client.close()
    if len({group.hash() for group in groups}) != 1 or len(groups[0].nodes) != len(made.nodes):
        raise RuntimeError("the nodes do not agree, or somebody was left out")
    return groups[0], took_s
