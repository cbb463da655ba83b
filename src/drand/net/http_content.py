"""Serving one immutable body with conditional requests and ranges, and the dates that go with it.

Source: RFC 9110, sections 13 and 14; the choices left open follow Go's net/http, ServeContent, which v1.5.11 uses.
"""

import re
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

Headers = tuple[tuple[str, str], ...]

LAST_HTTP_SECOND = 253_402_300_799  # 9999-12-31 23:59:59: no four-digit year comes after it
_ONE_RANGE = re.compile(r"^bytes=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """What the routes look at. Names of `headers` are lower-case: CONDITIONAL_HEADERS; outside v1 OTHER_HEADERS too."""

    method: str
    path: str  # as sent, without the query
    headers: Headers = ()
    query: str = ""  # as sent, without the question mark; the v1 routes ignore it

    @property
    def reads(self) -> bool:
        """GET or HEAD: the methods for which conditions and ranges count."""
        return self.method in ("GET", "HEAD")

    def header(self, name: str) -> str | None:
        """The value of a header, None when it was not sent."""
        return next((value for key, value in self.headers if key == name), None)


CONDITIONAL_HEADERS = ("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range")
OTHER_HEADERS = ("accept", "last-event-id")


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response; the shell adds Date and Content-Length."""

    status: int
    headers: Headers
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The value of a header, None when it is not set."""
        return next((value for key, value in self.headers if key == name), None)


@lru_cache(maxsize=1024)
def http_date(unix_s: int) -> str:
    """A time as HTTP writes it, always GMT.

    >>> http_date(0)
    'Thu, 01 Jan 1970 00:00:00 GMT'
    """
    return formatdate(min(max(unix_s, 0), LAST_HTTP_SECOND), usegmt=True)


def parse_http_date(text: str | None) -> int | None:
    """Unix seconds of an HTTP date; None when absent or not a date (RFC 9110: then the condition is ignored)."""
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def serve_content(request: Request, found: Answer, modified_unix_s: int, etag: str = "") -> Answer:
    """`found` (a 200), or what a condition or a range of the request makes of it: 206, 304, 412, 416.

    etag   the strong entity tag of the body with its quotes; "" (v1): there is none, and only "*" matches
    Several ranges at once are answered with the whole body, as RFC 9110 allows.
    """
    tag: Headers = (("ETag", etag),) if etag else ()
    headers = (*found.headers, ("Accept-Ranges", "bytes"), _last_modified(modified_unix_s), *tag)
    whole = Answer(found.status, headers, found.body)
    if not request.headers or not request.reads:
        return whole
    if _precondition_failed(request, modified_unix_s, etag):
        return Answer(412, _without_type(whole.headers))
    if _unchanged(request, modified_unix_s, etag):
        return Answer(304, tuple(pair for pair in _without_type(whole.headers) if pair[0] != "Accept-Ranges"))
    wanted = request.header("range")
    # RFC 9110, 14.2: only GET has ranges, and a unit that is not known is as if not sent. Go answers 206 and 416.
    if wanted is None or request.method != "GET" or not wanted.startswith("bytes="):
        return whole
    if not _range_applies(request, modified_unix_s, etag):
        return whole
    return _ranged(whole, wanted)


def names_tag(condition: str, etag: str, *, weakly: bool) -> bool:
    """Whether an If-Match or If-None-Match list is "*" or names `etag`; `weakly`: W/"x" counts as "x"."""
    if condition.strip() == "*":
        return True
    named = (one.strip() for one in condition.split(","))
    return bool(etag) and etag in ((one.removeprefix("W/") for one in named) if weakly else named)


def _last_modified(unix_s: int) -> tuple[str, str]:
    return ("Last-Modified", http_date(unix_s))


def _without_type(headers: Headers) -> Headers:
    return tuple(pair for pair in headers if pair[0] != "Content-Type")


def _precondition_failed(request: Request, modified_unix_s: int, etag: str) -> bool:
    match = request.header("if-match")
    if match is not None:
        return not names_tag(match, etag, weakly=False)
    unmodified = parse_http_date(request.header("if-unmodified-since"))
    return unmodified is not None and modified_unix_s > unmodified


def _unchanged(request: Request, modified_unix_s: int, etag: str) -> bool:
    none_match = request.header("if-none-match")
    if none_match is not None:
        return names_tag(none_match, etag, weakly=True)
    since = parse_http_date(request.header("if-modified-since"))
    return since is not None and modified_unix_s <= since


def _range_applies(request: Request, modified_unix_s: int, etag: str) -> bool:
    condition = request.header("if-range")
    if condition is None or (etag and condition.strip() == etag):
        return True
    return parse_http_date(condition) == modified_unix_s


def _ranged(whole: Answer, wanted: str) -> Answer:
    size = len(whole.body)
    if "," in wanted:
        return whole
    matched = _ONE_RANGE.match(wanted)
    if matched is None or matched.groups() == ("", ""):
        return _unsatisfiable("invalid range", whole, size)
    first, last = matched.groups()
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return _unsatisfiable("invalid range", whole, size)
    else:
        start, end = max(size - int(last), 0), size - 1
    if start >= size:
        return _unsatisfiable("invalid range: failed to overlap", whole, size)
    headers = (*whole.headers, ("Content-Range", f"bytes {start}-{end}/{size}"))
    return Answer(206, headers, whole.body[start : end + 1])


def _unsatisfiable(why: str, whole: Answer, size: int) -> Answer:
    kept = tuple(pair for pair in whole.headers if pair[0] in ("Server", "Access-Control-Allow-Origin"))
    return Answer(416, (*kept, *PLAIN_TEXT, ("Content-Range", f"bytes */{size}")), f"{why}\n".encode())


PLAIN_TEXT: Headers = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
