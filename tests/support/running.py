"""A process that runs, what it prints, and how to wait for that without sleeping.

A wait is for a line that the process prints, or for its end. Every wait has a deadline and, when it passes, shows what
was printed so far.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from collective.clock import monotonic_s

PATIENCE_S = 60.0
END_PATIENCE_S = 15.0


class Running:
    """A process, and everything it has printed."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        before_start: Callable[[], None] | None = None,
    ) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DRAND_")}
        self.command = list(command)
        self.lines: list[str] = []
        self._grew = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=inherited | {"PYTHONUNBUFFERED": "1"} | dict(environment or {}),
            preexec_fn=before_start,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._grew:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._grew.notify_all()
        with self._grew:
            self._ended = True
            self._grew.notify_all()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def output_ended(self) -> bool:
        """Whether nobody can print any more: it has ended, and so has every process that it left behind."""
        return not self._reader.is_alive()

    @property
    def output(self) -> str:
        """All that was printed."""
        return "\n".join(self.lines)

    def wait_until(self, wanted: Callable[[str], bool], what: str, *, since: int = 0, patience_s: float = 0) -> str:
        """The first line, the first `since` left out, that `wanted` accepts; fails at the deadline or the end."""
        deadline = monotonic_s() + (patience_s or PATIENCE_S)
        with self._grew:
            while True:
                for place in range(since, len(self.lines)):
                    if wanted(self.lines[place]):
                        return self.lines[place]
                since = len(self.lines)
                left = deadline - monotonic_s()
                assert not self._ended, f"ended before {what}:\n{self._tail()}"
                assert left > 0, f"waited in vain for {what}:\n{self._tail()}"
                self._grew.wait(left)

    def wait_for(self, text: str, *, since: int = 0, patience_s: float = 0) -> str:
        """The first line that contains `text`."""
        return self.wait_until(lambda line: text in line, repr(text), since=since, patience_s=patience_s)

    def wait_end(self, patience_s: float = PATIENCE_S) -> int:
        """Its exit code."""
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} does not end:\n{self._tail()}") from None
        self._reader.join(END_PATIENCE_S)
        return code

    def succeed(self, patience_s: float = PATIENCE_S) -> str:
        """What it printed, once it has ended well."""
        code = self.wait_end(patience_s)
        assert code == 0, f"{self.command} ended with {code}:\n{self._tail()}"
        return self.output

    def refuse(self, patience_s: float = PATIENCE_S) -> str:
        """What it printed, once it has ended with an error; never a traceback."""
        code = self.wait_end(patience_s)
        assert code != 0, f"{self.command} should have failed:\n{self._tail()}"
        assert "Traceback" not in self.output, self.output
        return self.output

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.alive:
            self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal, by force if it does not listen."""
        self.send(number)
        try:
            self.wait_end(END_PATIENCE_S)
        except AssertionError:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        return "\n".join(self.lines[-40:])
