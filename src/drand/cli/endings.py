"""SIGTERM and SIGHUP end a command as Ctrl-C does: what it has begun to write is removed, and the code says which."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from collective.clock import monotonic_s
from drand.errors import EXIT_HUNG_UP, EXIT_INTERRUPTED, EXIT_TERMINATED

CODES = {signal.SIGTERM: EXIT_TERMINATED, signal.SIGHUP: EXIT_HUNG_UP}
WORDS = {EXIT_TERMINATED: "terminated", EXIT_HUNG_UP: "hung up", EXIT_INTERRUPTED: "interrupted"}
CLEANING_UP_S = 5.0  # a shell and the system both tell of a lost terminal: the second must not stop the cleaning up


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C's has come."""

    def __init__(self, code: int) -> None:
        super().__init__(WORDS[code])
        self.code = code


class Ending:
    """Hears the signals. `code` is the exit code that the first of them asks for; 0 while none has come."""

    def __init__(self) -> None:
        self.code = 0
        self._heard_s = 0.0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Raise Ended, and again for a later signal: what was raised in the middle of a finalizer is lost."""
        now_s = monotonic_s()
        if self.code and now_s - self._heard_s < CLEANING_UP_S:
            return
        self._heard_s = now_s
        self.code = self.code or CODES[signal.Signals(number)]
        raise Ended(self.code)


@contextmanager
def ended_by_signals() -> Iterator[Ending]:
    """The block is ended by signals; afterwards all is as before.

    A signal that is disregarded (`nohup`), or that somebody hears already, is left alone.
    """
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending  # signals come to the main thread
        return
    heard = [number for number in CODES if signal.getsignal(number) is signal.SIG_DFL]
    for number in heard:
        signal.signal(number, ending)
    try:
        yield ending
    finally:
        for number in heard:
            if signal.getsignal(number) is ending:
                signal.signal(number, signal.SIG_DFL)


def leave_signals_alone() -> None:
    """For a command that hears signals itself, in its event loop: until it does, they end it at once."""
    for number in CODES:
        if isinstance(signal.getsignal(number), Ending):
            signal.signal(number, signal.SIG_DFL)
