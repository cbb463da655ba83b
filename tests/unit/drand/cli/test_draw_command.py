"""`drand draw` end to end: a chain with a round every second, on loopback, and a clock that moves while it waits."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from collective.clock import SystemClock
from drand.cli import draw
from drand.cli.countdown import Countdown
from drand.cli.root import run
from drand.client.draw import Announcement, commit, encode_announcement, encode_receipt
from drand.client.draw import draw as receipt_of
from drand.errors import EXIT_FAILURE, EXIT_INVALID, EXIT_USAGE
from drand.model.chain import ChainInfo, Round
from drand.wire.http_json import chain_info_json
from tests.support.http_chain import Relay, chain, committee, serving_in_a_thread

NAMES = "Ada\nBarbara\nGrace\nHedy\n"
QUARTER_S = 0.25  # sums of quarters are exact


@pytest.fixture(autouse=True)
def time_passes_while_the_command_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """And at no other time: a busy machine must not make a round come before the command has announced it."""
    now = [int(SystemClock().now()) + QUARTER_S]

    def passed(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(SystemClock, "now", lambda _: now[0])
    monkeypatch.setattr(draw, "Countdown", partial(Countdown, pause=passed))


@pytest.fixture
def fast() -> ChainInfo:
    """Its rounds 1 to 20 are past; one comes every second."""
    return replace(chain(), genesis_unix_s=int(SystemClock().now()) - 20, period_s=1)


@pytest.fixture
def folder(tmp_path: Path, fast: ChainInfo, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "names.txt").write_text(NAMES)
    (tmp_path / "chain.json").write_bytes(chain_info_json(fast))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def url(fast: ChainInfo) -> Iterator[str]:
    with serving_in_a_thread(Relay(chain=fast, last=10**9)) as address:
        yield address


def test_a_draw_is_announced_waited_for_written_and_checked(
    folder: Path, fast: ChainInfo, url: str, capsys: pytest.CaptureFixture[str]
):
    round_ = fast.schedule.current_round(SystemClock().now()) + 2
    options = ["--from", "names.txt", "--winners", "2", "--round", str(round_), "--chain", "chain.json"]
    assert run(["draw", *options, "--url", url, "--out", "receipt.json"]) == 0
    drawn = capsys.readouterr()
    winners = drawn.out.split()
    assert len(set(winners)) == 2
    assert set(winners) <= set(NAMES.split())
    assert json.loads(Path("receipt.json.announced").read_text())["round"] == round_
    receipt = json.loads(Path("receipt.json").read_text())
    assert receipt["list_sha256"] in drawn.err
    assert drawn.err.index(receipt["list_sha256"]) < drawn.err.index("receipt.json")
    assert receipt["beacon"]["signature"] == committee().beacon(round_).signature.hex()
    assert receipt["committed_unix_s"] < receipt["round_due_unix_s"]

    assert run(["draw", "--check", "receipt.json", "--chain", "chain.json"]) == 0
    checked = capsys.readouterr()
    assert checked.out.split() == winners
    assert "valid: 2 of 4" in checked.err
    assert run(["draw", "--check", "receipt.json", "--json"]) == 0
    checked = capsys.readouterr()
    assert json.loads(checked.out)["winners"] == winners
    assert "not built in" in checked.err

    assert run(["draw", "--check", "receipt.json", "--chain", "quicknet"]) == EXIT_INVALID
    receipt["winners"][0] = "Mallory"
    Path("receipt.json").write_text(json.dumps(receipt))
    assert run(["draw", "--check", "receipt.json"]) == EXIT_INVALID
    assert "not the entries at their positions" in capsys.readouterr().err


def test_a_time_names_the_first_round_due_then_and_a_private_receipt_holds_no_names(
    folder: Path, fast: ChainInfo, url: str, capsys: pytest.CaptureFixture[str]
):
    from drand.cli.moments import shown_moment

    at = int(SystemClock().now()) + 2
    options = ["--from", "names.txt", "--winners", "1", "--at", shown_moment(at), "--chain", "chain.json", "--private"]
    assert run(["draw", *options, "--url", url]) == 0
    (path,) = folder.glob("draw-*.json")
    text = path.read_text()
    assert json.loads(text)["round_due_unix_s"] == at
    assert not any(name in text for name in NAMES.split())
    assert run(["draw", "--check", str(path)]) == EXIT_FAILURE
    assert run(["draw", "--check", str(path), "--from", "names.txt"]) == 0
    assert capsys.readouterr().out.split()[0] in NAMES.split()


def test_an_interrupted_draw_goes_on_as_it_was_announced(
    folder: Path, fast: ChainInfo, url: str, capsys: pytest.CaptureFixture[str]
):
    announced = Announcement(
        chain=fast,
        commitment=commit(NAMES.split(), 2),
        round=Round(15),  # come while nobody was there
        committed_unix_s=fast.schedule.due_unix_s(15) - 1,
    )
    Path("kept.announced").write_bytes(encode_announcement(announced))
    resume = ["draw", "--resume", "kept.announced", "--from", "names.txt", "--url", url]
    assert run(resume) == 0
    winners = capsys.readouterr().out.split()
    assert run(["draw", "--check", "draw-15.json", "--chain", "chain.json"]) == 0
    assert capsys.readouterr().out.split() == winners
    Path("names.txt").write_text("Mallory\n" + NAMES)
    assert run([*resume, "--out", "other.json"]) == EXIT_FAILURE
    assert "its hash differs" in capsys.readouterr().err


def test_a_second_that_begins_while_a_draw_is_announced_does_not_spoil_it(
    fast: ChainInfo, monkeypatch: pytest.MonkeyPatch
):
    due = fast.schedule.due_unix_s(Round(30))
    looks = iter([due - 0.001, due + 0.001])
    monkeypatch.setattr(SystemClock, "now", lambda _: next(looks))
    assert draw.new_announcement(NAMES.split(), 1, fast, 30, None).committed_unix_s < due


def test_a_round_that_is_known_already_decides_nothing(folder: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--from", "names.txt", "--winners", "1", "--chain", "chain.json", "--url", "http://127.0.0.1:1"]
    assert run(["draw", *options, "--round", "3"]) == EXIT_FAILURE
    assert "whoever knows it could choose the list" in capsys.readouterr().err
    assert not list(folder.glob("draw-*"))


def test_a_receipt_is_never_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "kept.json").write_text("mine")
    options = ["--from", "names.txt", "--winners", "1", "--chain", "chain.json", "--round", "999999"]
    assert run(["draw", *options, "--out", "kept.json"]) == EXIT_FAILURE
    assert "exists already" in capsys.readouterr().err
    assert (folder / "kept.json").read_text() == "mine"


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--from", "names.txt", "--winners", "1"],
        ["--from", "names.txt", "--round", "5"],
        ["--from", "names.txt", "--winners", "1", "--round", "5", "--at", "2030-01-01"],
        ["--check", "chain.json", "--winners", "1"],
        ["--resume", "chain.json"],
        ["--resume", "chain.json", "--from", "names.txt", "--round", "5"],
        ["--from", "names.txt", "--winners", "0", "--round", "5"],
    ],
)
def test_flags_that_do_not_go_together(folder: Path, options: list[str]):
    assert run(["draw", *options]) == EXIT_USAGE


def test_what_is_no_receipt_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["draw", "--check", "chain.json"]) == EXIT_FAILURE
    assert "no draw receipt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("positions", [-1, -2], "position is -2, and the list begins at 0"), ("committed_unix_s", -5, "unix time -5")],
)
def test_a_number_below_zero_makes_a_receipt_false(
    field: str, value: object, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    entries, beacon = NAMES.split(), committee().beacon(20)
    announced = Announcement(chain=chain(), commitment=commit(entries, 2), round=beacon.round, committed_unix_s=0)
    fields = json.loads(encode_receipt(receipt_of(announced, entries, beacon)))
    Path("receipt.json").write_text(json.dumps(fields | {field: value}))
    assert run(["draw", "--check", "receipt.json"]) == EXIT_INVALID
    said = capsys.readouterr().err
    assert words in said
    assert "believe none of it" in said


def test_the_receipt_of_somebody_else_moves_no_cursor(folder: Path, capsys: pytest.CaptureFixture[str]):
    entries = ["Mallory\r\x1b[2KAda", "Grace\u202e", "Zo\u00eb\t7"]
    beacon = committee().beacon(20)
    announced = Announcement(chain=chain(), commitment=commit(entries, 3), round=beacon.round, committed_unix_s=0)
    Path("receipt.json").write_bytes(encode_receipt(receipt_of(announced, entries, beacon)))
    assert run(["draw", "--check", "receipt.json"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert sorted(shown) == ["Grace\\u202e", "Mallory\\r\\x1b[2KAda", "Zo\u00eb\t7"]
