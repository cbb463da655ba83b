"""How much of a port one caller may hold: calls that have not said what they want, calls and streams under way.

A call holds a place from its headers on, whether or not its request ever comes. So a stranger who sends nothing but
headers could hold every place there is; therefore requests are waited for here, for a short while, and when too many
are waited for, the call that has kept us waiting for longest gives way to the newest. Not at once, however: a thousand
honest calls may come in one turn of the loop, and their requests are read in the next.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from drand.model.packets import Origin
from drand.net.addresses import socket_address, socket_ip
from drand.net.errors import TooBusy

REQUEST_PATIENCE_S = 10.0  # for a request after its headers: 4 MiB at 3.5 Mbit/s
LEAST_PATIENCE_S = 0.5  # nobody gives way before
MAX_UNREAD = 512  # calls whose request is waited for, when more than that have had the least patience
MAX_CALLS_PER_NETWORK = 1024  # under way: a whole group may sit behind one address (NAT, proxy)

RequestT = TypeVar("RequestT")


@lru_cache(maxsize=4096)
def network_of(ip: str) -> str:
    """What quotas are counted by: an IPv4 address, or the /64 of an IPv6 one, all of which one customer has.

    >>> network_of("[2001:db8::1:2:3:4]"), network_of("192.0.2.1"), network_of("[::ffff:192.0.2.1]")
    ('2001:db8::/64', '192.0.2.1', '192.0.2.1')
    """
    bare = ip.strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return bare  # a Unix socket has no address
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def origin_of(peer: str, headers: Mapping[str, str]) -> Origin:
    """What a caller is counted by: the kernel's word, and that of a proxy on this very machine.

    Through such a proxy everybody comes from 127.0.0.1, on connections that they share. Where it names the caller
    (`X-Real-IP`, or the last of `X-Forwarded-For`, which it has added itself), the caller is that address.
    """
    network = network_of(socket_ip(peer))
    if network == "::/64" or network.startswith("127."):
        named = headers.get("x-real-ip") or headers.get("x-forwarded-for", "").rpartition(",")[2]
        if named.strip():
            behind = network_of(named.strip()[:64])
            return Origin(behind, behind)
    return Origin(network, socket_address(peer))


class Quota:
    """How many of something may be under way at once: in total, and from one network."""

    def __init__(self, what: str, *, total: int, per_network: int) -> None:
        """`what` names them in the answer to one too many, in the plural."""
        self._what = what
        self._total = total
        self._per_network = per_network
        self._running: dict[str, int] = {}
        self._sum = 0

    @property
    def running(self) -> int:
        """How many there are now."""
        return self._sum

    @property
    def is_full(self) -> bool:
        """Whether one more would be one too many."""
        return self._sum >= self._total

    @contextmanager
    def place(self, network: str, leaving: int = 0) -> Iterator[None]:
        """Hold a place; raises TooBusy at the bound. So many of those that run are about to leave."""
        if self._sum - leaving >= self._total:
            raise TooBusy(f"{self._total} {self._what} run already")
        if self._running.get(network, 0) >= self._per_network:
            raise TooBusy(f"{self._per_network} {self._what} to your address run already")
        self._running[network] = self._running.get(network, 0) + 1
        self._sum += 1
        try:
            yield
        finally:
            self._sum -= 1
            self._running[network] -= 1
            if not self._running[network]:
                del self._running[network]


class WaitingRoom:
    """The calls whose request has not come yet. The oldest gives way where there are too many."""

    def __init__(
        self,
        most: int = MAX_UNREAD,
        patience_s: float = REQUEST_PATIENCE_S,
        least_s: float = LEAST_PATIENCE_S,
    ) -> None:
        self._most = most
        self._patience_s = patience_s
        self._least_s = least_s
        self._waiting: dict[asyncio.Timeout, float] = {}  # oldest first -> loop time at which it came
        self._sent_away: set[asyncio.Timeout] = set()  # and not gone yet

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def leaving(self) -> int:
        """How many have been sent away and are not gone yet."""
        return len(self._sent_away)

    async def request(self, reading: Awaitable[RequestT]) -> RequestT:
        """The request once it is read; raises TooBusy when it took too long, or too many newer calls have come."""
        if len(self._waiting) >= self._most:
            self.make_room()
        wait = asyncio.timeout(self._patience_s)
        try:
            async with wait:
                self._waiting[wait] = asyncio.get_running_loop().time()
                try:
                    return await reading
                finally:
                    self._waiting.pop(wait, None)
                    self._sent_away.discard(wait)
        except TimeoutError as error:
            raise TooBusy("the request did not follow its headers") from error

    def make_room(self) -> None:
        """Send the oldest away, if it has had the least patience."""
        oldest = next(iter(self._waiting), None)
        if oldest is not None and asyncio.get_running_loop().time() - self._waiting[oldest] >= self._least_s:
            self._send_away(oldest)

    def clear(self) -> None:
        """Send everybody away: the port closes."""
        for wait in list(self._waiting):
            self._send_away(wait)

    def _send_away(self, wait: asyncio.Timeout) -> None:
        del self._waiting[wait]
        if not wait.expired():
            self._sent_away.add(wait)
            wait.reschedule(asyncio.get_running_loop().time())


class Admission:
    """The doors of one port: every call of every service on it goes through."""

    def __init__(
        self, *, total: int, per_network: int = MAX_CALLS_PER_NETWORK, unread: WaitingRoom | None = None
    ) -> None:
        self.calls = Quota("calls", total=total, per_network=per_network)
        self.unread = WaitingRoom() if unread is None else unread

    @contextmanager
    def place(self, network: str) -> Iterator[None]:
        """Hold a place for a call; raises TooBusy. Where all are taken, a call that says nothing gives way."""
        if self.calls.is_full:
            self.unread.make_room()
        with self.calls.place(network, self.unread.leaving):
            yield
