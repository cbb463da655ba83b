"""The v2 routes: chains by hash or by beacon id, pages of rounds, streams of events, signers, and a second opinion.

Plain functions as the v1 routes are. Every route and how long its answer may be cached: docs/reference/http.md.
Source of the shapes: drand/http-relay, routes.go; `rounds?from=`, `check`, `signers` and `events` are ours.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import parse_qsl

from collective.errors import CollectiveError
from drand.errors import InvalidBeacon
from drand.model.chain import MAX_ROUND, Beacon, Round
from drand.model.verification import ChainVerifier
from drand.net.http_chain import (
    CHECKED_ROUNDS,
    FETCH_S,
    IMMUTABLE,
    JSON_HEADERS,
    RENDERED_PAGES,
    Events,
    Gather,
    Hold,
    ServedChain,
    remember,
)
from drand.net.http_content import Answer, Headers, Request, http_date, names_tag, serve_content
from drand.wire.http_json import beacon_v2_json, chain_info_v2_json, chains_json, health_json, names_json

PAGE_ROUNDS = 1000  # a page is [1000 k, 1000 k + 999]; the first one begins at round 1
CHECKS_A_SECOND = 50  # verifications at request, of all chains together; a BLS pairing costs a millisecond
MAX_QUERY_FIELDS = 8
HASH_DIGITS = 64

_NO_CACHE = ("Cache-Control", "no-cache")
_SHORT = ("Cache-Control", "public, max-age=300")
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_DECIMAL = re.compile(r"[0-9]{1,20}", re.ASCII)
_EXPOSED = ("Access-Control-Expose-Headers", "ETag, Link, Retry-After")
_HEADERS: Headers = (*JSON_HEADERS, _EXPOSED)
_LINES: Headers = tuple(
    ("Content-Type", "application/x-ndjson") if name == "Content-Type" else (name, value) for name, value in _HEADERS
)
_MAY: Headers = (
    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
    ("Access-Control-Allow-Headers", "Accept, If-None-Match, If-Modified-Since, Last-Event-ID, Range"),
    ("Access-Control-Max-Age", "86400"),
)

Outcome: TypeAlias = Answer | Hold | Gather | Events
_Serve: TypeAlias = Callable[[ServedChain, Request, float], Outcome]


def failed(status: int, why: str, *more: tuple[str, str]) -> Answer:
    """An error in JSON: {"error": why}. Never cached unless `more` says so."""
    caching = () if any(name == "Cache-Control" for name, _ in more) else (_NO_CACHE,)
    return Answer(status, (*_HEADERS, *caching, *more), json.dumps({"error": why}).encode() + b"\n")


NO_ROUTE = failed(404, "there is no such route; they are listed in the documentation of the HTTP API")
NO_METHOD = failed(405, "only GET and HEAD", ("Allow", "GET, HEAD, OPTIONS"))
PREFLIGHT = Answer(204, (*(pair for pair in _HEADERS if pair[0] != "Content-Type"), *_MAY))
BAD_HASH = failed(400, f"a chain hash has {HASH_DIGITS} hexadecimal digits")
BAD_ROUND = failed(400, "a round is a decimal number of at most 64 bits, `latest` or `next`")
BACKEND_FAILED = failed(500, "the store does not answer")
NOT_IN_TIME = failed(504, "the round was not made in time", ("Retry-After", "1"))
# Clients that subtract one from round 0 ask for this one, millions of times an hour; every cache may know the answer.
NEVER = failed(404, "this round never comes: 0 - 1 is no round", IMMUTABLE)


class V2Routes:
    """The routes over chains that somebody else registers and removes.

    chains   by chain hash, 64 lower-case hexadecimal digits
    named    by canonical beacon id
    """

    def __init__(self, chains: dict[str, ServedChain], named: dict[str, ServedChain]) -> None:
        self._chains = chains
        self._named = named
        self._checks = (0, 0)  # second, verifications in it

    def answer(self, path: Sequence[str], request: Request, now: float) -> Outcome:
        """The answer for the parts of a path after /v2. Never raises for a bad request."""
        if not request.reads:
            return PREFLIGHT if request.method == "OPTIONS" else NO_METHOD
        match path:
            case ["chains"]:
                hashes = (bytes.fromhex(chain_hash) for chain_hash in sorted(self._chains))
                return Answer(200, (*_HEADERS, _SHORT), chains_json(hashes))
            case ["beacons"]:
                return Answer(200, (*_HEADERS, _SHORT), names_json(sorted(self._named)))
            case ["chains", chain_hash, *rest]:
                if _HEX.fullmatch(chain_hash) is None:
                    return BAD_HASH
                return self._on_chain(self._chains.get(chain_hash.lower()), rest, request, now)
            case ["beacons", beacon_id, *rest]:
                return self._on_chain(self._named.get(beacon_id), rest, request, now)
        return NO_ROUTE

    def _on_chain(self, chain: ServedChain | None, path: Sequence[str], request: Request, now: float) -> Outcome:
        serve = self._serving(path)
        if serve is None:
            return NO_ROUTE
        if chain is None:
            return failed(404, "this chain is not served here; /v2/chains and /v2/beacons list those that are")
        try:
            return serve(chain, request, now)
        except CollectiveError:
            return BACKEND_FAILED

    def _serving(self, path: Sequence[str]) -> _Serve | None:
        match path:
            case ["rounds", "latest"]:
                return _latest
            case ["rounds", "next"]:
                return _next
            case ["rounds", text]:
                return lambda chain, request, now: _numbered(text, chain, request, now)
            case ["rounds", text, "check"]:
                return lambda chain, request, now: self._check(text, chain, request, now)
            case ["rounds"]:
                return _page
            case ["info"]:
                return _info
            case ["health"]:
                return _health
            case ["events"]:
                return _events
            case ["signers"]:
                return _signers
        return None

    def _check(self, text: str, chain: ServedChain, request: Request, now: float) -> Answer:
        """Verify a stored round again, from its bytes, and say what was verified."""
        round_ = _round_number(text)
        if round_ is None or round_ == 0:
            return BAD_ROUND
        body = chain.verdicts.get(round_)
        if body is None:
            beacon = chain.backend.get(Round(round_))
            if beacon is None:
                return _missing(chain, Round(round_), now)
            second, count = self._checks
            if second == int(now) and count >= CHECKS_A_SECOND:
                return failed(503, "too many verifications at once", ("Retry-After", "1"))
            self._checks = (int(now), count + 1 if second == int(now) else 1)
            body = _verdict(chain, beacon)
            remember(chain.verdicts, round_, body, CHECKED_ROUNDS)
        return Answer(200, (*_HEADERS, _SHORT), body)


# ---------------------------------------------------------------- one round


def _numbered(text: str, chain: ServedChain, request: Request, now: float) -> Outcome:
    round_ = _round_number(text)
    if round_ is None:
        return BAD_ROUND
    if round_ == MAX_ROUND:
        return NEVER
    return _one(chain, Round(round_), request, now) if round_ else _latest(chain, request, now)


def _one(chain: ServedChain, round_: Round, request: Request, now: float) -> Outcome:
    found = chain.stored_body_v2(round_)
    if found is not None:
        return _found(chain, request, round_, found, now)
    coming, _ = chain.schedule.next_round(now)
    last = chain.backend.last()
    if round_ == coming or chain.is_coming(round_, last, now):
        return Hold(chain, round_, chain.patience(round_, now), _released, NOT_IN_TIME)
    if last is not None and round_ < last.round and chain.backend.fetches:
        return Hold(chain, round_, now + FETCH_S, _released, NOT_IN_TIME)
    return _missing(chain, round_, now)


def _next(chain: ServedChain, request: Request, now: float) -> Outcome:
    """Held until the round after the last stored one is there."""
    last = chain.backend.last()
    round_ = chain.schedule.next_round(now)[0] if last is None else Round(last.round + 1)
    return Hold(chain, round_, chain.patience(round_, now), _released_once, NOT_IN_TIME)


def _latest(chain: ServedChain, request: Request, now: float) -> Answer:
    """Good until the next round is due; when that is overdue it must be asked for again."""
    last = chain.backend.last()
    if last is None or last.round == 0:
        if now < chain.schedule.genesis_unix_s:
            return failed(404, "no round was made yet")
        return failed(503, "no round is here yet", ("Retry-After", "1"))
    body, etag = chain.body_v2(last)
    left_s = int(chain.schedule.due_unix_s(last.round + 1) - now)
    caching = ("Cache-Control", f"public, max-age={left_s}, must-revalidate") if left_s > 0 else _NO_CACHE
    return serve_content(request, Answer(200, (*_HEADERS, caching), body), chain.schedule.due_unix_s(last.round), etag)


def _found(chain: ServedChain, request: Request, round_: Round, found: tuple[bytes, str], now: float) -> Answer:
    body, etag = found
    return serve_content(request, Answer(200, (*_HEADERS, IMMUTABLE), body), chain.schedule.due_unix_s(round_), etag)


def _released(chain: ServedChain, request: Request, beacon: Beacon, now: float) -> Answer:
    return _found(chain, request, beacon.round, chain.body_v2(beacon), now)


def _released_once(chain: ServedChain, request: Request, beacon: Beacon, now: float) -> Answer:
    return Answer(200, (*_HEADERS, ("Cache-Control", "no-store")), chain.body_v2(beacon)[0])


def _missing(chain: ServedChain, round_: Round, now: float) -> Answer:
    """425 before a round's time, 404 after it."""
    due = chain.schedule.due_unix_s(round_)
    if due <= now:
        return failed(404, f"round {round_} is not stored here")
    return failed(425, f"round {round_} is due in {int(due - now) + 1} s", ("Retry-After", str(int(due - now) + 1)))


