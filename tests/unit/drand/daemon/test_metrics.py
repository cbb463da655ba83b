"""Metrics under the names that dashboards know, on a port of their own."""

import asyncio
import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from collective.errors import Unavailable
from drand.daemon.counts import Counts
from drand.daemon.daemon import Daemon
from drand.daemon.metrics import Metrics
from drand.daemon.metrics_port import MAX_SCRAPERS
from drand.daemon.settings import Settings
from drand.model.chain import Index, Round
from drand.model.records import Epoch
from drand.net.errors import MalformedAddress
from drand.net.http_watch import Watch
from drand.protocol.ceremony_view import State
from drand.protocol.steps import CeremonyFinished, CulpritNamed, RoundMade, RoundMissed, SyncProgressed
from tests.support.committee import Committee
from tests.support.vaults import SetClock

GROUP = Committee().group


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    made = Metrics(SetClock(1000.0))
    yield made
    made.close()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_rounds_are_counted_under_gos_names(metrics: Metrics):
    metrics.settled("default", GROUP)
    metrics.observe("default", RoundMade(Round(7), 0.25))
    assert value(metrics, "last_beacon_round", beacon_id="default") == 7
    assert value(metrics, "beacon_discrepancy_latency", beacon_id="default") == 250
    assert value(metrics, "group_size", beacon_id="default") == len(GROUP.nodes)
    assert value(metrics, "group_threshold", beacon_id="default") == GROUP.threshold
    metrics.observe("default", SyncProgressed(Round(9), Round(90)))
    metrics.observe("default", RoundMissed(Round(10), Round(9)))
    metrics.observe("default", CulpritNamed(3, "what", True))
    metrics.observe("default", CeremonyFinished(Epoch(group=GROUP, index=Index(0), epoch_id=b"e")))
    assert value(metrics, "last_beacon_round", beacon_id="default") == 9
    assert value(metrics, "beacon_rounds_behind", beacon_id="default") == 1
    assert value(metrics, "culprits_named", beacon_id="default", node="3") == 1


def test_the_state_of_a_ceremony_carries_the_time_it_was_entered():
    clock = SetClock(1000.0)
    metrics = Metrics(clock)
    seen = []
    for state in (State.IDLE, State.LEADING, State.GENERATING, State.RUNNING):
        clock.unix_s += 10
        metrics.stands("b", state)
        clock.unix_s += 1
        metrics.stands("b", state)
        seen.append(
            tuple(value(metrics, name, beacon_id="b") for name in ("dkg_state", "dkg_state_timestamp", "dkg_leader"))
        )
    assert seen == [(0, 1010, 0), (1, 1021, 1), (2, 1032, 0), (3, 1043, 0)]
    metrics.unloaded("b")
    assert value(metrics, "dkg_state", beacon_id="b") == 5


def test_partials_that_did_not_get_there_are_counted_by_address(metrics: Metrics):
    metrics.sent("default", {"a:1": True, "b:1": False})
    metrics.sent("default", {"a:1": True, "b:1": False})
    assert value(metrics, "error_sending_partial", beaconID="default", address="a:1") == 0
    assert value(metrics, "error_sending_partial", beaconID="default", address="b:1") == 1
    assert value(metrics, "outgoing_connection_state", remote_host="b:1") == 3
    assert value(metrics, "dial_failures", peer_address="b:1") == 2
    assert value(metrics, "dial_failures", peer_address="a:1") is None


def test_members_that_are_reached_are_counted_over_all_beacons(metrics: Metrics):
    assert value(metrics, "outgoing_group_connections") == 0
    metrics.sent("default", {"a:1": True, "b:1": False})
    metrics.sent("other", {"c:1": True, "a:1": True})
    assert value(metrics, "outgoing_group_connections") == 2
    metrics.sent("default", {"a:1": False, "b:1": True})
    assert value(metrics, "outgoing_group_connections") == 2


# Source: drand v1.5.11, metrics/metrics.go; those that describe Go's own runtime, its clients and its gRPC library are
# not ours to have (docs/howto/coming-from-go.md).
GOS = {
    "api_call_counter", "beacon_discrepancy_latency", "dial_failures", "dkg_leader", "dkg_state", "dkg_state_timestamp",
    "drand_build_time", "drand_node_db", "drand_start_timestamp", "error_sending_partial", "group_size",
    "group_threshold", "http_call_counter", "is_drand_node", "last_beacon_round", "outgoing_connection_state",
    "outgoing_group_connections", "reshare_leader", "reshare_state", "reshare_state_timestamp",
}  # fmt: skip


