"""Running the command line inside a test, against a control socket whose daemon notes its orders."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from drand.cli.root import run
from drand.net.addresses import UnixPath
from drand.net.control_server import ControlServer
from tests.support.operated import NotedDaemon


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def hints(self) -> bool:
        """It failed in the house's way: one line that says what is wrong, one that says what to try, no traceback."""
        return "error: " in self.err and "hint:  " in self.err and "Traceback" not in self.err


def drand(*arguments: str | Path) -> Ended:
    """Run one command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Ended(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Operated:
    """A control socket with a noted daemon behind it."""

    daemon: NotedDaemon
    control: str

    async def drand(self, *arguments: str | Path) -> Ended:
        """Run one command line against it, in a thread: the command blocks, and the daemon lives in this loop."""
        return await asyncio.to_thread(drand, *arguments, "--control", self.control)


@asynccontextmanager
async def operated(folder: Path) -> AsyncIterator[Operated]:
    """A daemon that notes its orders, listening below `folder`."""
    daemon = NotedDaemon()
    daemon.ceremony_may_end.set()
    server = ControlServer(daemon)
    address = UnixPath(folder / "control.sock")
    await server.start(address)
    try:
        yield Operated(daemon, str(address))
    finally:
        await server.stop(0)
