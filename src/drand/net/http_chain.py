"""What the HTTP routes of v1 and v2 share: chains as they see them, what they can answer with, common headers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round, Schedule
from drand.model.packets import OUR_VERSION
from drand.model.verification import ChainVerifier
from drand.net.http_content import Answer, Headers, Request
from drand.wire.http_json import beacon_json, beacon_v2_json, chain_info_json

LEAST_PATIENCE_S = 5  # a chain of one second may be late by more than a period
FETCH_S = 15  # how long a request is held for a past round that is fetched
GATHERS_AT_ONCE = 16  # pages, and as many streams of events, for which rounds are fetched at the same time
FETCHED_ROUNDS = 100  # of a page, for one request, where some of it must be fetched
WEEK_S = 7 * 24 * 3600
RENDERED_ROUNDS = 4096  # bodies kept ready per chain and API, about 0.6 kB each
RENDERED_PAGES = 8  # pages of rounds kept ready per chain, up to 0.5 MB each
CHECKED_ROUNDS = 1024  # verdicts kept per chain, about 0.6 kB each

SERVER = f"drand/{OUR_VERSION} (pydrand)"
JSON_HEADERS: Headers = (("Server", SERVER), ("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*"))
IMMUTABLE = ("Cache-Control", f"public, max-age={WEEK_S}, immutable")
NOT_YET = Answer(404, (*JSON_HEADERS, ("Cache-Control", "must-revalidate, no-cache, max-age=0")))

K = TypeVar("K")
V = TypeVar("V")


class News(Protocol):
    """New beacons, one by one, as they are stored."""

    async def next(self) -> Beacon:
        """The next one; raises ReaderTooSlow (a CollectiveError) when the reader lagged too far behind."""
        ...


@dataclass(frozen=True, slots=True)
class Contributions:
    """Whose partial signatures made the last rounds, as far as this node saw.

    members   index and address of each member of the group
    rounds    round and the indices that signed it, oldest first; only rounds that this node aggregated itself
    """

    threshold: int
    members: tuple[tuple[int, str], ...]
    rounds: tuple[tuple[Round, tuple[int, ...]], ...]


class ChainBackend(Protocol):
    """One chain as the HTTP API sees it. All but `wait` answer at once, from memory or an embedded store."""

    @property
    def fetches(self) -> bool:
        """Whether `wait` also fetches past rounds that are not stored (a relay)."""
        ...

    def info(self) -> ChainInfo:
        """What clients verify with. Never changes while the chain is registered."""
        ...

    def last(self) -> Beacon | None:
        """The beacon of the highest stored round (round 0 counts); None when nothing is stored."""
        ...

    def get(self, round_: Round) -> Beacon | None:
        """One stored beacon; None when it is not stored."""
        ...

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        """At most `limit` stored beacons from round `first` on, ascending; those that are at hand."""
        ...

    async def stored(self, first: Round, limit: int) -> Sequence[Beacon]:
        """The same, given the time that it takes to verify what was not yet (a relay)."""
        ...

    async def wait(self, round_: Round) -> Beacon:
        """The beacon of `round_` as soon as it is stored, at once if it is already; cancelled when nobody waits on."""
        ...

    def subscribe(self) -> AbstractContextManager[News]:
        """Every beacon stored from now on."""
        ...

    def contributions(self) -> Contributions | None:
        """Who signed the last rounds; None where that is not known (a relay)."""
        ...


def remember(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """Put `value` into a bounded cache, oldest entry out first."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value


