"""The HTTP API of a chain with a known key, on loopback, in a thread: for programs of others that ask a server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from collective.clock import SystemClock
from drand.wire.http_json import beacon_json, chain_info_json, chains_json
from tests.support.locked_chain import LockedChain


class ChainServer(ThreadingHTTPServer):
    """Serves some chains by their hashes, as a v1 relay does; rounds of the future are 404. Notes what it is asked."""

    daemon_threads = True

    def __init__(self, chains: tuple[LockedChain, ...], answers: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.chains = {chain.info.hash().hex(): chain for chain in chains}
        self.answers = answers  # by the end of the path, instead of the truth
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def body(self, path: str) -> bytes | None:
        self.asked.append(path)
        for end, answer in self.answers.items():
            if path.endswith(end):
                return answer
        parts = path.strip("/").split("/")
        if parts == ["chains"]:
            return chains_json(bytes.fromhex(chain_hash) for chain_hash in self.chains)
        chain = self.chains.get(parts[0])
        match parts[1:]:
            case ["info"] if chain:
                return chain_info_json(chain.info)
            case ["public", asked] if chain:
                return _round(chain, asked)
        return None


def _round(chain: LockedChain, asked: str) -> bytes | None:
    now = chain.info.schedule.current_round(SystemClock().now()) if chain.latest is None else chain.latest
    round_ = now if asked == "latest" else int(asked)
    return beacon_json(chain.beacon(round_)) if round_ <= now else None


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChainServer

    def do_GET(self) -> None:
        body = self.server.body(self.path.partition("?")[0])
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(*chains: LockedChain, answers: Mapping[str, bytes] | None = None) -> Iterator[ChainServer]:
    """A server of these chains."""
    with ChainServer(chains, answers or {}) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
