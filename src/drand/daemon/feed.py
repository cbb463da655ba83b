"""New beacons, handed to whoever waits for them: streams, long polls, the HTTP interface.

A slow reader never slows the chain: its queue is bounded, and a reader whose queue is full gets nothing more through
it (it reads what it missed from the store).
"""

import asyncio
from types import TracebackType

from collective.errors import Unavailable
from drand.model.chain import Beacon, Round

QUEUE_LIMIT = 100  # beacons a reader may lag behind, as v1.5.11
MAX_SUBSCRIBERS = 4096  # streams of one chain
MAX_WAITERS = 20_000  # held requests of one chain


class TooManyReaders(Unavailable):
    """This node already serves as many readers as it will."""

    hint = "read from a relay, or poll"


class ReaderTooSlow(Unavailable):
    """The reader fell more than QUEUE_LIMIT beacons behind and was dropped."""


class FeedClosed(Unavailable):
    """The beacon was unloaded, or the daemon stops."""

    hint = "read from another node"


class Subscription:
    """One reader's queue; use as `with feed.subscribe() as new: beacon = await new.next()`."""

    def __init__(self, feed: "BeaconFeed") -> None:
        self._feed = feed
        self._queue: asyncio.Queue[Beacon | None] = asyncio.Queue(QUEUE_LIMIT + 1)  # None: the feed was closed
        self._dropped = False

    async def next(self) -> Beacon:
        """The next new beacon.

        raises  ReaderTooSlow once the queue has overflowed and is read empty; FeedClosed when nothing follows
        """
        if self._dropped and self._queue.empty():
            raise ReaderTooSlow(f"more than {QUEUE_LIMIT} beacons behind")
        beacon = await self._queue.get()
        if beacon is None:
            raise FeedClosed("this node stops serving the chain")
        return beacon

    def offer(self, beacon: Beacon) -> bool:
        """Queue `beacon`; False when the reader is too slow, and then it gets nothing more."""
        if self._queue.qsize() >= QUEUE_LIMIT:
            self._dropped = True
            return False
        self._queue.put_nowait(beacon)
        return True

    def close(self) -> None:
        """Nothing follows what is queued."""
        self._queue.put_nowait(None)  # `offer` leaves room for it

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.unsubscribe(self)


class BeaconFeed:
    """The new beacons of one chain, to any number (bounded) of readers."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._waiters: dict[Round, set[asyncio.Future[Beacon]]] = {}
        self._waiting = 0
        self._closed = False
        self.latest: Beacon | None = None  # the last one published; None before the first

    def publish(self, beacon: Beacon) -> None:
        """A beacon was stored."""
        self.latest = beacon
        for subscription in [one for one in self._subscriptions if not one.offer(beacon)]:
            self._subscriptions.discard(subscription)
        for waiter in self._waiters.pop(beacon.round, ()):
            if not waiter.done():
                waiter.set_result(beacon)

    def close(self) -> None:
        """End every stream and every held request."""
        if self._closed:
            return
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(FeedClosed("this node stops serving the chain"))

    def check_open(self) -> None:
        """Raise FeedClosed after `close`."""
        if self._closed:
            raise FeedClosed("this node stops serving the chain")

    def subscribe(self) -> Subscription:
        """Start to listen; everything published from now on is queued. Raises TooManyReaders, FeedClosed."""
        self.check_open()
        if len(self._subscriptions) >= MAX_SUBSCRIBERS:
            raise TooManyReaders(f"{MAX_SUBSCRIBERS} streams are open already")
        subscription = Subscription(self)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening."""
        self._subscriptions.discard(subscription)

    async def wait(self, round_: Round) -> Beacon:
        """The beacon of `round_`, once it is published; cancelling frees the place.

        raises  TooManyReaders, FeedClosed
        """
        self.check_open()
        if self._waiting >= MAX_WAITERS:
            raise TooManyReaders(f"{MAX_WAITERS} requests are held already")
        waiter: asyncio.Future[Beacon] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(round_, set()).add(waiter)
        self._waiting += 1
        try:
            return await waiter
        finally:
            self._waiting -= 1
            waiting = self._waiters.get(round_)
            if waiting is not None:
                waiting.discard(waiter)
                if not waiting:
                    del self._waiters[round_]

    @property
    def readers(self) -> int:
        """Streams and held requests."""
        return len(self._subscriptions) + self._waiting