def _round_number(text: str) -> int | None:
    """A decimal number of at most 64 bits."""
    round_ = int(text) if _DECIMAL.fullmatch(text) else MAX_ROUND + 1
    return round_ if round_ <= MAX_ROUND else None


# ---------------------------------------------------------------- many rounds


def _page(chain: ServedChain, request: Request, now: float) -> Outcome:
    """Rounds `from` to `to`, one JSON object a line, at most to the end of the page that `from` is in.

    Where some are not stored and can be fetched, those of the first FETCHED_ROUNDS are.
    """
    wanted = _query(request.query)
    if wanted is None or (first := _round_number(wanted.get("from", "1"))) is None:
        return failed(400, "`from` and `to` are decimal round numbers")
    first = max(first, 1)
    page_end = first - first % PAGE_ROUNDS + PAGE_ROUNDS - 1
    asked = _round_number(wanted["to"]) if "to" in wanted else page_end
    if asked is None or asked < first:
        return failed(400, "`to` is a decimal round number, not below `from`")
    last = chain.backend.last()
    head = 0 if last is None else int(last.round)
    if first > head:
        return _missing(chain, Round(first), now)
    span = _Span(first, min(page_end, asked), page_end, head)
    body = _lines(chain, first, span.there)
    if body is not None:
        return _paged(chain, request, span, span.there, body)
    missing = failed(404, f"rounds {first} to {span.there} are not all stored here")
    if not chain.backend.fetches:
        return missing
    return Gather(
        chain, Round(first), Round(span.there), now + FETCH_S, lambda *found: _gathered(chain, span, *found), missing
    )


