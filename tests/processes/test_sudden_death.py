"""Nodes that are killed, and what the chain makes of it."""

import json
import random
import re
import threading
from datetime import datetime
from pathlib import Path

import pytest

from collective.clock import SystemClock
from drand.model.chain import Beacon, Round
from drand.store.sqlite import open_store
from drand.wire.http_json import parse_beacon
from tests.support.processes import OURS, Ceremony, Network, Node
from tests.support.running import Running

KILLS = 20
PERIOD_S = 1
STAMP = re.compile(r"^(\S+)Z\t")


def unix_s(line: str) -> float:
    """When a log line was written."""
    match = STAMP.match(line)
    assert match is not None, line
    return datetime.fromisoformat(match[1] + "+00:00").timestamp()


def moment_of_chance(dice: random.Random) -> None:
    """Let a part of a period pass: where in the round the axe falls is what the test is about."""
    threading.Event().wait(dice.uniform(0, PERIOD_S))


def announced(daemon: Running) -> list[int]:
    """Every round that the daemon said it stored (a catch-up names only the last of several)."""
    return [int(match[1]) for match in OURS.stored.finditer(daemon.output)]


def die(victim: Node) -> list[int]:
    """Kill the node; the rounds that it had announced by then."""
    daemon = victim.daemon
    assert daemon is not None
    victim.kill()
    return announced(daemon)


def on_disk(node: Node) -> Beacon:
    """The head of a dead node's chain, read from its files."""
    store = open_store(node.beacon_folder / "db" / "drand.sqlite", chained=True)
    try:
        head = store.last()
        assert head is not None
        return head
    finally:
        store.close()


def check_whole_chain(network: Network, last: int) -> None:
    """Every node serves the same bytes for every round, and they verify."""
    nodes = network.nodes
    lines = []
    for round_ in range(1, last + 1):
        bodies = {node.body(f"/public/{round_}") for node in nodes}
        assert len(bodies) == 1, f"round {round_}: {bodies}"
        lines.append(bodies.pop())
        assert json.loads(lines[-1])["round"] == round_
    info, rounds = network.folder / "info.json", network.folder / "rounds.ndjson"
    info.write_bytes(nodes[0].body("/info"))
    rounds.write_bytes(b"\n".join(lines))
    said = Running([*OURS.command, "verify", "--chain", str(info), str(rounds)]).succeed()
    assert f"all {last} beacons are valid, rounds 1 to {last}" in said


@pytest.mark.slow
def test_a_node_killed_twenty_times_loses_no_round_and_is_back_within_two_periods(tmp_path: Path):
    dice = random.Random(20)
    with Network(tmp_path, 5) as network:
        network.start()
        network.hold(Ceremony(threshold=3, period=f"{PERIOD_S}s"))
        for node in network.nodes:
            node.wait_round(1)
        genesis = network.nodes[0].get("/info").json()["genesis_time"]
        seen: dict[int, Beacon] = {}
        returns = []
        for _ in range(KILLS):
            victim = dice.choice(network.nodes)
            moment_of_chance(dice)
            before = die(victim)
            head = on_disk(victim)
            assert head.round >= max(before, default=0), "a round that was announced is not on disk"
            assert seen.setdefault(head.round, head) == head
            returns.append(back_in_the_chain_s(victim, genesis))
        assert network.nodes[0].daemon is not None
        last = max(announced(network.nodes[0].daemon))
        for node in network.nodes:
            node.wait_round(last)
        check_whole_chain(network, last)
        for round_, beacon in seen.items():
            assert parse_beacon(network.nodes[0].body(f"/public/{round_}")).signature == beacon.signature
        assert max(returns) <= 2 * PERIOD_S, returns


def back_in_the_chain_s(victim: Node, genesis: int) -> float:
    """Start the node again; seconds from its ready line to the line that says it holds the round of that moment."""
    daemon = victim.launch()
    ready = unix_s(daemon.wait_for(OURS.ready))

    def holds_current_round(line: str) -> bool:
        match = OURS.stored.search(line)
        return match is not None and int(match[1]) >= 1 + (unix_s(line) - genesis) // PERIOD_S

    return unix_s(daemon.wait_until(holds_current_round, "the current round")) - ready


@pytest.mark.slow
def test_with_too_few_nodes_the_chain_stops_and_it_resumes_without_a_gap(tmp_path: Path):
    with Network(tmp_path, 4) as network:
        network.start()
        network.hold(Ceremony(threshold=3, period="2s", catchup_period="1s"))
        left, witness, *killed = network.nodes
        for node in network.nodes:
            node.wait_round(2)
        for node in killed:
            node.kill()
        # two of four are left: neither can make a round of its own, whoever is asked
        assert left.daemon is not None
        missed = left.daemon.wait_until(
            lambda line: "chain is behind" in line and lag(line) >= 3, "three missed rounds"
        )
        halted = max(announced(left.daemon))
        assert lag(missed) >= 3
        assert left.get(f"/public/{halted + 1}").status == 404
        assert left.get("/health").status == 503

        killed[0].start()
        for node in (left, witness, killed[0]):
            resumed = node.wait_round(halted + 4)
            assert resumed >= halted + 4
        genesis, period_s = (left.get("/info").json()[name] for name in ("genesis_time", "period"))
        # one round a second while one is due every two: it gets back to the round of the hour
        wanted = int((SystemClock().now() - genesis) // period_s) + 2
        left.wait_round(wanted)
        killed[1].start()
        for node in network.nodes:
            node.wait_round(wanted)
        assert left.get("/health").status == 200
        check_whole_chain(network, wanted)


def lag(line: str) -> int:
    """How many rounds the chain is behind, from the line that says so."""
    fields = json.loads(line.rpartition("\t")[2])
    return int(Round(fields["round"]) - fields["last"])
