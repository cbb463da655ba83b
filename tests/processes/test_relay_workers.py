"""`drand relay --workers 2` as its operator meets it: signals, a log that is rotated, limits, the feeder's death."""

import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from collective.clock import monotonic_s
from tests.support.living_chain import InThread, LivingChain
from tests.support.relays import RelayProcess
from tests.support.running import PATIENCE_S, Running

BURST = 5
EVENTS = "/v2/beacons/default/events"


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """An upstream that goes on."""
    with InThread(LivingChain()) as server:
        yield server.url


@pytest.fixture
def relay(upstream: str, tmp_path: Path) -> Iterator[RelayProcess]:
    """A relay of two workers, with an access log and a limit that is not reached by accident."""
    made = RelayProcess("--url", upstream, "--workers", "2", "--access-log", str(tmp_path / "access.log"))
    made.start()
    yield made
    made.stop()


def status_of(relay: RelayProcess, path: str = "/public/latest", **headers: str) -> int:
    """A request on a connection of its own: the kernel deals it out to some worker."""
    request = urllib.request.Request(f"http://{relay.address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def asking(relay: RelayProcess, path: str) -> socket.socket:
    """A connection that has asked."""
    made = socket.create_connection(("127.0.0.1", relay.port), timeout=PATIENCE_S)
    made.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return made


def rest(connection: socket.socket) -> bytes:
    """What still comes, until the other side hangs up."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    connection.close()
    return b"".join(parts)


def test_a_limit_holds_for_all_workers_together(upstream: str):
    made = RelayProcess("--url", upstream, "--workers", "2", "--rate-limit", "0.001", "--burst", str(BURST))
    made.start()
    try:
        for client in ("203.0.113.1", "203.0.113.2"):
            statuses = [status_of(made, **{"X-Real-IP": client}) for _ in range(3 * BURST)]
            assert statuses == [200] * BURST + [429] * (2 * BURST)
    finally:
        made.stop()


def test_when_it_is_told_to_end_its_readers_get_whole_events_and_nobody_is_replaced(relay: RelayProcess):
    reading = [asking(relay, EVENTS) for _ in range(8)]
    for connection in reading:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
    running = relay.running
    assert running is not None
    os.killpg(running.pid, signal.SIGTERM)  # to the workers too, as a service manager does
    for connection in reading:
        said = rest(connection)
        assert not said or said.endswith(b"\n\n"), "the stream was cut in the middle of an event"
    assert running.wait_end() == 0
    assert "the relay stopped" in running.output
    assert "starting another" not in running.output
    assert "Traceback" not in running.output


def test_workers_end_with_their_feeder_and_the_port_is_free(relay: RelayProcess, upstream: str):
    running = relay.running
    assert running is not None
    connection = asking(relay, EVENTS)
    assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
    running.send(signal.SIGKILL)
    rest(connection)
    running.wait_end()
    assert running.output_ended, "a process that holds our end of the pipe lives on"
    again = socket.socket()
    again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    again.bind(("127.0.0.1", relay.port))
    again.listen()
    again.close()


def test_an_access_log_that_was_moved_away_is_begun_anew_on_sighup(relay: RelayProcess, tmp_path: Path):
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    assert status_of(relay, "/public/1") == 200
    assert "GET /public/1 HTTP/1.1" in log.read_text()
    log.rename(moved)
    assert relay.running is not None
    relay.running.send(signal.SIGHUP)
    deadline = monotonic_s() + PATIENCE_S
    asked = 0
    while not log.exists() or len(log.read_text().splitlines()) < 20:  # both workers write there
        assert monotonic_s() < deadline
        assert status_of(relay, "/public/2") == 200
        asked += 1
    lines = [*moved.read_text().splitlines(), *log.read_text().splitlines()]
    assert sum("GET /public/2 HTTP/1.1" in line for line in lines) == asked, "no line was lost"


def test_a_relay_whose_upstream_hangs_can_be_told_to_end():
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        host, port = hanging.getsockname()
        running = Running([sys.executable, "-m", "drand.cli.main", "relay", "--url", f"http://{host}:{port}"])
        hanging.settimeout(PATIENCE_S)
        asked, _ = hanging.accept()
        running.send(signal.SIGTERM)
        assert running.wait_end() == 0
        assert "the relay stopped" in running.output
        asked.close()
