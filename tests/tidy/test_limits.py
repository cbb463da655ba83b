"""docs/reference/limits.md gives the bounds that the code has."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("|")]

# how the bound begins on the page -> its constants
BOUNDS = {
    "file descriptors": "net.descriptors WANTED",
    "log lines that a stranger": "net.log_budget LINES_A_MINUTE",
    "connections | 4096": "net.descriptors MAX_PEERS MAX_CONTROL",
    "a message | 4 MiB": "wire.protobuf MAX_MESSAGE_BYTES",
    "headers of a call": "net.grpc_service MAX_HEADER_BYTES",
    "calls at once, on a connection": "net.grpc_service MAX_CONCURRENT_STREAMS MAX_CONCURRENT_RPCS",
    "calls at once, from one network": "net.admission MAX_CALLS_PER_NETWORK",
    "calls whose request has not come": "net.admission LEAST_PATIENCE_S MAX_UNREAD",
    "waiting for a request after": "net.admission REQUEST_PATIENCE_S",
    "a connection without calls": "net.grpc_service MAX_IDLE_MS",
    "memory of the whole process": "daemon.pressure LIMIT_BYTES EVERY_S",
    "`SyncChain` and `PublicRandStream`, in total": "net.peer_server MAX_STREAMS MAX_STREAMS_PER_NETWORK",
    "a stream whose reader takes nothing": "net.grpc_service WRITE_PATIENCE_S",
    "new beacons that wait": "daemon.feed QUEUE_LIMIT",
    "channels kept open": "net.channels MAX_CHANNELS",
    "messages under way to one peer": "net.peer_client MAX_OUTSTANDING",
    "bundles under way": "net.peer_client BUNDLES_AT_ONCE MAX_OUTSTANDING",
    "members asked at once": "daemon.agreement ASKED_AT_ONCE ANSWER_S PATIENCE_MINUTES",
    "waiting for an answer: ": "net.peer_client PARTIAL_DEADLINE_S BUNDLE_DEADLINE_S QUESTION_DEADLINE_S",
    "beacons read ahead": "net.sync_reader MAX_WAITING MAX_BEACON_BYTES",
    "connections, TLS handshakes": "net.descriptors MAX_HTTP",
    "TLS handshake | 20 s | `net/tls": "net.tls_listener HANDSHAKE_S",
    "requests held for the next round": "net.http_server DEFAULT_MAX_HELD",
    "rounds verified again": "net.http_v2 CHECKS_A_SECOND",
    "addresses whose rate is remembered (": "net.http_watch MAX_CLIENTS",
    "a connection that is silent": "net.http_server KEEPALIVE_S",
    "a reader that does not take": "net.http_server TAKE_S TAKE_BYTES_A_SECOND",
    "request line, a header": "net.http_server MAX_HEADER_BYTES MAX_HEADERS",
    "bodies kept rendered": "net.http_chain RENDERED_ROUNDS RENDERED_PAGES CHECKED_ROUNDS",
    "readers | ": "net.http_events DEFAULT_MAX_READERS",
    "what waits for a reader": "net.http_events MAX_BEHIND_BYTES",
    "what a reader that comes back": "net.http_events REPLAY_ROUNDS REPLAY_PIECE_ROUNDS REPLAY_PATIENCE_S",
    "connections answered at once": "daemon.metrics_port MAX_SCRAPERS",
    "a caller that is silent": "daemon.metrics_port SILENCE_S",
    "chains / rounds of each": "relay.discovery MAX_CHAINS",
    "past rounds asked for upstream": "relay.feeding FETCHES_AT_ONCE",
    "past rounds fetched for one page": "net.http_chain FETCHED_ROUNDS GATHERS_AT_ONCE",
    "past rounds whose verdict": "relay.verified JUDGED_ROUNDS HEAD_LOOKS",
    "addresses whose rate is remembered |": "relay.rates SLOTS",
    "what a worker lets wait": "relay.links MAX_UNREAD_BYTES",
    "nodes of a group": "model.group MAX_GROUP_SIZE",
    "a bundle | ": "protocol.echo MAX_BUNDLE_BYTES",
    "different bundles kept": "protocol.echo MAX_KEPT",
    "packets that come before": "protocol.early PACKETS_PER_AUTHOR MAX_PACKETS MAX_BYTES",
    "how far ahead of the chain": "protocol.aggregation WINDOW_ROUNDS",
    "rounds asked of one peer": "protocol.sync WINDOW_ROUNDS",
    "rounds verified together": "protocol.sync BATCH_ROUNDS MAX_CHECKS",
    "questions that wait": "vault.links MAX_WAITING",
    "ceremonies open": "vault.sessions MAX_OPEN_SESSIONS MAX_CLOSED_SESSIONS",
    "rounds whose message": "vault.signing WINDOW_ROUNDS",
    "its state file": "vault.state MAX_FILE_BYTES",
    "a group file / ": "daemon.epochs MAX_GROUP_FILE_BYTES",
    "a header | ": "timelock.header MAX_HEADER_BYTES",
    "what is held of a file": "timelock.payload CHUNK_BYTES",
    "beacons in a batch": "verifying.verifiers MAX_BEACONS",
}


def ways_to_write(value: float) -> set[str]:
    """A number as it stands, with separators, in bytes of two kinds, and in minutes where it is milliseconds."""
    scaled = {f"{value / 2**power:g} {unit}" for power, unit in ((10, "kB"), (20, "MiB"), (30, "GiB"))}
    return {f"{value:g}", f"{value:,}", str(value), f"{value / 60_000:g} minutes"} | scaled


@pytest.mark.parametrize("begins", BOUNDS)
def test_a_bound_on_the_page_is_the_one_in_the_code(begins: str):
    rows = [row for row in ROWS if f"| {begins}" in row]
    assert len(rows) == 1, rows
    module, *names = BOUNDS[begins].split()
    for name in names:
        value = getattr(importlib.import_module(f"drand.{module}"), name)
        written = "|".join(re.escape(way) for way in ways_to_write(value))
        assert re.search(rf"(?<![\d,.])(?:{written})(?![\d]|,\d)", rows[0]), f"{name} is {value}: {rows[0]}"


def test_every_module_on_the_page_is_there():
    for name in re.findall(r"`(\w+/\w+\.py)`", PAGE):
        assert (ROOT / "src" / "drand" / name).is_file(), name
