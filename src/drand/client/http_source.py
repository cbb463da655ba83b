"""Beacons over HTTP: the v1 API of every drand node, the v2 API of relays, plain files of a static export."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Literal
from urllib.parse import urlsplit

from collective.clock import Clock
from collective.errors import BadSetting, Malformed
from drand.client.bounded_http import BoundedHttp, Fetched
from drand.client.contract import MAX_BATCH
from drand.client.errors import (
    ChainNotServed,
    MalformedAnswer,
    NotDrand,
    RoundMissing,
    WrongChain,
    WrongRandomness,
    WrongRound,
)
from drand.client.event_stream import EventStream
from drand.client.times import require_span
from drand.errors import InvalidChainInfo, InvalidRandomness
from drand.model.chain import Beacon, ChainInfo, Round
from drand.wire.http_json import parse_beacon, parse_beacons, parse_chain_info

DEFAULT_TIMEOUT_S = 10.0
MAX_INFO_BYTES = 1 << 16
MAX_ROUND_BYTES = 1 << 16
MAX_PAGE_BYTES = 2 << 20
SINGLES_AT_ONCE = 8  # requests under way where there are no pages
LEAST_SILENCE_S = 30.0  # an event stream that says nothing for this, or three periods, is given up

Api = Literal["auto", "v1", "v2"]
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:@\[\]]*)(:[0-9]*)?")


def without_credentials(url: str) -> str:
    """An address as logs, metrics and errors show it: what stands before the last `@` of its authority is left out.

    Where the authority has none and is no host and port, a password may have ended it: then up to the last `@` of all.

    >>> without_credentials("https://user:p@ss@relay.example/v2")
    'https://relay.example/v2'
    """
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and _HOST_AND_PORT.fullmatch(authority):
        return url
    place = authority.rfind("@") if "@" in authority else rest.rfind("@")
    return scheme + separator + rest[place + 1 :]


def require_host(root: str) -> None:
    """Raise BadSetting for a URL whose host or port cannot be; it may have a password, which is not repeated."""
    try:
        parts = urlsplit(root)
        trouble = "no host" if not parts.hostname else "port 0, where nobody listens" if parts.port == 0 else ""
    except ValueError as error:
        trouble = "an address that cannot be" + (f": {error}" if "@" not in root else "")
    if trouble:
        raise BadSetting(
            f"{without_credentials(root)} has {trouble}", hint="write it as https://host or http://host:port"
        )


class HttpSource:
    """A drand HTTP server.

    url        its root, such as https://api.drand.sh; one that ends in /v2 is only asked in v2
    api        "auto": v2 where the server has it, found out with the first question
    headers    sent with every request, for instance an Authorization; then no redirect is followed: it could take them
               to somebody else
    raises     BadSetting for a URL that is none, and for a timeout that would not end

    Before its first beacon the server is asked for the chain information, whose recomputed hash must be the chain's.
    """

    def __init__(
        self,
        url: str,
        *,
        api: Api = "auto",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        root = url.rstrip("/")
        if not root.startswith(("http://", "https://")) or "?" in root or "#" in root:
            raise BadSetting(f"{without_credentials(url)!r} is no http:// or https:// address of a drand server")
        self.name = without_credentials(root)  # which errors, logs and receipts repeat
        require_host(root)
        require_span(timeout_s=timeout_s)
        if root.endswith("/v2"):
            root, api = root.removesuffix("/v2"), "v2"
        self._root = root
        self._apis: tuple[str, ...] = ("v2", "v1") if api == "auto" else (api,)
        self._http = BoundedHttp(self.name, timeout_s=timeout_s, headers=headers, clock=clock)
        self._proved: dict[bytes, str] = {}  # chain hash -> the API it is served with

    def __repr__(self) -> str:
        return f"<HttpSource {self.name}>"

    @property
    def clock_ahead_s(self) -> float | None:
        """How far this machine's clock is ahead of the server's."""
        return self._http.clock_ahead_s

    async def info(self, chain_hash: bytes) -> ChainInfo:
        """The chain information with this hash. Raises ChainNotServed, WrongChain, NotDrand, ..."""
        for api in self._apis:
            fetched = await self._http.get(self._place(api, chain_hash, "info"), MAX_INFO_BYTES)
            if fetched.status == 200:
                info = self._parsed_info(fetched.body)
                if info.hash() != chain_hash:
                    raise WrongChain(self.name, f"gave the information of chain {info.hash().hex()}")
                self._proved[chain_hash] = api
                return info
        raise ChainNotServed(self.name, f"does not serve chain {chain_hash.hex()}")

    async def beacon(self, chain: ChainInfo, round_: Round | None) -> Beacon:
        """One round, or the latest. Raises RoundMissing where the server says that it does not have it."""
        chain_hash = chain.hash()
        path = "latest" if round_ is None else str(round_)
        fetched = await self._http.get(self._round(await self._api(chain_hash), chain_hash, path), MAX_ROUND_BYTES)
        if fetched.status != 200:
            if round_ is None:
                self._proved.pop(chain_hash, None)  # it may be another server by now, with another API
            raise RoundMissing(self.name, f"does not have round {path} (status {fetched.status})")
        beacon = self._parsed(fetched)
        if round_ is not None and beacon.round != round_:
            raise WrongRound(self.name, f"answered with round {beacon.round}, asked for {round_}")
        return beacon

    async def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        """Pages where the server has them, else single rounds, SINGLES_AT_ONCE at a time."""
        at = int(first)
        while at <= last and await self._api(chain.hash()) == "v2":
            # Pages end at multiples of MAX_BATCH, so that every client asks a cache for the same ones.
            end = min(int(last), at - at % MAX_BATCH + MAX_BATCH - 1)
            page = await self._page(chain.hash(), at, end)
            if page is None:
                break
            yield page
            at = page[-1].round + 1
        if at <= last:
            async for batch in self._singles(chain, at, int(last)):
                yield batch

    def events(self, chain: ChainInfo) -> AsyncGenerator[Beacon, None] | None:
        """The server's event stream."""
        return self._events(chain)

    async def close(self) -> None:
        """Close the connections, and open none any more."""
        await self._http.close()

    async def _api(self, chain_hash: bytes) -> str:
        """The API that serves the chain, found out and proved once."""
        if chain_hash not in self._proved:
            await self.info(chain_hash)
        return self._proved[chain_hash]

    def _place(self, api: str, chain_hash: bytes, rest: str) -> str:
        return f"{self._root}/{'v2/chains/' if api == 'v2' else ''}{chain_hash.hex()}/{rest}"

    def _round(self, api: str, chain_hash: bytes, path: str) -> str:
        return self._place(api, chain_hash, f"{'rounds' if api == 'v2' else 'public'}/{path}")

    async def _page(self, chain_hash: bytes, first: int, last: int) -> list[Beacon] | None:
        """At least one round from `first` on, in order; None when the server has no pages."""
        url = self._place("v2", chain_hash, f"rounds?from={first}&to={last}")
        try:
            fetched = await self._http.get(url, MAX_PAGE_BYTES)
        except NotDrand:
            return None
        if fetched.status != 200:
            return None
        try:
            beacons = list(parse_beacons(fetched.body.splitlines(keepends=True)))
        except InvalidRandomness as error:
            raise WrongRandomness(self.name, str(error)) from error
        except Malformed as error:
            raise MalformedAnswer(self.name, str(error)) from error
        if not beacons:
            raise RoundMissing(self.name, f"does not have rounds {first} to {last}")
        if [beacon.round for beacon in beacons] != list(range(first, first + len(beacons))) or len(beacons) > MAX_BATCH:
            raise WrongRound(self.name, f"the page of rounds {first} to {last} has others, or not in order")
        return beacons

    async def _singles(self, chain: ChainInfo, first: int, last: int) -> AsyncGenerator[list[Beacon], None]:
        under_way: deque[asyncio.Task[Beacon]] = deque()
        batch: list[Beacon] = []
        coming = first
        try:
            while under_way or coming <= last:
                while coming <= last and len(under_way) < SINGLES_AT_ONCE:
                    under_way.append(asyncio.ensure_future(self.beacon(chain, Round(coming))))
                    coming += 1
                batch.append(await under_way[0])
                under_way.popleft()
                if len(batch) == MAX_BATCH or not under_way:
                    yield batch
                    batch = []
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _events(self, chain: ChainInfo) -> AsyncGenerator[Beacon, None]:
        chain_hash = chain.hash()
        if await self._api(chain_hash) != "v2":
            return
        silence_s = max(LEAST_SILENCE_S, 3.0 * chain.period_s)
        parser = EventStream()
        async with self._http.stream(self._place("v2", chain_hash, "events"), silence_s) as pieces:
            if pieces is None:
                return
            async for piece in pieces:
                try:
                    found = parser.feed(piece)
                except Malformed as error:
                    raise MalformedAnswer(self.name, str(error)) from error
                for kind, data in found:
                    if kind in ("message", "round", "beacon"):
                        yield self._parsed(Fetched(200, data))

    def _parsed(self, fetched: Fetched) -> Beacon:
        try:
            return parse_beacon(fetched.body)
        except InvalidRandomness as error:
            raise WrongRandomness(self.name, str(error)) from error
        except Malformed as error:
            raise MalformedAnswer(self.name, str(error)) from error

    def _parsed_info(self, body: bytes) -> ChainInfo:
        try:
            return parse_chain_info(body)
        except InvalidChainInfo as error:
            raise WrongChain(self.name, str(error)) from error
        except Malformed as error:
            raise MalformedAnswer(self.name, str(error)) from error