@dataclass(frozen=True, slots=True)
class _Span:
    """What a request for many rounds can get."""

    first: int
    end: int  # asked for, within the page
    page_end: int
    head: int

    @property
    def there(self) -> int:
        """The last one that exists."""
        return min(self.end, self.head)


def _gathered(chain: ServedChain, span: _Span, request: Request, beacons: Sequence[Beacon]) -> Answer:
    return _paged(chain, request, span, beacons[-1].round, _joined(chain, beacons))


def _paged(chain: ServedChain, request: Request, span: _Span, reached: int, body: bytes) -> Answer:
    """Rounds up to `reached`. An answer that holds all that was asked for never changes once its page is complete.

    `Link: rel="next"` names what is left of the page, else the whole next page, the same for everybody, so that caches
    share it: a reader stops at the `to` that it has in mind.
    """
    link: Headers = ()
    if reached < span.there:
        link = (("Link", f'<?from={reached + 1}&to={span.page_end}>; rel="next"'),)
    elif span.head > span.page_end:
        link = (("Link", f'<?from={span.page_end + 1}&to={span.page_end + PAGE_ROUNDS}>; rel="next"'),)
    caching = IMMUTABLE if reached == span.end and span.head > span.page_end else _NO_CACHE  # before, Link is to come
    found = Answer(200, (*_LINES, caching, *link), body)
    return serve_content(request, found, chain.schedule.due_unix_s(reached), f'"{span.first}-{reached}"')


