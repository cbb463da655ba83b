"""The memory that strangers can fill behind the peer port, and what is done about it.

gRPC keeps a header block until it ends, some 15 to 30 MB for a connection whose caller never ends one, and has no bound
for all connections together. Nothing in Python sees these bytes but the size of the process. So that is looked at: far
beyond what a node needs, the port is closed with every connection to it and opened again. Honest peers are back within
a second or two; without this the system would kill the node, share and all, in the middle of a round.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from drand.daemon.memory import trim

LIMIT_BYTES = 1 << 30  # a key generation of a thousand nodes takes less than half of it
EVERY_S = 2.0
ROOM = 2  # the limit is at least so many times of what is left after the port was closed

log = logging.getLogger("drand")


def resident_bytes() -> int:
    """The memory that this process has now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class MemoryGuard:
    """Calls `reopen` when the process has grown beyond its limit. `watch` runs until it is cancelled."""

    def __init__(
        self,
        reopen: Callable[[], Awaitable[None]],
        *,
        limit_bytes: int = LIMIT_BYTES,
        resident: Callable[[], int] = resident_bytes,
    ) -> None:
        self._reopen = reopen
        self._limit = limit_bytes
        self._resident = resident

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Reopen the port if there is too much; what is then left is not the port's, and is let be."""
        before = self._resident()
        if before <= self._limit:
            return
        await self._reopen()
        trim()
        after = self._resident()
        self._limit = max(self._limit, ROOM * after)
        log.error(
            "the process had grown to %d MB: all connections to the peer port were closed, %d MB are left; if this"
            " comes again, let nobody but the group reach the port, or put a proxy in front of it",
            before >> 20,
            after >> 20,
        )
