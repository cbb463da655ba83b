"""What a public server does beside answering: it limits rates, writes an access log, and counts.

Source of the log's form: Apache, "combined"; of the metrics' names: drand v1.5.11, metrics/metrics.go.
"""

import io
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TextIO

from aiohttp.web_request import BaseRequest

from collective.errors import BadSetting
from drand.net.admission import network_of
from drand.net.http_chain import JSON_HEADERS
from drand.net.http_content import Answer
from drand.net.log_budget import LogBudget

MAX_CLIENTS = 100_000  # addresses whose rate is remembered
DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Others are counted as "unknown", for strangers choose them: the names of v1.5.11 (promhttp, sanitizeMethod).
METHODS = ("get", "put", "head", "post", "delete", "connect", "options", "notify", "trace", "patch")

TOO_MANY = Answer(
    429,
    (*JSON_HEADERS, ("Cache-Control", "no-store"), ("Retry-After", "1")),
    b'{"error":"too many requests from this address"}\n',
)

log = logging.getLogger(__name__)
log.addFilter(LogBudget())


class RateLimiter:
    """A token bucket for each client address; the table is bounded, the address seen longest ago is forgotten first.

    rate_per_s   tokens that come back in a second
    burst        tokens at most, and at the beginning
    """

    def __init__(self, rate_per_s: float, burst: float, *, max_clients: int = MAX_CLIENTS) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._max = max_clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, at unix time

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, client: str, now: float) -> bool:
        """Take a token of `client`; False when none is left. A clock that steps back gives no tokens."""
        tokens, at = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + max(now - at, 0.0) * self._rate)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._max:
            self._buckets.popitem(last=False)
        return allowed


@dataclass(slots=True)
class Tally:
    """Requests counted: by status and method, and how long they took. Plain numbers, so that processes can add up."""

    calls: dict[tuple[str, str], int] = field(default_factory=dict)  # status, method
    slots: dict[str, list[int]] = field(
        default_factory=dict
    )  # method -> how many in each slot of DURATIONS_S, and beyond
    seconds: dict[str, float] = field(default_factory=dict)  # method -> sum

    def add(self, status: int, method: str, took_s: float | None) -> None:
        """Count one request, and how long it took."""
        name = method.lower() if method.lower() in METHODS else "unknown"
        key = (str(status), name)
        self.calls[key] = self.calls.get(key, 0) + 1
        if took_s is None:
            return
        counts = self.slots.setdefault(name, [0] * (len(DURATIONS_S) + 1))
        counts[next((place for place, bound in enumerate(DURATIONS_S) if took_s <= bound), len(DURATIONS_S))] += 1
        self.seconds[name] = self.seconds.get(name, 0.0) + took_s

    def merge(self, other: "Tally") -> None:
        """Add another process's numbers."""
        for key, count in other.calls.items():
            self.calls[key] = self.calls.get(key, 0) + count
        for name, counts in other.slots.items():
            mine = self.slots.setdefault(name, [0] * len(counts))
            self.slots[name] = [a + b for a, b in zip(mine, counts, strict=True)]
        for name, took_s in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + took_s


class Limiter(Protocol):
    """Who may ask now."""

    def allows(self, client: str, now: float, /) -> bool:
        """Count a request of `client`; False when it is one too many."""
        ...


class LogSink(Protocol):
    """Where lines of the access log go; must not block for long."""

    def write(self, text: str, /) -> object:
        """Take one line, its newline included."""
        ...


class Watch:
    """Limits, logs and counts for one HTTP port.

    limiter        None: no limit
    access_log     None or "": no log; "-": standard output; another text: the path of a file to append to
    trusts_proxy   callers of this machine name the real client in X-Real-IP or X-Forwarded-For
    """

    def __init__(
        self,
        *,
        limiter: Limiter | None = None,
        access_log: LogSink | str | None = None,
        trusts_proxy: Callable[[str], bool] = lambda address: address in ("127.0.0.1", "::1", ""),
    ) -> None:
        self.tally = Tally()
        self.in_flight = 0
        self._limiter = limiter
        self._log_path = access_log if isinstance(access_log, str) and access_log != "-" else ""
        self._log = open_access_log(access_log) if isinstance(access_log, str) else access_log
        self._trusts_proxy = trusts_proxy

    def refusal(self, request: BaseRequest, now: float) -> Answer | None:
        """The answer to a client that asks too often; None for all others."""
        if self._limiter is None or self._limiter.allows(network_of(self.client(request)), now):
            return None
        return TOO_MANY

    def client(self, request: BaseRequest) -> str:
        """The address of who asks; a proxy on this machine is believed about it."""
        address = request.remote or ""
        if not self._trusts_proxy(address):
            return address
        named = request.headers.get("X-Real-IP") or request.headers.get("X-Forwarded-For", "").rpartition(",")[2]
        return named.strip()[:64] or address

    def finished(
        self, request: BaseRequest, status: int, size: int, began: float, now: float, *, timed: bool = True
    ) -> None:
        """Count a request and write it down; a stream is not `timed`: how long it lasts is its reader's choice."""
        self.tally.add(status, request.method, max(now - began, 0.0) if timed else None)
        if self._log is not None:
            try:
                self._log.write(combined(self.client(request), request, status, size, began))
            except OSError as error:  # a full disk is no reason to leave the request unanswered
                log.warning("cannot write the access log: %s", error)

    def reopen(self) -> None:
        """Begin the access log's file anew, after it was moved away (SIGHUP, for logrotate)."""
        if self._log_path:
            fresh = open_access_log(self._log_path)
            self.close()
            self._log = fresh

    def close(self) -> None:
        """Close the access log's file."""
        if isinstance(self._log, io.TextIOBase) and self._log is not sys.stdout:
            self._log.close()


def open_access_log(where: str) -> TextIO | None:
    """The access log: a file to append to, "-" for standard output, "" for none. A line is one write."""
    if where in ("", "-"):
        return sys.stdout if where else None
    try:
        return Path(where).open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadSetting(
            f"cannot write the access log {where}: {error.strerror}",
            hint="check the folder and who may write there; `-` is standard output",
        ) from error


def new_watch(
    *, rate_per_s: float, burst: float, access_log: str, counted: bool = False, limiter: Limiter | None = None
) -> Watch | None:
    """The watch that an operator's flags ask for, None where they ask for nothing.

    burst     0: twice the rate
    counted   somebody reads the tally
    limiter   instead of one for this port alone
    raises    BadSetting when the access log cannot be written
    """
    if limiter is None and rate_per_s:
        limiter = RateLimiter(rate_per_s, max(burst or 2 * rate_per_s, 1.0))
    return Watch(limiter=limiter, access_log=access_log) if limiter or access_log or counted else None


def combined(client: str, request: BaseRequest, status: int, size: int, at_unix_s: float) -> str:
    """One line in the combined form. What the client wrote is quoted so that it stays one field of one line."""
    when = datetime.fromtimestamp(at_unix_s, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    version = f"HTTP/{request.version.major}.{request.version.minor}"
    line = _quoted(f"{request.method} {request.raw_path} {version}")
    referer, agent = (_quoted(request.headers.get(name, "-")) for name in ("Referer", "User-Agent"))
    return f"{_bare(client)} - - [{when}] {line} {status} {size or '-'} {referer} {agent}\n"


def _quoted(text: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' and ord(c) < 127 else _escape(c) for c in text) + '"'


def _escape(character: str) -> str:
    return (
        "\\" + character
        if character in '"\\'
        else "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "replace"))
    )


def _bare(text: str) -> str:
    return "".join(c for c in text if c.isalnum() or c in ".:-_%[]") or "-"
