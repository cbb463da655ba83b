"""The client for code that does not use asyncio: the same core, run by an event loop in a thread of its own.

A thread, not an `asyncio.Runner`: connections, event streams and the health of sources outlive a call, calls may come
from any thread and at the same time, and a program that has a loop of its own running (a notebook) may still use it.
"""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from drand.client.async_client import (
    DEFAULT_CHAIN,
    DEFAULT_DEADLINE_S,
    DEFAULT_REMEMBERED,
    DEFAULT_TIMEOUT_S,
    AsyncClient,
)
from drand.client.beacon import VerifiedBeacon
from drand.client.errors import ClientClosed
from drand.client.observing import Observer
from drand.client.pool import Health, Policy
from drand.client.sources import Address
from drand.model.chain import ChainInfo, Round

T = TypeVar("T")


class Client:
    """Verified rounds of one chain, from one or several sources. Arguments and errors are those of `AsyncClient`.

    May be used from any thread, also from several at once. Close it, or use it with `with`; calls under way then raise
    ClientClosed. A Ctrl-C ends the call, not the client.
    """

    def __init__(
        self,
        chain: str | bytes | ChainInfo = DEFAULT_CHAIN,
        sources: Sequence[Address] = (),
        *,
        archive: Path | str | None = None,
        full_chain: bool = False,
        policy: Policy | None = None,
        observer: Observer | None = None,
        remember: int = DEFAULT_REMEMBERED,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> None:
        self._core = AsyncClient(
            chain,
            sources,
            archive=archive,
            full_chain=full_chain,
            policy=policy,
            observer=observer,
            remember=remember,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
        )
        self._loop = _LoopThread()
        self.chain_hash = self._core.chain_hash
        self._end = weakref.finalize(self, _end, self._core, self._loop)  # also when nobody closes it

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back connections, files and the thread; a second close does nothing."""
        self._end()

    def info(self) -> ChainInfo:
        """The chain's information, whose recomputed hash is the chain hash asked for."""
        return self._loop.run(self._core.info)

    def get(self, round_: int) -> VerifiedBeacon:
        """One round. Raises RoundTooEarly before its time, without asking anybody."""
        return self._loop.run(lambda: self._core.get(round_))

    def latest(self) -> VerifiedBeacon:
        """The latest round. An old one is not taken for it: see ChainStale, ClockSuspect."""
        return self._loop.run(self._core.latest)

    def at(self, when: datetime | float) -> VerifiedBeacon:
        """The latest round that was due at `when` (an aware datetime, or unix seconds)."""
        return self._loop.run(lambda: self._core.at(when))

    def rounds(self, first: int, last: int) -> Iterator[VerifiedBeacon]:
        """All rounds from `first` to `last`, both included, verified in batches."""
        for batch in self._loop.iterate(lambda: self._core.batches(first, last)):
            yield from batch

    def watch(self, first: int | None = None) -> Iterator[VerifiedBeacon]:
        """Every round from `first` on (None: the next one to come), as it appears, in order, without end."""
        return self._loop.iterate(lambda: self._core.watch(first))

    def round_at(self, when: datetime | float) -> Round:
        """The latest round due at `when`; raises BeforeGenesis."""
        return self._loop.run(lambda: self._core.round_at(when))

    def time_of(self, round_: int) -> datetime:
        """When a round is due, in UTC."""
        return self._loop.run(lambda: self._core.time_of(round_))

    def health(self) -> Mapping[str, Health]:
        """What the client remembers about each source."""
        return self._core.health()


class _LoopThread:
    """An event loop in a daemon thread, begun with the first call."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # for the three below
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def begun(self) -> bool:
        """Whether there was a call."""
        return self._loop is not None

    def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of a coroutine that runs in the thread; raises ClientClosed after `stop`."""
        return self._wait(self._submit(call))

    def iterate(self, begin: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
        """What an asynchronous iterator gives; closing the iterator closes that one too."""

        async def first() -> AsyncGenerator[T, None]:
            return begin()

        async def step(iterator: AsyncGenerator[T, None]) -> tuple[T] | None:
            try:
                return (await anext(iterator),)
            except StopAsyncIteration:
                return None

        iterator = self.run(first)
        try:
            while (found := self.run(lambda: step(iterator))) is not None:
                yield found[0]
        finally:
            self._close_iterator(iterator)

    def stop(self) -> None:
        """End the thread: calls under way are cancelled, and raise ClientClosed."""
        with self._guard:
            self._stopped = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        if threading.current_thread() is not thread:  # a collected client may be finalized by its own thread
            thread.join()

    def _submit(self, call: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        with self._guard:
            if self._stopped:
                raise ClientClosed("the client is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="drand client", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(call(), self._loop)

    def _wait(self, future: "Future[T]") -> T:
        try:
            return future.result()
        except CancelledError:
            raise ClientClosed("the client was closed during the call") from None
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _close_iterator(self, iterator: AsyncGenerator[T, None]) -> None:
        async def close() -> None:
            await iterator.aclose()

        if not self._stopped:
            self.run(close)


def _end(core: AsyncClient, loop: _LoopThread) -> None:
    """Close a client; its thread ends."""
    if loop.begun:
        loop.run(core.close)
    else:
        core.release()
    loop.stop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """The thread: run until stopped, then cancel what is left and close the loop."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
