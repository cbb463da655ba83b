"""Commands that talk to the local daemon: what they order and what they print, word for word as scripts expect it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from collective.errors import OutOfTurn
from drand.cli.output import status_block, status_fields
from drand.model.group import Peer
from drand.net.control_client import ControlClient
from drand.net.errors import DaemonAbsent
from drand.wire.toml_files import decode_group_file, encode_group_file
from tests.support.command_line import Operated, drand, operated
from tests.support.operated import GROUP
from tests.support.served import INFO, KEY, STATUS

STATUS_TEXT = """the status of network with id [default] is: 
* Dkg 
 - Status: Done 
* Reshare 
 - Status: Not started 
* ChainStore 
 - IsEmpty: false 
 - LastRound: 7 
* BeaconProcess 
 - Status: Inited 
 - Stopped: false 
 - Started: true 
 - Serving: true 
 - Running: true 
* Network visibility
 - 127.0.0.1:4002 -> OK
 
"""  # noqa: W291, W293
STATUS_JSON = {
    "dkg": {},
    "reshare": {},
    "beacon": {"status": 1, "is_running": True, "is_started": True, "is_serving": True},
    "chain_store": {"last_round": 7, "length": 8},
    "connections": {"127.0.0.1:4002": True},
}


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[Operated]:
    async with operated(tmp_path) as line:
        yield line


def test_members_with_another_chain_are_at_the_end_of_the_status():
    odd = replace(STATUS, other_chains={"b:2": b"\xab" * 32, "a:1": b"\xcd" * 32})
    head, *members = status_block(odd).removeprefix(status_block(STATUS) + "\n").split("\n")
    assert head.startswith("* Members with another chain")
    assert members == [f" - a:1 -> {'cd' * 32}", f" - b:2 -> {'ab' * 32}"]
    assert status_fields(odd) == STATUS_JSON | {"other_chains": {"a:1": "cd" * 32, "b:2": "ab" * 32}}


async def test_ping_says_that_the_daemon_is_alive(node: Operated):
    ended = await node.drand("util", "ping")
    assert (ended.code, ended.out) == (0, f"drand daemon is alive on port {node.control}\n")


def test_without_a_daemon_every_command_says_how_to_start_one(tmp_path: Path):
    for command in (
        ["util", "ping"],
        ["stop"],
        ["load"],
        ["show", "group"],
        ["util", "status"],
        ["util", "list-schemes"],
    ):
        ended = drand(*command, "--control", f"unix://{tmp_path}/nobody.sock")
        assert ended.code == 1
        assert ended.hints
        assert "drand start" in ended.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("util ping", "drand: can't ping the daemon ... no daemon answers"),
        ("util status --id two", "drand: can't get the status of the network with id [two]... no daemon answers"),
        ("util status --all", "drand: can't get the list of running beacon ids on the daemon ... no daemon answers"),
        ("show group", "fetching group file error: no daemon answers"),
        ("load", "could not reload the beacon process [default]: no daemon answers"),
    ],
)
def test_the_words_that_scripts_look_for_are_those_of_v1(command: str, words: str):
    assert words in drand(*command.split(), "--control", "127.0.0.1:1").err


async def test_status_prints_the_block_of_v1_line_by_line(node: Operated):
    ended = await node.drand("util", "status")
    assert (ended.code, ended.out) == (0, STATUS_TEXT)


async def test_status_as_json_leaves_zero_fields_out(node: Operated):
    ended = await node.drand("util", "status", "--json")
    assert ended.out.endswith("}} \n")
    assert json.loads(ended.out) == {"beacons": {"default": STATUS_JSON}}


async def test_status_of_all_beacons_asks_for_each(node: Operated):
    ended = await node.drand("util", "status", "--all", "--json")
    assert json.loads(ended.out)["beacons"] == {"default": STATUS_JSON, "other": STATUS_JSON}
    assert [metadata.beacon_id for what, metadata, _ in node.daemon.told if what == "status"] == ["default", "other"]


async def test_the_ids_that_run_are_listed(node: Operated):
    assert (await node.drand("util", "status", "--list-ids")).out == (
        "running beacon ids on the node: [default, other]\n"
    )
    listed = await node.drand("util", "status", "--list-ids", "--json")
    assert json.loads(listed.out)["ids"] == ["default", "other"]


async def test_an_id_and_all_beacons_are_not_asked_for_together(node: Operated):
    ended = await node.drand("util", "status", "--id", "default", "--all")
    assert ended.code == 2
    assert "can't use --id with --all or --list-ids" in ended.err


async def test_remote_status_tells_of_those_that_answer_and_of_those_that_do_not(node: Operated):
    ended = await node.drand("util", "remote-status", "--tls-disable", "b:2", "c:3")
    assert "Status of beacon default on node b:2\n* Dkg \n" in ended.out
    assert ended.out.endswith("Status of beacon default on node c:3\n\t- NO STATUS; can't connect\n")
    assert node.daemon.told[-1][2] == (Peer("b:2", False), Peer("c:3", False))
    as_json = await node.drand("util", "remote-status", "b:2", "c:3", "--json")
    assert json.loads(as_json.out) == {"b:2": STATUS_JSON, "c:3": None}
    assert node.daemon.told[-1][2] == (Peer("b:2", True), Peer("c:3", True))


async def test_schemes_are_listed_with_their_numbers(node: Operated):
    ended = await node.drand("util", "list-schemes")
    assert ended.out == (
        "Drand supports the following list of schemes: \n0) one \n1) two \n"
        "\nChoose one of them and set it on --scheme flag \n"
    )


async def test_the_variable_that_makes_the_daemons_log_json_changes_only_what_it_changes_in_go(
    node: Operated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = [("show", "group"), ("show", "group", "--hash"), ("util", "ping"), ("util", "list-schemes")]
    before = [await node.drand(*arguments) for arguments in asked]
    monkeypatch.setenv("DRAND_JSON", "true")
    assert [await node.drand(*arguments) for arguments in asked] == before
    assert (await node.drand("show", "group", "--out", tmp_path / "group.toml")).code == 0
    assert json.loads((await node.drand("util", "status")).out)["beacons"]


async def test_ping_and_schemes_as_json(node: Operated):
    alive = json.loads((await node.drand("util", "ping", "--json")).out)
    assert alive["alive"] is True
    assert alive["control"] == node.control
    assert alive["node_version"]["major"] >= 1
    assert json.loads((await node.drand("util", "list-schemes", "--json")).out) == {"ids": ["one", "two"]}


async def test_the_group_as_json_says_what_the_file_says(node: Operated):
    shown = json.loads((await node.drand("show", "group", "--json")).out)
    assert shown["hash"] == GROUP.hash().hex()
    assert shown["schemeID"] == GROUP.scheme.name
    assert (shown["threshold"], shown["period"]) == (GROUP.threshold, GROUP.period_s)
    assert shown["public_key"] == [coefficient.hex() for coefficient in GROUP.public_key]
    members = [(node.index, node.identity.address, node.identity.key.hex()) for node in GROUP.nodes]
    assert [(one["index"], one["address"], one["key"]) for one in shown["nodes"]] == members


async def test_a_group_in_a_file_is_not_json(node: Operated, tmp_path: Path):
    for flags in (["--hash"], ["--out", tmp_path / "group"]):
        refused = await node.drand("show", "group", "--json", *flags)
        assert refused.code == 2
        assert "--json goes neither with --out nor with --hash" in refused.err
    assert not (tmp_path / "group").exists()


async def test_a_backup_is_written_by_the_daemon(node: Operated, tmp_path: Path):
    target = tmp_path / "copy.sqlite"
    assert (await node.drand("util", "backup", "--out", target)).code == 0
    assert node.daemon.told[-1][0::2] == ("backup", target)


async def test_stopping_without_an_id_ends_the_daemon(node: Operated):
    ended = await node.drand("stop")
    assert ended.out.splitlines()[1:] == ["drand daemon stopped correctly. Bye."]
    assert node.daemon.told[-1][0] == "shutdown"
    assert node.daemon.told[-1][1].beacon_id == ""


async def test_stopping_with_an_id_ends_that_beacon(node: Operated):
    ended = await node.drand("stop", "--id", "other")
    assert ended.out.splitlines()[1:] == ["beacon process [other] stopped correctly. Bye."]
    assert node.daemon.told[-1][1].beacon_id == "other"


async def test_a_beacon_is_loaded_by_its_id(node: Operated):
    ended = await node.drand("load", "--id", "other")
    assert ended.out == "Beacon process [other] was loaded on drand.\n"
    assert node.daemon.told[-1][1].beacon_id == "other"


async def test_a_daemon_that_ends_before_it_answers_was_stopped(node: Operated, monkeypatch: pytest.MonkeyPatch):
    def gone(self: ControlClient, *_: object) -> None:
        raise DaemonAbsent("it closed the connection")

    monkeypatch.setattr(ControlClient, "shutdown", gone)
    stopped = await node.drand("stop")
    assert (stopped.code, stopped.out.splitlines()[-1]) == (0, "drand daemon stopped correctly. Bye.")
    assert (await node.drand("stop", "--id", "other")).code == 1


async def test_a_refusal_is_told_in_the_daemons_words_with_what_to_try(node: Operated):
    node.daemon.failure = OutOfTurn("beacon id [default] is already running")
    ended = await node.drand("load")
    assert ended.code == 1
    assert "could not reload the beacon process [default]: beacon id [default] is already running" in ended.err
    assert ended.hints


async def test_the_daemons_own_hint_goes_before_the_commands(node: Operated):
    node.daemon.failure = OutOfTurn("no ceremony now", hint="ask \x1b[31magain\nlater")
    ended = await node.drand("load")
    assert ended.err.splitlines()[-1] == "hint:  ask  [31magain later"


async def test_a_ceremony_is_abandoned_by_its_id_with_the_operators_reason(node: Operated):
    ended = await node.drand("util", "abandon", "--id", "other", "--reason", "wrong threshold")
    assert (ended.code, ended.out) == (0, "the ceremony of beacon [other] is abandoned\n")
    assert (await node.drand("util", "abandon")).code == 0
    assert [(what, about.beacon_id, order) for what, about, order in node.daemon.told] == [
        ("abandon", "other", "wrong threshold"),
        ("abandon", "default", "by the operator"),
    ]


async def test_where_no_ceremony_runs_none_is_abandoned(node: Operated):
    node.daemon.failure = OutOfTurn("no ceremony is running for beacon default")
    ended = await node.drand("util", "abandon")
    assert ended.code == 1
    assert "could not abandon the ceremony of beacon [default]: no ceremony is running" in ended.err
    assert ended.hints


async def test_the_group_is_printed_as_v1_does_and_its_file_reads_back(node: Operated, tmp_path: Path):
    printed = await node.drand("show", "group")
    text = encode_group_file(GROUP).decode()
    assert printed.out == (
        f"The following group.toml file has been created\n{text}\n\n"
        f"Hash of the group configuration: {GROUP.hash().hex()}\n"
    )
    assert (await node.drand("show", "group", "--hash")).out == GROUP.hash().hex() + "\n"
    target = tmp_path / "group.toml"
    assert (await node.drand("show", "group", "--out", target)).out == ""
    assert decode_group_file(target.read_bytes()).hash() == GROUP.hash()


async def test_a_group_that_does_not_exist_yet_names_the_command_that_makes_one(node: Operated):
    node.daemon.failure = OutOfTurn("drand: no dkg group setup yet")
    ended = await node.drand("show", "group")
    assert ended.code == 1
    assert "fetching group file error: drand: no dkg group setup yet" in ended.err
    assert "drand share" in ended.err


async def test_chain_info_is_what_the_http_api_serves_indented(node: Operated):
    ended = await node.drand("show", "chain-info")
    assert json.loads(ended.out)["hash"] == INFO.hash().hex()
    assert ended.out.startswith('{\n    "public_key": ')
    assert (await node.drand("show", "chain-info", "--hash")).out == INFO.hash().hex() + "\n"


async def test_the_public_key_comes_with_the_chain_it_belongs_to(node: Operated):
    shown = json.loads((await node.drand("show", "public")).out)
    assert shown["pubKey"] == KEY.hex()
    assert shown["metadata"]["node_version"] == {"major": 1, "minor": 5, "patch": 11}
    assert shown["metadata"]["chain_hash"] == INFO.hash().hex()
