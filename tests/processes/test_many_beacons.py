"""Several chains in the same daemons, each with its own scheme, stopped and loaded one by one."""

import json
from pathlib import Path

import pytest

from tests.support.processes import Ceremony, Network

QUICK, SCHEME = "quick", "bls-unchained-g1-rfc9380"


@pytest.mark.slow
def test_two_chains_run_in_the_same_daemons_and_one_is_stopped_and_loaded_without_the_other(tmp_path: Path):
    with Network(tmp_path, 2) as network:
        network.start()
        first, second = network.nodes
        for node in network.nodes:
            said = node.make_keys(SCHEME, QUICK)
            assert f"Beacon process [{QUICK}] was loaded on drand." in said
        slow, quick = Ceremony(threshold=2, period="2s"), Ceremony(threshold=2, scheme=SCHEME, beacon_id=QUICK)
        commands = [*network.shares(slow), *network.shares(quick)]
        for command in commands:
            command.succeed()

        infos = {name: json.loads(first.ask("show", "chain-info", "--id", name)) for name in ("default", QUICK)}
        assert infos["default"]["schemeID"] == "pedersen-bls-chained"
        assert infos[QUICK]["schemeID"] == SCHEME
        assert sorted(json.loads(first.body("/chains"))) == sorted(info["hash"] for info in infos.values())
        for node in network.nodes:
            assert "running beacon ids on the node: [default, quick]" in node.ask("util", "status", "--list-ids")
            assert node.daemon is not None
            for name in infos:
                node.daemon.wait_until(lambda line, name=name: made(line, name, 2), f"round 2 of {name}")
        for name, info in infos.items():
            path = f"/{info['hash']}/public/1"
            assert first.body(path) == second.body(path)
            assert ("previous_signature" in json.loads(first.body(path))) == (name == "default")
        assert first.body("/public/1") == first.body(f"/{infos['default']['hash']}/public/1")

        assert f"beacon process [{QUICK}] stopped correctly" in second.ask("stop", "--id", QUICK)
        assert "running beacon ids on the node: [default]" in second.ask("util", "status", "--list-ids")
        assert second.get(f"/{infos[QUICK]['hash']}/public/1").status == 404
        assert second.daemon is not None
        before = len(second.daemon.lines)
        second.daemon.wait_until(lambda line: made(line, "default", 3), "the other chain goes on", since=before)

        assert f"Beacon process [{QUICK}] was loaded on drand." in second.ask("load", "--id", QUICK)
        assert "is already running" in second.refuses("load", "--id", QUICK, "--control", second.control)
        before = len(second.daemon.lines)
        second.daemon.wait_until(lambda line: made(line, QUICK, 3), "the chain resumes", since=before)
        assert second.body(f"/{infos[QUICK]['hash']}/public/2") == first.body(f"/{infos[QUICK]['hash']}/public/2")
        daemon = second.daemon
        second.ask("stop")
        assert daemon.wait_end() == 0


def made(line: str, beacon_id: str, least: int) -> bool:
    """Whether a log line says that a round from `least` on was made in this chain."""
    if "round made" not in line or f".{beacon_id}\t" not in line:
        return False
    return int(json.loads(line.rpartition("\t")[2])["round"]) >= least
