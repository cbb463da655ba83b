"""One answer for all who ask the same at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _UnderWay(Generic[T]):
    task: "asyncio.Task[T]"
    waiting: int = 0


class Shared(Generic[T]):
    """Questions under way, by a number. Used from one event loop."""

    def __init__(self) -> None:
        self._under_way: dict[int, _UnderWay[T]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    async def get(self, number: int, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `ask` gives or raises: by a call that is under way for the same number, else by a new one.

        One who is cancelled leaves the others waiting; the last one who is takes the question along.
        """
        found = self._under_way.get(number)
        if found is None or found.task.done():
            found = self._under_way[number] = _UnderWay(asyncio.ensure_future(ask()))
        found.waiting += 1
        try:
            return await asyncio.shield(found.task)
        finally:
            found.waiting -= 1
            if found.task.done() or not found.waiting:
                await self._end(number, found)

    async def _end(self, number: int, ended: _UnderWay[T]) -> None:
        if self._under_way.get(number) is ended:
            del self._under_way[number]
        if not ended.task.done():
            ended.task.cancel()
            await asyncio.gather(ended.task, return_exceptions=True)