def test_every_name_of_a_dashboard_for_go_is_there(metrics: Metrics):
    assert {family.name for family in metrics.registry.collect()} >= GOS


def test_calls_and_requests_are_counted_and_made_up_methods_are_one(metrics: Metrics):
    metrics.called("PartialBeacon")
    for method in ("GET", "GET", "BREW", "FORGE"):
        metrics.answered(method, 200)
    assert value(metrics, "api_call_counter", api_method="PartialBeacon") == 1
    assert value(metrics, "http_call_counter", code="200", method="get") == 2
    assert value(metrics, "http_call_counter", code="200", method="unknown") == 2


def test_how_long_answers_take_is_told_as_go_tells_it(metrics: Metrics):
    watch = Watch()
    metrics.time_http(watch)
    watch.in_flight = 3
    for took_s in (0.002, 0.02, 0.02, 100.0):
        watch.tally.add(200, "GET", took_s)
    assert value(metrics, "http_in_flight") == 3
    about = {"handler": "http", "method": "get"}
    assert value(metrics, "http_response_duration_bucket", le="0.005", **about) == 1
    assert value(metrics, "http_response_duration_bucket", le="0.025", **about) == 3
    assert value(metrics, "http_response_duration_bucket", le="10.0", **about) == 3
    assert value(metrics, "http_response_duration_bucket", le="+Inf", **about) == 4
    assert value(metrics, "http_response_duration_count", **about) == 4
    assert value(metrics, "http_response_duration_sum", **about) == pytest.approx(100.042)


def test_what_runs_and_since_when(metrics: Metrics):
    assert value(metrics, "drand_start_timestamp") == 1000
    assert value(metrics, "is_drand_node") == 1
    assert value(metrics, "drand_node_db", db_type="sqlite") == 4
    assert value(metrics, "drand_build_time", build="pydrand", version="1.5.11") == 0


async def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    def ask() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()

    return await asyncio.to_thread(ask)


async def test_the_port_serves_metrics_and_frees_memory(metrics: Metrics, capfd: pytest.CaptureFixture[str]):
    port = metrics.serve("0").port
    status, body = await get(port, "/metrics")
    assert status == 200
    assert b"drand_start_timestamp 1000.0" in body
    assert b"api_call_counter_total" not in body
    assert await get(port, "/metrics", "HEAD") == (200, b"")
    assert await get(port, "/debug/gc") == (200, b"GC run complete")
    assert (await get(port, "/nothing"))[0] == 404
    assert capfd.readouterr().err == "", "no line for each scrape"


async def test_callers_that_say_nothing_hold_up_neither_others_nor_the_end(
    metrics: Metrics, capfd: pytest.CaptureFixture[str]
):
    port = metrics.serve("0").port
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_SCRAPERS + 1)]
    silent[-1][1].write(b"GET /metrics HT")
    assert (await get(port, "/metrics"))[0] == 200
    assert [await reader.read() for reader, _ in silent[:2]] == [b"", b""], "the oldest gave way"
    assert not silent[-1][0].at_eof()
    await asyncio.to_thread(metrics.close)
    for reader, writer in silent:
        assert await reader.read() == b""
        writer.close()
    assert capfd.readouterr().err == "", "no traceback"


def test_metrics_are_served_on_an_address_of_version_6_too(metrics: Metrics):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = metrics.serve("[::1]:0").port
    with socket.create_connection(("::1", port), timeout=10) as caller:
        caller.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert caller.recv(12) == b"HTTP/1.0 200"


def test_a_taken_port_is_an_error_with_its_address(metrics: Metrics):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
            metrics.serve(f"127.0.0.1:{port}")
    with pytest.raises(MalformedAddress):
        metrics.serve("no port")


def test_messages_that_gave_way_to_newer_ones_are_told_at_each_scrape(tmp_path: Path):
    daemon = Daemon(Settings(folder=tmp_path, tls_disable=True, metrics="0"))
    assert isinstance(daemon.metrics, Metrics)
    told = []
    for displaced in (0, 2, 5):
        daemon.client.displaced = displaced
        told.append(value(daemon.metrics, "messages_displaced"))
    assert told == [0, 2, 5]


def test_nothing_is_counted_where_nobody_can_read_it(tmp_path: Path):
    quiet = Daemon(Settings(folder=tmp_path, tls_disable=True))
    assert type(quiet.metrics) is Counts
    told = Daemon(Settings(folder=tmp_path, tls_disable=True, metrics="0"))
    assert isinstance(told.metrics, Metrics)
    told.metrics.close()