def _joined(chain: ServedChain, beacons: Sequence[Beacon]) -> bytes:
    """The rounds as lines. Whole pages are kept."""
    body = b"".join(beacon_v2_json(beacon) + b"\n" for beacon in beacons)
    place = (int(beacons[0].round), int(beacons[-1].round))
    if place[1] % PAGE_ROUNDS == PAGE_ROUNDS - 1 and place not in chain.pages:
        remember(chain.pages, place, body, RENDERED_PAGES)
    return body


def _lines(chain: ServedChain, first: int, end: int) -> bytes | None:
    """The rounds as lines; None when one is missing."""
    body = chain.pages.get((first, end))
    if body is None:
        beacons = chain.backend.range(Round(first), end - first + 1)
        if len(beacons) != end - first + 1:
            return None
        body = _joined(chain, beacons)
    return body


def _query(text: str) -> dict[str, str] | None:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS))
    except ValueError:
        return None


def _events(chain: ServedChain, request: Request, _now: float) -> Events | Answer:
    """From the round after Last-Event-ID, else from `from`, else only new rounds."""
    seen = request.header("last-event-id")
    wanted = _query(request.query) or {}
    text = str(int(seen) + 1) if seen is not None and _DECIMAL.fullmatch(seen) else wanted.get("from")
    first = _round_number(text) if text is not None else None
    if text is not None and first is None:
        return failed(400, "`from` is a decimal round number")
    return Events(chain, None if first is None else Round(max(first, 1)))


# ---------------------------------------------------------------- about the chain


def _info(chain: ServedChain, request: Request, _now: float) -> Answer:
    found = Answer(200, (*_HEADERS, _SHORT), chain_info_v2_json(chain.info))
    return serve_content(request, found, chain.schedule.genesis_unix_s, f'"{chain.hash_hex[:16]}"')


def _health(chain: ServedChain, _request: Request, now: float) -> Answer:
    """200 when at most one round is missing, else 503."""
    last = chain.backend.last()
    current = last.round if last is not None else 0
    expected = chain.schedule.current_round(now)
    status = 200 if expected - current in (0, 1) else 503
    return Answer(status, (*_HEADERS, _NO_CACHE), health_json(current, expected))


def _signers(chain: ServedChain, request: Request, _now: float) -> Answer:
    known = chain.backend.contributions()
    if known is None:
        return failed(404, "who signed is known to the nodes of the network only", _SHORT)
    body = {
        "threshold": known.threshold,
        "members": [{"index": index, "address": address} for index, address in known.members],
        "rounds": [{"round": round_, "signers": list(signers)} for round_, signers in known.rounds],
    }
    answer = Answer(200, (*_HEADERS, _NO_CACHE), json.dumps(body, separators=(",", ":")).encode())
    etag = f'"{known.rounds[-1][0]}"' if known.rounds else '"none"'
    if names_tag(request.header("if-none-match") or "", etag, weakly=True):
        return Answer(304, (*answer.headers, ("ETag", etag)))
    return replace(answer, headers=(*answer.headers, ("ETag", etag)))


def _verdict(chain: ServedChain, beacon: Beacon) -> bytes:
    """What was verified, and how it went. The digest is what the group signed."""
    info = chain.info
    if chain.verifier is None:
        chain.verifier = ChainVerifier(info.scheme, info.public_key)
    why = ""
    try:
        chain.verifier.check(beacon)
    except InvalidBeacon as error:
        why = str(error)
    verdict = {
        "round": beacon.round,
        "valid": not why,
        **({"error": why} if why else {}),
        "due": http_date(chain.schedule.due_unix_s(beacon.round)),
        "scheme": info.scheme.name,
        "public_key": info.public_key.hex(),
        "digest": info.scheme.digest(beacon.round, beacon.previous_signature).hex(),
        "signature": beacon.signature.hex(),
        **({"previous_signature": beacon.previous_signature.hex()} if beacon.previous_signature else {}),
        "randomness": beacon.randomness.hex(),
    }
    return json.dumps(verdict, separators=(",", ":")).encode()
