"""One verification worker, seen from the process that started it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import drand.verifying
from collective.errors import Malformed, Unavailable
from drand.model.chain import Beacon, Round
from drand.verifying import frames

# What a worker keeps of the environment: how to find and load Python and its libraries. No one's tokens are among it.
_KEPT = ("PYTHON", "LD_", "DYLD_", "LC_", "LANG", "MALLOC_", "SYSTEMROOT", "DRAND_BLS_BACKEND")
_NOT_KEPT = frozenset({"PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONPROFILEIMPORTTIME"})


class WorkerLost(Unavailable):
    """A worker did not start, ended, or gave no answer in time."""

    hint = "verification goes on without it"


def interpreter() -> str | None:
    """The Python to run a worker with; None where this process is no Python program that could be started again.

    A frozen program, and most that embed Python, have themselves in `sys.executable`.
    """
    name = os.path.basename(sys.executable or "").lower()
    return sys.executable if name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False) else None


class Worker:
    """A process that verifies. Used by one thread; `kill` may be called from any.

    patience_s   an answer that takes longer is given up, and the worker killed
    raises       WorkerLost when it does not start
    """

    def __init__(self, patience_s: float) -> None:
        python = interpreter()
        if python is None:
            raise WorkerLost("there is no Python interpreter to start one with")
        self._patience_s = patience_s
        self._overdue = False
        try:
            # A session of its own: a Ctrl-C at the terminal is not for it, not even while it starts.
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [python, "-P", "-m", drand.verifying.__name__, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # no copy in a forked child that would be written again
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerLost(f"cannot be started: {error}") from error
        self._greeted = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def bad_rounds(self, scheme: str, public_key: bytes, beacons: Iterable[Beacon]) -> frozenset[Round]:
        """The rounds that do not verify; raises WorkerLost, and TooLong for what cannot be sent."""
        job = frames.encode_job(scheme, public_key, beacons)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._in_time():
                if not self._greeted:
                    self._greet(self._process.stdout.fileno())
                frames.send(self._process.stdin.fileno(), job)
                return frames.decode_verdict(frames.receive(self._process.stdout.fileno()))
        except (OSError, EOFError) as error:
            self.close()
            raise WorkerLost(self._fate()) from error
        except (Malformed, frames.Refused) as error:
            self.close()
            raise WorkerLost(str(error)) from error

    def kill(self) -> None:
        """End the process, also under the hands of the thread that uses it: it holds nothing that could be lost."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill it and give back the pipes; a second close does nothing."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _greet(self, output: int) -> None:
        if frames.receive(output) != frames.GREETING:
            raise Malformed("what was started is no verification worker")
        self._greeted = True

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Killing the worker ends the reading and writing of whoever waits for it."""
        timer = threading.Timer(self._patience_s, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._overdue = True
        self._process.kill()

    def _fate(self) -> str:
        if self._overdue:
            return f"worker {self.pid} gave no answer within {self._patience_s:g} s"
        return f"worker {self.pid} ended with status {self._process.returncode}"


def _environment() -> dict[str, str]:
    """Few variables of ours, and modules from where we have ours; `-P` keeps the working folder out."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT) and name not in _NOT_KEPT}
    ours = Path(drand.verifying.__file__).absolute().parents[2]
    return kept | {"PYTHONPATH": os.pathsep.join(dict.fromkeys([*filter(None, sys.path), str(ours)]))}
