"""`drand share`: which orders it gives, what it shows meanwhile, and what it refuses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from rich.console import Console

from collective.errors import BadSetting
from drand.cli.progress import LivePicture, PlainLines, chosen_display, picture
from drand.model.group import Peer
from drand.net.control_client import ControlClient
from drand.net.handlers import CeremonyProgress, SetupOrder
from tests.support.command_line import Operated, drand, operated
from tests.support.operated import GROUP, MOMENTS

SECRET = "a secret of thirty-two characters"
LEAD = ("share", "--leader", "--nodes", "3", "--threshold", "2", "--period", "30s")
JOIN = ("share", "--connect", "leader.example.org:4444")


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[Operated]:
    async with operated(tmp_path) as line:
        yield line


def ordered(node: Operated) -> SetupOrder:
    (order,) = [order for what, _, order in node.daemon.told if what == "init_dkg"]
    assert isinstance(order, SetupOrder)
    return order


async def test_a_leader_orders_what_its_flags_say(node: Operated, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DRAND_SHARE_SECRET", SECRET)
    flags = ("--catchup-period", "1m30s", "--timeout", "20s", "--beacon-delay", "7", "--scheme", "pedersen-bls-chained")
    ended = await node.drand(*LEAD, *flags)
    assert ended.code == 0
    assert ordered(node) == SetupOrder(
        leader=None,
        nodes=3,
        threshold=2,
        timeout_s=20,
        beacon_offset_s=7,
        secret=SECRET.encode(),
        period_s=30,
        catchup_period_s=90,
        scheme_name="pedersen-bls-chained",
    )


async def test_standard_output_is_what_v1_prints_and_progress_goes_to_standard_error(
    node: Operated, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DRAND_SHARE_SECRET", SECRET)
    ended = await node.drand(*LEAD)
    lines = ended.out.splitlines()
    assert lines[1] == "Initiating the DKG as a leader. Beacon ID: [default]"
    assert lines[2].startswith("You can stop the command at any point.")
    assert lines[4] == "The following group.toml file has been created"
    assert lines[-1] == f"Hash of the group configuration: {GROUP.hash().hex()}"


@pytest.mark.parametrize("words", [("--connect", "a.example.org:44"), ("connect", "a.example.org:44")])
async def test_a_participant_joins_with_a_flag_or_with_the_guides_word(words: tuple[str, ...], node: Operated):
    ended = await node.drand("share", *words, "--secret", SECRET)
    assert ended.code == 0
    assert ordered(node).leader == Peer("a.example.org:44", True)
    assert "Participating in the setup of the DKG. Beacon ID: [" in ended.out


async def test_the_guides_group_file_argument_is_passed_over(node: Operated):
    ended = await node.drand("share", "group.toml", "--connect", "a:1", "--tls-disable", "--secret", SECRET)
    assert ended.code == 0
    assert ordered(node).leader == Peer("a:1", False)
    assert "ignored: group.toml" in ended.err


async def test_a_leaders_port_defaults_to_8080(node: Operated):
    await node.drand("share", "--connect", "a.example.org", "--secret", SECRET)
    assert ordered(node).leader == Peer("a.example.org:8080", True)


async def test_the_secret_in_the_process_list_is_warned_about_and_the_one_in_the_environment_is_not(
    node: Operated, monkeypatch: pytest.MonkeyPatch
):
    assert "process list" in (await node.drand(*JOIN, "--secret", SECRET)).err
    monkeypatch.setenv("DRAND_SHARE_SECRET", SECRET)
    ended = await node.drand(*JOIN)
    assert ended.code == 0
    assert "process list" not in ended.err


async def test_a_secret_file_counts_to_its_last_newline_and_goes_before_the_environment(
    node: Operated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DRAND_SHARE_SECRET", "another secret of some more characters")
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    await node.drand(*JOIN, "--secret-file", file)
    assert ordered(node).secret == SECRET.encode() + b"\n"


async def test_the_group_goes_into_a_file_and_not_to_the_screen(node: Operated, tmp_path: Path):
    target = tmp_path / "group.toml"
    ended = await node.drand(*JOIN, "--secret", SECRET, "--out", target)
    assert GROUP.hash().hex() not in ended.out
    assert target.read_text().startswith("Threshold = 1\n")


async def test_an_entropy_program_is_named_by_its_full_path(node: Operated, tmp_path: Path):
    program = tmp_path / "dice"
    program.write_text("#!/bin/sh\n")
    refused = await node.drand(*JOIN, "--secret", SECRET, "--source", program)
    assert refused.code == 1
    assert refused.hints
    program.chmod(0o755)
    assert (await node.drand(*JOIN, "--secret", SECRET, "--source", program, "--user-source-only")).code == 0
    assert (ordered(node).entropy_script, ordered(node).entropy_user_only) == (str(program), True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((*LEAD, "--connect", "a:1"), "can't use the leader and connect flags together"),
        (("share",), "try the --connect flag"),
        (("share", "--leader", "--period", "3s"), "leader needs to specify --nodes and --threshold"),
        (("share", "--leader", "--nodes", "3", "--threshold", "2"), "requires the beacon period flag"),
        ((*LEAD[:-1], "three seconds"), "invalid duration"),
        ((*LEAD[:-1], "1500ms"), "no whole number of seconds"),
        ((*LEAD, "--catchup-period", "-1s"), "negative"),
        ((*LEAD, "--scheme", "rsa"), "is not one of"),
        ((*LEAD, "--id", "../up"), "cannot be a beacon id"),
        (("share", "connect"), "followed by one address"),
        (("share", "--reshare", "--from", "group.toml"), "--from flag invalid with --reshare"),
    ],
)
def test_a_wrong_use_is_told_before_anything_happens(
    arguments: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DRAND_SHARE_SECRET", SECRET)
    ended = drand(*arguments)
    assert ended.code == 2
    assert text in ended.err
    assert ended.hints


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((*LEAD[:5], "1", *LEAD[6:]), "a threshold of 1 for 3 nodes"),
        ((*LEAD[:5], "4", *LEAD[6:]), "a threshold of 4 for 3 nodes"),
        ((*LEAD[:-1], "0s"), "a period of less than a second"),
        ((*LEAD, "--timeout", "0"), "a timeout of less than a second"),
        ((*JOIN, "--reshare"), "resharing is not available in this version yet"),
        ((*JOIN, "--from", "group.toml"), "resharing is not available in this version yet"),
        ((*JOIN, "--secret", "short"), "secret is insecure. Should be at least 32 characters"),
        ((*JOIN, "--secret", "x" * 5000), "longer than 4096 bytes"),
        ((*JOIN, "--secret-file", "/no/such/file"), "cannot read the secret file"),
        (("share", "--connect", "a b:1"), "white space"),
        (("share", "--connect", ":8080"), "names no host"),
        (("share", "--connect", "here:0"), "port 0"),
        ((*JOIN, "--out", "/no/such/folder/group.toml"), "cannot write the group file"),
    ],
)
def test_an_order_that_cannot_work_is_refused_with_what_to_try(
    arguments: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DRAND_SHARE_SECRET", SECRET)
    ended = drand(*arguments)
    assert ended.code == 1
    assert text in ended.err
    assert ended.hints


async def test_force_is_about_a_resharing_and_hinders_no_fresh_ceremony(node: Operated):
    ended = await node.drand(*JOIN, "--secret", SECRET, "--force")
    assert ended.code == 0
    assert "--force is for a resharing; it is ignored" in ended.err


def test_without_any_secret_there_is_no_ceremony():
    ended = drand(*JOIN)
    assert ended.code == 1
    assert "no secret specified for share" in ended.err
    assert SECRET not in ended.err


async def test_a_ceremony_that_fails_ends_the_command_with_the_reason(node: Operated):
    node.daemon.failure = BadSetting("the key of beacon default is for pedersen-bls-chained, not bls-unchained-on-g1")
    ended = await node.drand(*JOIN, "--secret", SECRET, "--scheme", "bls-unchained-on-g1")
    assert ended.code == 1
    assert "error setting up the network: the key of beacon default is for pedersen-bls-chained" in ended.err
    assert ended.hints


async def test_an_interrupt_leaves_the_ceremony_running_and_says_how_to_see_it(
    node: Operated, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(self: ControlClient, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ControlClient, "init_dkg", interrupted)
    ended = await node.drand(*JOIN, "--secret", SECRET)
    assert ended.code == 130
    assert "stopped watching" in ended.err
    assert "drand util status --id default" in ended.err
    assert "hash" not in ended.out.lower()


def test_plain_lines_tell_each_node_once_and_each_stage(capsys: pytest.CaptureFixture[str]):
    lines = PlainLines()
    for moment in (MOMENTS[0], MOMENTS[0], *MOMENTS[1:]):
        lines.show(moment)
    assert capsys.readouterr().err.splitlines() == [
        "joined: a:1",
        "waiting: participants gather (1 of 2 nodes)",
        "joined: b:2",
        "dealing: deals are exchanged (1 of 2 bundles)",
        "failed: the ceremony failed (too few dealers)",
    ]


def test_plain_lines_tell_a_participant_once_why_its_leader_has_not_taken_it(capsys: pytest.CaptureFixture[str]):
    lines = PlainLines()
    for reason in ("", "refused\nconnection", "refused\nconnection", "no DKG in progress", ""):
        lines.show(CeremonyProgress(beacon_id="default", stage="waiting", reason=reason))
    assert capsys.readouterr().err.splitlines() == [
        "waiting: participants gather",
        "waiting: participants gather (refused connection)",
        "waiting: participants gather (no DKG in progress)",
        "waiting: participants gather",
    ]
    lines.show(CeremonyProgress(beacon_id="default", stage="waiting", joined=("a:1",), wanted=2, reason="odd"))
    assert capsys.readouterr().err.splitlines()[-1] == "waiting: participants gather (1 of 2 nodes; odd)"


def test_the_picture_shows_why_a_participant_waits():
    console = Console(width=80, color_system=None, force_terminal=False)
    with console.capture() as drawn:
        console.print(picture(CeremonyProgress(beacon_id="default", stage="waiting", reason="connection refused"), 24))
    assert "> participants gather  connection refused" in drawn.get().splitlines()


def test_a_large_group_on_a_small_screen_leaves_the_stages_in_sight():
    console = Console(width=80, height=16)
    moment = CeremonyProgress(
        beacon_id="default", stage="waiting", joined=tuple(f"n{place}:1" for place in range(30)), wanted=40
    )
    with console.capture() as captured:
        console.print(picture(moment, console.height))
    lines = captured.get().splitlines()
    assert len(lines) < console.height
    assert "  ... and 33 more" in lines
    assert "> participants gather  30 of 40 nodes" in lines
    assert "  the group's key is generated" in lines


def test_the_picture_shows_who_is_missing_and_which_phase_runs():
    console = Console(width=80, color_system=None, force_terminal=False)
    with console.capture() as drawn:
        console.print(picture(MOMENTS[0], 24))
    assert drawn.get().splitlines()[:4] == [
        "ceremony of beacon default, as leader",
        "  + a:1",
        "  . nobody yet",
        "> participants gather  1 of 2 nodes",
    ]
    with console.capture() as drawn:
        console.print(picture(CeremonyProgress(beacon_id="x", stage="responding", received=2, wanted_bundles=3), 24))
    assert "> responses are exchanged  2 of 3 bundles" in drawn.get().splitlines()
    assert "* deals are exchanged" in drawn.get().splitlines()


@pytest.mark.parametrize(
    ("terminal", "is_terminal", "expected"),
    [("xterm", True, LivePicture), ("dumb", True, PlainLines), ("", True, PlainLines), ("xterm", False, PlainLines)],
)
def test_lines_are_written_where_nothing_can_be_drawn_again_in_place(
    terminal: str, is_terminal: bool, expected: type, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setattr("drand.cli.progress.sys.stderr.isatty", lambda: is_terminal)
    display = chosen_display()
    display.close()
    assert type(display) is expected
