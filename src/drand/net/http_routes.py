"""The public HTTP API as plain functions: a request and a time in, an answer out, or "hold until round r".

No socket, no loop, no clock: the daemon's server and a relay serve the same code, and tests read as a table.
Source: drand v1.5.11, http/server.go; what is mended here: `max-age=` instead of `max-age:`, dates in real GMT,
`/health` right from the start, a held round never answered with an empty cached 200, no pointers in error texts.
"""

import re
from math import ceil
from typing import Protocol

from collective.errors import CollectiveError
from drand.model.chain import MAX_ROUND, Beacon, Round, canonical_beacon_id
from drand.net.http_chain import (
    FETCH_S,
    IMMUTABLE,
    JSON_HEADERS,
    NOT_YET,
    RENDERED_ROUNDS,
    SERVER,
    WEEK_S,
    ChainBackend,
    Events,
    Gather,
    Hold,
    ServedChain,
    served,
)
from drand.net.http_content import PLAIN_TEXT, Answer, Headers, Request, http_date, serve_content
from drand.net.http_page import page
from drand.net.http_v2 import V2Routes
from drand.wire.http_json import chains_json, health_json

LONGEST_GO_DURATION_S = 9_223_372_036  # int64 nanoseconds: the most that v1.5.11 can say in max-age
MOST_TOLD = 256  # answers kept for the rest of a second, under a kilobyte each

_ORIGIN: Headers = (("Server", SERVER), ("Access-Control-Allow-Origin", "*"))
_COMMON = JSON_HEADERS
_IMMUTABLE = IMMUTABLE
_DECIMAL = re.compile(r"[0-9]+", re.ASCII)
_HEX_BYTES = frozenset(b"0123456789abcdefABCDEF")

NOT_FOUND = Answer(404, PLAIN_TEXT, b"404 page not found\n")
NOT_FOR_PROGRAMS = Answer(404, (*NOT_FOUND.headers, ("Vary", "Accept")), NOT_FOUND.body)  # browsers get the page
BAD_ROUND = Answer(400, _COMMON)
BACKEND_FAILED = Answer(500, _COMMON)

__all__ = ["BACKEND_FAILED", "NOT_YET", "RENDERED_ROUNDS", "ChainBackend", "Hold", "HttpRoutes"]


