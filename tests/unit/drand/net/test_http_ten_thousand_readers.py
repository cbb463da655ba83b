"""As many readers of events as one server takes: ten thousand sockets, server and readers in processes of their own."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from drand.net.http_events import DEFAULT_MAX_READERS, MAX_BEHIND_BYTES
from tests.support.crowd import EVENTS, SIGNATURE_BYTES, SPARE_FILES, file_limit

PATIENCE_S = 120.0  # for one thing to happen; a deadline, not a measurement
DEAF = 20
READER_BYTES = 16 * 1024  # resident memory that one reader may cost the server, with all that serves it
MOST_ROUNDS = 4 * MAX_BEHIND_BYTES // SIGNATURE_BYTES  # until a reader that takes nothing must be gone

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from Linux's /proc"),
    pytest.mark.skipif(
        file_limit() < DEFAULT_MAX_READERS + SPARE_FILES,
        reason=f"a process may have {file_limit()} files here, and ten thousand readers need more",
    ),
]


class Other:
    """A process that is told things on standard input and says what happened, one line of JSON each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def hear(self) -> dict[str, Any]:
        """What happens next."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self.process.stdout.readline()
        assert line, "the process has ended"
        return dict(json.loads(line))

    async def do(self, order: str) -> dict[str, Any]:
        """What it says after an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n".encode())
        return await self.hear()


@asynccontextmanager
async def running(*words: str) -> AsyncIterator[Other]:
    """A process of tests.support.crowd; it ends when its standard input does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.crowd",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Other(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_ten_thousand_readers_are_told_of_every_round_while_deaf_ones_are_dropped_and_one_more_is_refused():
    hearing = DEFAULT_MAX_READERS - DEAF
    async with running("serve") as server:
        port = str((await server.hear())["port"])
        alone = (await server.do("readers 0"))["resident"]
        async with running("read", port, str(hearing), str(DEAF)) as crowd:
            assert await crowd.hear() == {"seated": hearing}
            seated = await server.do(f"readers {DEFAULT_MAX_READERS}")
            await expect_refusal(port)
            assert seated["resident"] - alone < DEFAULT_MAX_READERS * READER_BYTES
            told = seated
            for _ in range(MOST_ROUNDS):
                told = await server.do("publish")
                assert await crowd.hear() == {"heard": told["round"]}, "every reader that reads has the round"
                if told["dropped"] == DEAF:
                    break
            assert told["dropped"] == DEAF, "readers that take nothing are sent away"
            assert (await server.do(f"readers {hearing}"))["dropped"] == DEAF, "and only they"
            assert told["resident"] - alone < DEFAULT_MAX_READERS * READER_BYTES
        gone = await server.do("readers 0")
        assert gone["dropped"] == DEAF


async def expect_refusal(port: str) -> None:
    """One reader more than the server takes is told so, and when to come again."""
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}{EVENTS}") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "as many readers as this server takes" in (await answer.json())["error"]
