"""Every fact has words, a log record is one line, and no secret is in any."""

import errno
import io
import json
import logging
import re
import sys
import typing

import pytest

from drand.daemon.reporting import ConsoleFormatter, JsonFormatter, OutputHandler, printable, say, set_up_logging, words
from drand.model.chain import Index, Round
from drand.model.records import Epoch, Phase
from drand.protocol.steps import (
    CandidateJoined,
    CeremonyFailed,
    CeremonyFinished,
    CulpritNamed,
    Fact,
    GroupProposed,
    Noted,
    PhaseChanged,
    RoundMade,
    RoundMissed,
    SyncProgressed,
)
from tests.support.committee import Committee
from tests.support.daemons import orders
from tests.support.stored import EPOCH

GROUP = Committee().group
FACTS: dict[type[object], Fact] = {
    type(fact): fact
    for fact in (
        CandidateJoined("a:1", 2, 3),
        GroupProposed(GROUP),
        PhaseChanged(Phase.DEALING, 3, 4),
        CulpritNamed(2, "its share does not fit", True),
        CeremonyFinished(Epoch(group=GROUP, index=Index(1), epoch_id=b"e")),
        CeremonyFailed("too few dealers"),
        RoundMade(Round(7), 0.0123),
        RoundMissed(Round(8), Round(7)),
        SyncProgressed(Round(8), Round(90)),
        Noted("warning", "something", (("node", "3"),)),
    )
}


def record(text: str, fields: dict[str, object] | None = None, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("127.0.0.1:1.default", logging.INFO, __file__, 1, text, None, None)
    made.fields = fields
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("kind", typing.get_args(Fact))
def test_every_fact_has_words_that_become_a_line(kind: type[object], caplog: pytest.LogCaptureFixture):
    level, message, fields = words(FACTS[kind])
    assert message
    assert level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    assert json.loads(json.dumps(fields)) == fields, "plain values only"
    with caplog.at_level(logging.DEBUG):
        say(logging.getLogger("a.node"), FACTS[kind])
    assert caplog.records[-1].getMessage() == message


def test_what_needs_the_operator_is_louder_than_progress():
    assert words(CeremonyFailed("why"))[0] == logging.ERROR
    assert words(CulpritNamed(1, "what", False))[0] == logging.WARNING
    assert words(RoundMissed(Round(2), Round(1)))[0] == logging.WARNING
    assert words(Noted("no such level", "text"))[0] == logging.INFO


def test_a_console_line_is_tab_separated_as_gos():
    line = ConsoleFormatter().format(record("round made", {"round": 7}))
    at, level, logger, message, fields = line.split("\t")
    assert at.endswith("Z")
    assert (level, logger, message, json.loads(fields)) == ("INFO", "127.0.0.1:1.default", "round made", {"round": 7})


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2Jgone", "a\rb", "\u202egnp", "a\tb", "\x00"])
def test_what_a_peer_says_neither_begins_a_line_nor_steers_a_terminal(text: str):
    line = ConsoleFormatter().format(record(f"refused: {text}", {"reason": text}))
    assert line.count("\t") == 4
    assert line.replace("\t", "").isprintable()
    assert printable("plain words") == "plain words"


def test_levels_have_the_names_that_go_gives_them():
    for level, word in ((logging.DEBUG, "DEBUG"), (logging.WARNING, "WARN"), (logging.ERROR, "ERROR")):
        told = record("chain is behind")
        told.levelno, told.levelname = level, logging.getLevelName(level)
        assert ConsoleFormatter().format(told).split("\t")[1] == word
        assert json.loads(JsonFormatter().format(told))["level"] == word


def test_a_json_line_begins_as_gos_so_that_what_greps_in_it_goes_on():
    line = JsonFormatter().format(record("round made", {"round": 7}))
    at = r'"ts":"[-0-9]+T[:0-9]+\.[0-9]{3}Z"'
    rest = r'"logger":"127\.0\.0\.1:1\.default","msg":"round made","round":7'
    assert re.fullmatch(rf'\{{"level":"INFO",{at},{rest}\}}', line)


def test_a_traceback_stays_on_its_line():
    try:
        raise ValueError("bug")
    except ValueError:
        found = sys.exc_info()
    assert "\n" not in ConsoleFormatter().format(record("internal error", exc_info=found))
    assert "ValueError: bug" in json.loads(JsonFormatter().format(record("internal error", exc_info=found)))["trace"]


def test_fields_cannot_forge_what_a_json_line_is_about():
    forged = {"level": "DEBUG", "msg": "all is well", "ts": "now", "logger": "x", "round": 7}
    line = json.loads(JsonFormatter().format(record("chain is behind", forged)))
    assert (line["level"], line["msg"], line["logger"], line["round"]) == (
        "INFO",
        "chain is behind",
        "127.0.0.1:1.default",
        7,
    )
    assert line["ts"] != "now"


def test_logging_goes_to_standard_output_in_the_chosen_form(capsys: pytest.CaptureFixture[str]):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        set_up_logging(json_lines=True, verbose=False)
        logging.getLogger("drand").info("hello")
        logging.getLogger("drand").debug("not shown")
        set_up_logging(json_lines=False, verbose=True)
        logging.getLogger("drand").debug("shown")
        logging.getLogger("grpc").info("noise")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[0])["msg"] == "hello"
    assert lines[1].split("\t")[1:] == ["DEBUG", "drand", "shown"]
    assert len(lines) == 2


def test_an_output_that_takes_no_more_is_named_once_and_the_node_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    class Disk(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    disk = Disk()
    monkeypatch.setattr(sys, "stdout", disk)
    handler = OutputHandler()
    record = logging.LogRecord("drand", logging.INFO, __file__, 1, "a line", None, None)
    for full in (True, True, False, True):
        disk.full = full
        handler.handle(record)
    assert disk.getvalue() == "a line\n"
    assert capsys.readouterr().err == "error: the log cannot be written: No space left on device\n" * 2


def test_no_secret_is_in_the_words_of_an_order_or_a_fact():
    for order in orders("a:1", 3, 2):
        assert order.secret.decode() not in repr(order)
    assert "secret" not in json.dumps(words(CeremonyFinished(EPOCH))[2])