@dataclass(slots=True, eq=False)
class ServedChain:
    """A registered chain, with its schedule and the bodies that were rendered lately. Every cache is bounded."""

    backend: ChainBackend
    info: ChainInfo
    hash_hex: str
    schedule: Schedule
    info_body: bytes
    verifier: ChainVerifier | None = None  # made when the first verification is asked for
    rendered: dict[int, bytes] = field(default_factory=dict)
    rendered_v2: dict[int, tuple[bytes, str]] = field(default_factory=dict)  # body and entity tag
    pages: dict[tuple[int, int], bytes] = field(default_factory=dict)
    verdicts: dict[int, bytes] = field(default_factory=dict)
    latest: tuple[tuple[int, int], Answer] | None = None  # the v1 answer for (round, seconds to the next one)

    def body(self, beacon: Beacon) -> bytes:
        """The v1 JSON of a beacon."""
        body = self.rendered.get(beacon.round)
        if body is None:
            body = beacon_json(beacon)
            remember(self.rendered, int(beacon.round), body, RENDERED_ROUNDS)
        return body

    def stored_body(self, round_: Round) -> bytes | None:
        """The v1 JSON of a stored round, None when it is not stored."""
        body = self.rendered.get(round_)
        if body is None and (beacon := self.backend.get(round_)) is not None:
            body = self.body(beacon)
        return body

    def body_v2(self, beacon: Beacon) -> tuple[bytes, str]:
        """The v2 JSON of a beacon and its entity tag."""
        found = self.rendered_v2.get(beacon.round)
        if found is None:
            found = beacon_v2_json(beacon), f'"{beacon.round}-{beacon.signature[:8].hex()}"'
            remember(self.rendered_v2, int(beacon.round), found, RENDERED_ROUNDS)
        return found

    def stored_body_v2(self, round_: Round) -> tuple[bytes, str] | None:
        """The v2 JSON of a stored round and its entity tag, None when it is not stored."""
        found = self.rendered_v2.get(round_)
        if found is None and (beacon := self.backend.get(round_)) is not None:
            found = self.body_v2(beacon)
        return found

    def is_coming(self, round_: Round, last: Beacon | None, now: float) -> bool:
        """Whether `round_` is worth waiting for: due within a period, and one of the two that follow the last one.

        Two, since who asks by the clock at the moment of a round means that one, also when the one before is late.
        """
        if last is None or self.schedule.due_unix_s(round_) > now + self.schedule.period_s:
            return False
        return last.round < round_ <= last.round + 2

    def patience(self, round_: Round, now: float) -> float:
        """Until when a request is held: a period after the round is due, or after now when it is overdue."""
        return max(self.schedule.due_unix_s(round_), now) + max(self.schedule.period_s, LEAST_PATIENCE_S)


def served(backend: ChainBackend) -> ServedChain:
    """A chain made ready to be served."""
    info = backend.info()
    return ServedChain(backend, info, info.hash().hex(), info.schedule, chain_info_json(info))


@dataclass(frozen=True, slots=True)
class Hold:
    """Answer later: when `round` is stored, `released`; when `until_unix_s` passes without it, `expired`."""

    chain: ServedChain
    round: Round
    until_unix_s: float
    render: Callable[[ServedChain, Request, Beacon, float], Answer]
    expired: Answer = NOT_YET

    def released(self, request: Request, beacon: Beacon, now: float) -> Answer:
        """The answer to the held request once its beacon is there."""
        return self.render(self.chain, request, beacon, now)

    async def answer(self, request: Request, now: Callable[[], float]) -> Answer:
        """The same, once it is; raises BeaconNotFound."""
        return self.released(request, await self.chain.backend.wait(self.round), now())


@dataclass(frozen=True, slots=True)
class Gather:
    """Answer later, with the past rounds from `first` to `last`: those that are not stored are fetched."""

    chain: ServedChain
    first: Round
    last: Round
    until_unix_s: float
    render: Callable[[Request, Sequence[Beacon]], Answer]
    expired: Answer

    async def answer(self, request: Request, now: Callable[[], float]) -> Answer:
        """With the rounds up to the first one that cannot be had; raises BeaconNotFound when that is `first`."""
        return self.render(request, await fetched(self.chain.backend, self.first, self.last))


async def fetched(backend: ChainBackend, first: Round, last: Round) -> list[Beacon]:
    """Past rounds from `first` on, up to `last` or the first one that cannot be had; raises BeaconNotFound for none.

    All that are stored, and others among the first FETCHED_ROUNDS. Callers wait for a place among GATHERS_AT_ONCE:
    each round that is not stored is a task.
    """
    there = list(await backend.stored(first, last - first + 1))
    end = min(last, first + FETCHED_ROUNDS - 1)
    waits = (backend.wait(Round(round_)) for round_ in range(first + len(there), end + 1))
    for one in await asyncio.gather(*waits, return_exceptions=True):
        if isinstance(one, BeaconNotFound) and there:
            break
        if isinstance(one, BaseException):
            raise one
        there.append(one)
    return there


@dataclass(frozen=True, slots=True)
class Events:
    """Answer with a stream: the stored beacons from round `first` on (None: only new ones), then each new one."""

    chain: ServedChain
    first: Round | None
