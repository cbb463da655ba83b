"""The operator's own randomness: a program whose standard output is read (`--source`)."""

import os
import selectors
import signal
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

from collective.clock import monotonic_s
from collective.errors import BadSetting, Unavailable

PATIENCE_S = 30.0  # for all runs of one read together
MAX_RUNS = 32  # of a script that prints less than was asked for
HINT = "the script must be an absolute path, executable, and print random bytes to its standard output"


class ScriptFailed(Unavailable):
    """The operator's script gave no randomness: it failed, printed nothing, or took too long."""

    hint = HINT


def check_script(path: str) -> None:
    """Raise BadSetting unless `path` is absolute and names an executable file."""
    if not Path(path).is_absolute():
        raise BadSetting(f"the randomness script {path!r} is not an absolute path", hint=HINT)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise BadSetting(f"the randomness script {path}: {error.strerror}", hint=HINT) from error
    if not stat.S_ISREG(mode) or not os.access(path, os.X_OK):
        raise BadSetting(f"the randomness script {path} is no executable file", hint=HINT)


def read_script(path: str, count: int) -> bytes:
    """`count` bytes from the script's standard output; a script that prints fewer is run again for the rest.

    Never reads more than asked for, so a script that prints without end is fine: it is killed once it has given enough.
    raises  BadSetting as `check_script`; ScriptFailed
    Source: drand v1.5.11, entropy/entropy.go, ScriptReader.Read.
    """
    check_script(path)
    deadline = monotonic_s() + PATIENCE_S
    data = b""
    for _ in range(MAX_RUNS):
        data += _run(path, count - len(data), deadline)
        if len(data) == count:
            return data
    raise ScriptFailed(f"the randomness script {path} printed only {len(data)} of {count} bytes in {MAX_RUNS} runs")


def _run(path: str, count: int, deadline: float) -> bytes:
    """At most `count` bytes of one run."""
    try:
        process = subprocess.Popen(  # noqa: S603  the operator named this program, check_script looked at it, no shell
            [path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        raise ScriptFailed(f"the randomness script {path} does not start: {error.strerror}") from error
    assert process.stdout is not None
    with process:
        try:
            data = _read_pipe(process.stdout, path, count, deadline)
            if len(data) < count and process.wait(max(0.0, deadline - monotonic_s())) != 0:
                raise ScriptFailed(f"the randomness script {path} ended with status {process.returncode}")
        except subprocess.TimeoutExpired as error:
            raise _too_slow(path) from error
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself, and so have its children
                os.killpg(process.pid, signal.SIGKILL)
    return data


def _read_pipe(pipe: IO[bytes], path: str, count: int, deadline: float) -> bytes:
    """Up to `count` bytes, fewer only when the other end was closed."""
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(data) < count:
            if not selector.select(max(0.0, deadline - monotonic_s())):
                raise _too_slow(path)
            chunk = os.read(pipe.fileno(), count - len(data))
            if not chunk:
                break
            data += chunk
    return data


def _too_slow(path: str) -> ScriptFailed:
    return ScriptFailed(f"the randomness script {path} took longer than {PATIENCE_S:.0f} s")
