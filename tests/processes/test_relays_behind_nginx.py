"""Two relays behind nginx: one fed by gRPC, one by HTTP with a liar among its upstreams; one is killed under load."""

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drand.model.chain import Beacon
from drand.model.verification import ChainVerifier
from drand.wire.http_json import parse_beacon, parse_chain_info
from tests.support.processes import Ceremony, Network
from tests.support.relays import NGINX, WHY_NOT, Nginx, RelayProcess

pytestmark = [pytest.mark.skipif(NGINX is None, reason=WHY_NOT), pytest.mark.xdist_group("nginx")]
SCHEME = "bls-unchained-g1-rfc9380"
READERS = 4


class Liar:
    """An HTTP server that says what a node says, but for every signature, which is of another round."""

    def __init__(self, node: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                connection = http.client.HTTPConnection(node, timeout=30)
                connection.request("GET", self.path)
                answer = connection.getresponse()
                body = _altered(answer.read())
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                connection.close()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


FIRST: list[str] = []


def _altered(body: bytes) -> bytes:
    try:
        told = json.loads(body)
        FIRST.append(told["signature"])
    except (ValueError, KeyError, TypeError):
        return body
    altered = told | {"signature": FIRST[0]}
    if len(FIRST) == 1:
        altered["round"] += 1
    altered.pop("randomness", None)
    return json.dumps(altered).encode()


@dataclass
class Load:
    """Requests through nginx, as fast as they are answered, each looked at."""

    address: str
    stop: threading.Event = field(default_factory=threading.Event)
    failures: list[str] = field(default_factory=list)
    seen: dict[int, Beacon] = field(default_factory=dict)
    count: int = 0
    grew: threading.Condition = field(default_factory=threading.Condition)

    def run(self, place: int) -> None:
        last, turn = 1, place
        while not self.stop.is_set() and not self.failures:
            turn += 1
            path = ("/public/latest", f"/public/{turn % last + 1}", "/v2/beacons/default/rounds/latest")[turn % 3]
            try:
                connection = http.client.HTTPConnection(self.address, timeout=60)
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
            except OSError as error:
                self.failures.append(f"{path}: {error!r}")
                continue
            if answer.status != 200:
                self.failures.append(f"{path}: {answer.status} {body[:200]!r}")
                continue
            beacon = parse_beacon(body)
            with self.grew:
                last = max(last, int(beacon.round))
                if self.seen.setdefault(int(beacon.round), beacon).signature != beacon.signature:
                    self.failures.append(f"{path}: two values of round {beacon.round}")
                self.count += 1
                self.grew.notify_all()

    def wait(self, more: int) -> None:
        """Until so many further requests were answered."""
        with self.grew:
            wanted = self.count + more
            assert self.grew.wait_for(lambda: self.count >= wanted or self.failures, 60)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Network(tmp_path_factory.mktemp("network"), 2) as made:
        made.start(SCHEME)
        made.hold(Ceremony(threshold=2, period="1s", scheme=SCHEME))
        made.nodes[0].wait_round(2)
        yield made


def test_no_request_fails_and_no_answer_is_wrong_while_one_relay_is_killed_and_started_again(
    network: Network, tmp_path: Path
):
    nodes = network.nodes
    info_body = nodes[0].body("/info")
    (tmp_path / "chain.json").write_bytes(info_body)
    liar = Liar(nodes[1].public)
    chain = ("--chain", str(tmp_path / "chain.json"))
    by_grpc = RelayProcess("--grpc", nodes[0].private, *chain)
    by_http = RelayProcess("--url", liar.url, "--url", f"http://{nodes[1].public}", *chain)
    nginx = Nginx(tmp_path / "nginx", by_grpc.address, by_http.address)
    load = Load(nginx.address)
    threads: list[threading.Thread] = []
    try:
        by_grpc.start()
        told = by_http.start()
        told.wait_for(f"LIE: {liar.url} is dropped")
        _until_healthy(by_grpc.address)
        _until_healthy(by_http.address)
        nginx.start()
        threads = [threading.Thread(target=load.run, args=(place,), daemon=True) for place in range(READERS)]
        for thread in threads:
            thread.start()
        load.wait(200)
        by_grpc.stop(signal.SIGKILL)
        load.wait(300)
        by_grpc.start()
        _until_healthy(by_grpc.address)
        by_http.stop(signal.SIGKILL)
        load.wait(300)
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(60)
        nginx.stop()
        by_grpc.stop()
        by_http.stop()
        liar.close()
    assert load.failures == []
    info = parse_chain_info(info_body)
    verifier = ChainVerifier(info.scheme, info.public_key)
    assert len(load.seen) > 3
    for beacon in load.seen.values():
        verifier.check(beacon)


def _until_healthy(address: str) -> None:
    """A relay holds a request for the next round until it has it."""
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("GET", "/v2/beacons/default/rounds/next")
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(network: Network, tmp_path: Path):
    relay = RelayProcess("--url", f"http://{network.nodes[0].public}", "--workers", "2", "--metrics", "0")
    running = relay.start()
    try:
        [first, *_] = _children(running.pid)
        os.kill(first, signal.SIGKILL)
        running.wait_for("starting another")
        for _ in range(3):
            _until_healthy(relay.address)
        assert first not in _children(running.pid)
    finally:
        relay.stop()


def _children(pid: int) -> list[int]:
    """The worker processes of a relay."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
