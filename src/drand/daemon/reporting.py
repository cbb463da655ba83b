"""Turns the facts that machines report into log lines. Secrets never reach a fact, so they never reach a log."""

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

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

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def words(fact: Fact) -> tuple[int, str, dict[str, object]]:
    """(level, message, fields) of one fact."""
    match fact:
        case CandidateJoined(address, present, wanted):
            return logging.INFO, "candidate joined", {"address": address, "present": present, "wanted": wanted}
        case GroupProposed(group):
            fields: dict[str, object] = {"nodes": len(group.nodes), "threshold": group.threshold}
            return logging.INFO, "group proposed, key generation begins", fields | {"hash": group.hash().hex()}
        case PhaseChanged(phase, received, expected):
            return logging.INFO, "phase changed", {"phase": phase.value, "received": received, "expected": expected}
        case CulpritNamed(index, what, proved):
            return logging.WARNING, "culprit named", {"node": index, "what": what, "proved": proved}
        case CeremonyFinished(epoch):
            group = epoch.group
            found: dict[str, object] = {"index": epoch.index, "nodes": len(group.nodes), "group": group.hash().hex()}
            return logging.INFO, "key generation finished", found | {"chain": group.chain_info().hash().hex()}
        case CeremonyFailed(reason):
            return logging.ERROR, "ceremony failed", {"reason": reason}
        case RoundMade(round_, late_s):
            return logging.INFO, "round made", {"round": round_, "late_ms": round(late_s * 1000, 1)}
        case RoundMissed(round_, last):
            return logging.WARNING, "chain is behind", {"round": round_, "last": last}
        case SyncProgressed(round_, target):
            return logging.INFO, "catching up", {"round": round_, "target": target}
        case Noted(level, text, details):
            return LEVELS.get(level, logging.INFO), text, dict(details)


def printable(text: str) -> str:
    """`text` with control and other unprintable characters escaped.

    >>> printable("a\\nb")
    'a\\\\nb'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def told_at(record: logging.LogRecord) -> str:
    """When it was, in UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def level_word(record: logging.LogRecord) -> str:
    """The level as Go's log names it: DEBUG, INFO, WARN, ERROR."""
    return "WARN" if record.levelno == logging.WARNING else record.levelname


class ConsoleFormatter(logging.Formatter):
    """time, level, logger, message, fields as JSON; separated by tabs, as Go's console log is.

    A record is one line: what peers say is in some of them, and must neither begin a line nor steer a terminal.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        parts = [told_at(record), level_word(record), record.name, printable(record.getMessage())]
        fields = getattr(record, "fields", None)
        if fields:
            parts.append(json.dumps(fields, default=str))
        if record.exc_info:
            parts.append(json.dumps(self.formatException(record.exc_info)))
        return "\t".join(parts)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, as Go writes it: level, ts, logger, msg, then the fields; no space between them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "level": level_word(record),
            "ts": told_at(record),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        for name, value in (getattr(record, "fields", None) or {}).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, separators=(",", ":"))


class OutputHandler(logging.StreamHandler[TextIO]):
    """Writes lines to standard output. What that does not take (a full disk, a pipe nobody reads) is lost.

    It is said once on standard error, and again after lines got through; a node goes on without its log.
    """

    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self._lost = False  # the line that is being written
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._lost = False
        super().emit(record)
        self._said = self._said and self._lost

    def handleError(self, record: logging.LogRecord) -> None:
        """The line could not be written."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._lost = True
        if not self._said:
            self._said = True
            with suppress(OSError):
                print(f"error: the log cannot be written: {error.strerror}", file=sys.stderr, flush=True)


def set_up_logging(*, json_lines: bool, verbose: bool) -> None:
    """Log to standard output, as v1.5.11 does; info and above, debug too when `verbose`."""
    handler = OutputHandler()
    handler.setFormatter(JsonFormatter() if json_lines else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("asyncio", "grpc", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def say(logger: logging.Logger, fact: Fact) -> None:
    """Log one fact."""
    level, message, fields = words(fact)
    logger.log(level, message, extra={"fields": fields})