class _Refused(Exception):
    """A path that cannot be served; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class HttpRoutes:
    """The chains that are served, and the routes over them."""

    def __init__(self) -> None:
        self._chains: dict[str, ServedChain] = {}
        self._named: dict[str, ServedChain] = {}  # by canonical beacon id
        self._default: ServedChain | None = None
        self._v2 = V2Routes(self._chains, self._named)
        self._second = 0  # in which the rounds of `_told` were asked for, without conditions
        self._told: dict[str, Answer] = {}  # by path

    @property
    def chains(self) -> tuple[ServedChain, ...]:
        """What is served."""
        return tuple(self._chains.values())

    def register(self, backend: ChainBackend, *, default: bool = False) -> None:
        """Serve a chain under its hash, and without a hash when it is the default one. Replaces an earlier one."""
        chain = served(backend)
        self._chains[chain.hash_hex] = chain
        self._named[canonical_beacon_id(chain.info.beacon_id)] = chain
        if default:
            self._default = chain
        self._told.clear()

    def remove(self, chain_hash: bytes) -> None:
        """Stop serving a chain; nothing happens when it is not served."""
        gone = self._chains.pop(chain_hash.hex(), None)
        self._told.clear()
        if gone is None:
            return
        for name in [name for name, chain in self._named.items() if chain is gone]:
            del self._named[name]
        if gone is self._default:
            self._default = None

    def answer(self, request: Request, now: float) -> Answer | Hold | Gather | Events:
        """The answer at unix time `now`, or what the request waits for. Never raises for a bad request."""
        if not request.headers and int(now) == self._second and (told := self._told.get(request.path)) is not None:
            return told
        match request.path.split("/")[1:]:
            case ["v2", *rest]:
                return self._v2.answer(rest, request, now)
            case [""]:
                return page(request) or NOT_FOR_PROGRAMS
            case ["page", _]:
                return page(request) or NOT_FOUND
            case ["public", "latest"]:
                return self._on_chain(None, request, now, _latest)
            case ["public", round_] if round_:
                return self._public_round(None, round_, request, now)
            case ["info"]:
                return self._info(None, request, now)
            case ["health"]:
                return self._on_chain(None, request, now, _health)
            case ["chains"]:
                return self._list()
            # The empty chain of `//info` is the default one, as in Go: "https://host/" + "/info" is often written.
            case [chain, "public", "latest"]:
                return self._on_chain(chain or None, request, now, _latest)
            case [chain, "public", round_] if round_:
                return self._public_round(chain or None, round_, request, now)
            case [chain, "info"]:
                return self._info(chain or None, request, now)
            case [chain, "health"]:
                return self._on_chain(chain or None, request, now, _health)
        return NOT_FOUND

    def _chain(self, named: str | None) -> ServedChain:
        if named is None:
            if self._default is None:
                raise _Refused(self._unknown("default"))
            return self._default
        chain = self._chains.get(named)
        if chain is not None:  # the usual case: known, in lower case
            return chain
        chain_hash = _decoded_hash(named)
        chain = self._chains.get(chain_hash)
        if chain is None:
            raise _Refused(self._unknown(chain_hash))
        return chain

    def _unknown(self, chain_hash: str) -> Answer:
        known = " ".join(sorted(self._chains))
        return _text(
            404,
            f"there is no BeaconHandler for beaconHash [{chain_hash}] in our beacons [map[{known}]]. "
            "Is the chain hash correct?. Please check it",
        )

    def _on_chain(self, named: str | None, request: Request, now: float, serve: "_Serve") -> Answer | Hold:
        try:
            return serve(self._chain(named), request, now)
        except _Refused as refused:
            return refused.answer
        except CollectiveError:
            return BACKEND_FAILED

    def _public_round(self, named: str | None, text: str, request: Request, now: float) -> Answer | Hold:
        round_ = int(text) if len(text) <= 64 and _DECIMAL.fullmatch(text) else MAX_ROUND + 1
        if round_ > MAX_ROUND:
            return BAD_ROUND
        if round_ == 0:
            return self._on_chain(named, request, now, _latest)
        answer = self._on_chain(named, request, now, lambda chain, ask, at: _round(chain, Round(round_), ask, at))
        if isinstance(answer, Answer) and answer.status == 200 and not request.headers:
            self._tell_again(request.path, answer, int(now))
        return answer

    def _tell_again(self, path: str, answer: Answer, second: int) -> None:
        """Answer the same for the rest of this second: a stored round does not change, only the dates do."""
        if second != self._second or len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._second = second
        self._told[path] = answer

    def _info(self, named: str | None, request: Request, now: float) -> Answer:
        try:
            chain = self._chain(named)
        except _Refused as refused:
            return _text(404, "group not found") if refused.answer.status == 404 else refused.answer
        found = Answer(200, (*_COMMON, _IMMUTABLE, _in_a_week(now)), chain.info_body)
        return serve_content(request, found, chain.schedule.genesis_unix_s)

    def _list(self) -> Answer:
        body = chains_json(bytes.fromhex(chain_hash) for chain_hash in sorted(self._chains))
        return Answer(200, (*_COMMON, ("Cache-Control", "max-age=300")), body)


class _Serve(Protocol):
    def __call__(self, chain: ServedChain, request: Request, now: float, /) -> Answer | Hold: ...


def _round(chain: ServedChain, round_: Round, request: Request, now: float) -> Answer | Hold:
    body = chain.stored_body(round_)
    if body is not None:
        return _found(chain, request, round_, body, now)
    period_s = chain.schedule.period_s
    due = chain.schedule.due_unix_s(round_)
    if due > now + period_s:
        wait_s = min(int(due - now), LONGEST_GO_DURATION_S)
        return Answer(404, (*_COMMON, ("Cache-Control", f"public, must-revalidate, max-age={wait_s}")))
    last = chain.backend.last()
    if chain.is_coming(round_, last, now):
        return Hold(chain, round_, chain.patience(round_, now), _released)
    if last is not None and round_ < last.round and chain.backend.fetches:
        return Hold(chain, round_, now + FETCH_S, _released)
    return NOT_YET


def _found(chain: ServedChain, request: Request, round_: Round, body: bytes, now: float) -> Answer:
    found = Answer(200, (*_COMMON, _IMMUTABLE, _in_a_week(now)), body)
    return serve_content(request, found, chain.schedule.due_unix_s(round_))


def _released(chain: ServedChain, request: Request, beacon: Beacon, now: float) -> Answer:
    return _found(chain, request, beacon.round, chain.body(beacon), now)


def _latest(chain: ServedChain, _request: Request, now: float) -> Answer:
    last = chain.backend.last()
    if last is None:
        return BACKEND_FAILED
    if last.round == 0:  # the genesis seed is known to everybody: it is no randomness
        return NOT_YET
    coming = float(chain.schedule.due_unix_s(last.round + 1))
    if coming <= now:  # halted or catching up: look again in half a period
        return _latest_until(chain, last, now + chain.schedule.period_s / 2, now)
    if coming - now >= chain.schedule.period_s:  # early, by this clock
        return _latest_until(chain, last, coming, now)
    moment = (int(last.round), ceil(coming - now))  # the answer is the same for a second
    if chain.latest is None or chain.latest[0] != moment:
        chain.latest = moment, _latest_until(chain, last, coming, now)
    return chain.latest[1]


def _latest_until(chain: ServedChain, last: Beacon, coming: float, now: float) -> Answer:
    """The last beacon, to be kept until `coming`."""
    caching: Headers = ()
    if coming - now < chain.schedule.period_s:
        caching = (("Cache-Control", f"max-age={ceil(coming - now)}, public"),)
    dates = (
        ("Expires", http_date(int(coming))),
        ("Last-Modified", http_date(chain.schedule.due_unix_s(last.round))),
    )
    return Answer(200, (*_COMMON, *caching, *dates), chain.body(last))


def _health(chain: ServedChain, _request: Request, now: float) -> Answer:
    last = chain.backend.last()
    current = last.round if last is not None else 0
    expected = chain.schedule.current_round(now)
    status = 200 if expected - current in (0, 1) else 503
    return Answer(status, (*_COMMON, ("Cache-Control", "no-cache")), health_json(current, expected))


def _in_a_week(now: float) -> tuple[str, str]:
    return ("Expires", http_date(int(now) + WEEK_S))


def _text(status: int, text: str) -> Answer:
    return Answer(status, (*_ORIGIN, *PLAIN_TEXT), f"{text}\n".encode())


def _decoded_hash(named: str) -> str:
    """The chain hash of a path in lower-case hex; raises _Refused with the words of Go's hex decoder."""
    raw = named.encode()
    for byte in raw:
        if byte not in _HEX_BYTES:
            shown = f"U+{byte:04X}" + (f" '{chr(byte)}'" if chr(byte).isprintable() else "")
            raise _Refused(_text(400, f"unable to decode chain hash {named}: encoding/hex: invalid byte: {shown}"))
    if len(raw) % 2:
        raise _Refused(_text(400, f"unable to decode chain hash {named}: encoding/hex: odd length hex string"))
    return named.lower()
