"""The client for code that does not use asyncio: the same core, run by an event loop in a thread of its own.

A thread, not an `asyncio.Runner`: connections, event streams and the health of sources outlive a call, calls may come
from any thread and at the same time, and a program that has a loop of its own running (a notebook) may still use it.
"""

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from collective.errors import BadSetting
from drand.client.async_client import (
    DEFAULT_CHAIN,
    DEFAULT_DEADLINE_S,
    DEFAULT_REMEMBERED,
    DEFAULT_TIMEOUT_S,
    AsyncClient,
    described,
)
from drand.client.beacon import VerifiedBeacon
from drand.client.errors import ClientClosed
from drand.client.observing import Observer
from drand.client.pool import Health, Policy
from drand.client.sources import Address
from drand.model.chain import ChainInfo, Round
from drand.verifying.verifiers import Verifiers

T = TypeVar("T")

MAX_LOOKUPS = 16  # of host names at the same time: one that hangs must not keep other sources from being asked


class Client:
    """Verified rounds of one chain, from one or several sources. Arguments and errors are those of `AsyncClient`.

    May be used from any thread, also from several at once; not from an observer's hooks, which run in the client's own
    thread, and not in a forked child, which has no such thread. Close it, or use it with `with`; calls under way then
    raise ClientClosed. A Ctrl-C ends the call, not the client.
    """

    def __init__(
        self,
        chain: str | bytes | ChainInfo = DEFAULT_CHAIN,
        sources: Sequence[Address] | Path = (),
        *,
        archive: Path | str | None = None,
        full_chain: bool = False,
        policy: Policy | None = None,
        observer: Observer | None = None,
        verifiers: int | Verifiers | None = None,
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
            verifiers=verifiers,
            remember=remember,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
        )
        self._loop = _LoopThread(self._core)
        self.chain_hash = self._core.chain_hash
        self._end = weakref.finalize(self, self._loop.stop)  # also when nobody closes it

    def __repr__(self) -> str:
        """Its chain and its sources."""
        return described(self._core, "Client")

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
    """An event loop in a daemon thread, begun with the first call; at its end it closes the client it is for.

    The garbage collector may end an iterator or a client in any thread, at any moment: in the loop's own one, where
    nothing may wait for the loop, and in the middle of `_submit`, hence the RLock.
    """

    def __init__(self, core: AsyncClient) -> None:
        self._core = core
        self._owner = os.getpid()
        self._guard = threading.RLock()  # for the three below
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        # Open ones, each with its step under way; for the loop's thread.
        self._iterators: dict[AsyncGenerator[Any, None], asyncio.Task[Any] | None] = {}

    def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of a coroutine that runs in the thread; raises ClientClosed after `stop`."""
        if self._inside():
            raise BadSetting("a blocking call from the client's own thread", hint="an observer's hook must not ask")
        return self._wait(self._submit(call))

    def iterate(self, begin: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
        """What an asynchronous iterator gives; closing the iterator closes that one too."""

        async def step() -> tuple[T] | None:
            self._iterators[iterator] = asyncio.current_task()
            try:
                return (await anext(iterator),)
            except StopAsyncIteration:
                return None
            finally:
                self._iterators[iterator] = None

        iterator = begin()  # runs, and opens something, with the first step
        try:
            while (found := self.run(step)) is not None:
                yield found[0]
        finally:
            self._close_iterator(iterator)

    def stop(self) -> None:
        """Close the client and end the thread: calls under way are cancelled, and raise ClientClosed."""
        if self._forked():
            return  # thread, connections and files are those of the process that forked this one
        with self._guard:
            self._stopped = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            self._core.release()
            return
        if not loop.is_closed():
            loop.call_soon_threadsafe(loop.stop)
        if not self._inside():
            thread.join()

    def _inside(self) -> bool:
        return threading.current_thread() is self._thread

    def _forked(self) -> bool:
        return os.getpid() != self._owner

    def _submit(self, call: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        if self._forked():
            raise ClientClosed("the client was made in the process that forked this one", hint="make one in each")
        with self._guard:
            if self._stopped:
                raise ClientClosed("the client is closed")
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._serve, args=(loop,), name="drand client", daemon=True)
                thread.start()
                self._loop, self._thread = loop, thread
            return asyncio.run_coroutine_threadsafe(call(), self._loop)

    def _wait(self, future: "Future[T]") -> T:
        try:
            return future.result()
        except CancelledError:
            raise ClientClosed("the client was closed during the call") from None
        except BaseException:
            future.cancel()  # Ctrl-C, or what a signal handler raised; without effect on a call that has failed itself
            raise

    def _close_iterator(self, iterator: AsyncGenerator[T, None]) -> None:
        async def close() -> None:
            under_way = self._iterators.get(iterator)
            if under_way is not None:  # after a Ctrl-C: a generator that is running cannot be closed
                under_way.cancel()
                await asyncio.gather(under_way, return_exceptions=True)
            try:
                await iterator.aclose()
            finally:
                self._iterators.pop(iterator, None)

        try:
            closing = self._submit(close)
        except ClientClosed:
            return  # the thread has closed it, or was never ours
        if not self._inside():
            self._wait_closed(closing)

    def _wait_closed(self, closing: "Future[None]") -> None:
        with contextlib.suppress(ClientClosed):  # in this very moment
            self._wait(closing)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread: run until stopped, then cancel what is left, close the client and the loop."""
        asyncio.set_event_loop(loop)
        # A pool of ours, for names that are looked up: the loop's own one needs a new thread to end, which at the end
        # of the interpreter there is not.
        lookups = ThreadPoolExecutor(MAX_LOOKUPS, "drand client lookup")
        loop.set_default_executor(lookups)
        try:
            loop.run_forever()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(self._close_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            lookups.shutdown(wait=False, cancel_futures=True)
            loop.close()

    async def _close_all(self) -> None:
        """Iterators from the outside in, which `shutdown_asyncgens` does not do; then the client."""
        for iterator in list(self._iterators):
            await iterator.aclose()
        await self._core.close()
