"""Commands on a node's own folder: secrets shown, resetting, deleting beacons. No daemon runs here."""

import json
from pathlib import Path

import pytest

from drand.model.chain import Round
from drand.store.sqlite import open_store
from drand.vault.folder import VaultFolder
from tests.support.command_line import drand, operated
from tests.support.node_folder import Node

# ------------------------------------------------------------ secrets


def test_the_private_key_is_shown_with_a_warning(node: Node):
    node.generate("127.0.0.1:4001")
    ended = drand("show", "private", "--folder", node.folder)
    secret = VaultFolder(node.beacon.root).load_key_pair().secret
    assert json.loads(ended.out)["priKey"] == secret.to_bytes().hex()
    assert "warning: " in ended.err


def test_the_share_is_shown_in_the_guides_format(node: Node):
    node.in_group()
    ended = drand("show", "share", "--folder", node.folder)
    assert json.loads(ended.out) == {"index": 1, "share": {"gid": 22, "scalar": f"{42:064x}"}}
    assert "warning: " in ended.err


async def test_a_control_port_that_was_named_must_be_this_folders_daemon(node: Node, tmp_path: Path):
    node.in_group()
    async with operated(tmp_path) as other:  # its key is not this folder's
        for secret in ("private", "share"):
            refused = await other.drand("show", secret, "--folder", node.folder)
            assert (refused.code, refused.out) == (1, "")
            assert "has another key than" in refused.err
            assert refused.hints
    assert drand("show", "--control", node.nobody, "private", "--folder", node.folder).code == 0
    assert drand("show", "share", "--control", node.nobody, "--folder", node.folder).code == 0


def test_there_is_no_share_before_a_ceremony(node: Node):
    node.generate("127.0.0.1:4001")
    ended = drand("show", "share", "--folder", node.folder)
    assert ended.code == 1
    assert "has no share yet" in ended.err
    assert ended.hints


@pytest.mark.parametrize("command", [("show", "private"), ("show", "share"), ("util", "del-beacon", "1")])
def test_a_folder_without_the_beacon_is_named_with_what_it_holds(command: tuple[str, ...], node: Node):
    node.generate("127.0.0.1:4001", "--id", "quick")
    ended = drand(*command, "--folder", node.folder)
    assert ended.code == 1
    assert "there is no beacon default in" in ended.err
    assert "here are: quick" in ended.err


def test_the_folder_flag_may_come_before_the_command_and_beats_its_variable(
    node: Node, monkeypatch: pytest.MonkeyPatch
):
    node.generate("127.0.0.1:4001")
    monkeypatch.setenv("DRAND_FOLDER", "/no/such/folder")
    assert drand("show", "private").code == 1
    assert drand("--folder", node.folder, "show", "private").code == 0
    monkeypatch.setenv("DRAND_FOLDER", str(node.folder))
    assert drand("show", "private").code == 0
    assert drand("--folder", node.folder, "show", "private", "--folder", "/no/such/folder").code == 1


# ------------------------------------------------------------ resetting


@pytest.mark.parametrize("answer", ["n\n", "\n", "yes please\n"])
def test_a_reset_needs_a_yes(answer: str, node: Node, typed):
    node.in_group()
    typed(answer)
    ended = drand("util", "reset", "--folder", node.folder)
    assert ended.code == 0
    assert ended.out.endswith("[y/N]drand: not reseting the state.\n")
    assert node.beacon.group_file.exists()
    assert node.last_round() == 5


def test_a_reset_that_nobody_answers_is_no_success(node: Node, typed):
    node.in_group()
    typed("")
    ended = drand("util", "reset", "--folder", node.folder)
    assert ended.code == 1
    assert "nobody answered" in ended.err
    assert "echo y |" in ended.err
    assert node.last_round() == 5


def test_a_reset_forgets_group_share_and_beacons_and_keeps_the_keys(node: Node, typed):
    node.in_group()
    key = (node.beacon.keys / "drand_id.private").read_bytes()
    typed("Y\n")
    ended = drand("util", "reset", "--folder", node.folder)
    assert (ended.code, ended.out.endswith("drand: beacon id [default] - database reset\n")) == (0, True)
    assert not node.beacon.group_file.exists()
    assert not node.beacon.share_file.exists()
    assert not node.beacon.store.exists()
    assert (node.beacon.keys / "drand_id.private").read_bytes() == key


def test_a_beacon_that_runs_is_neither_reset_nor_shortened(node: Node, typed):
    node.in_group()
    typed("y\n")
    running = open_store(node.beacon.store, chained=True)
    try:
        for command in (("util", "reset"), ("util", "del-beacon", "2")):
            ended = drand(*command, "--folder", node.folder)
            assert ended.code == 1
            assert "a running daemon has beacon default open" in ended.err
            assert "drand stop" in ended.err
    finally:
        running.close()
    assert node.last_round() == 5
    assert node.beacon.share_file.exists()


def test_a_disk_that_refuses_ends_in_a_sentence(node: Node, typed, monkeypatch: pytest.MonkeyPatch):
    node.in_group()
    typed("y\n")

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refused)
    ended = drand("util", "reset", "--folder", node.folder)
    assert ended.code == 1
    assert "Permission denied" in ended.err
    assert ended.hints


def test_all_beacons_of_a_folder_are_reset_at_once(node: Node, typed):
    node.in_group()
    node.generate("127.0.0.1:4001", "--id", "quick")
    typed("y\n")
    ended = drand("util", "reset", "--all", "--folder", node.folder)
    assert "beacon id [default] - database reset\n" in ended.out
    assert "beacon id [quick] - database reset\n" in ended.out


def test_deleting_a_round_takes_all_later_ones_with_it(node: Node):
    node.in_group(rounds=5)
    ended = drand("util", "del-beacon", "3", "--verbose", "--folder", node.folder)
    assert ended.out == "beacon id [default] - deleted 3 beacons from round 3 on\n"
    assert node.last_round() == 2


@pytest.mark.parametrize(("round_", "code"), [("0", 2), ("-1", 2), ("one", 2), ("²", 2), ("6", 1)])
def test_a_round_that_is_none_or_not_there_deletes_nothing(round_: str, code: int, node: Node):
    node.in_group(rounds=5)
    ended = drand("util", "del-beacon", "--folder", node.folder, "--", round_)
    assert ended.code == code
    assert "given round" in ended.err
    assert ended.hints
    assert node.last_round() == Round(5)
