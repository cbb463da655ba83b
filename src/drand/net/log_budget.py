"""Log lines that a stranger can bring about, at most so many a minute: a log must not fill a disk."""

import logging

from collective.clock import monotonic_s

LINES_A_MINUTE = 60
WINDOW_S = 60.0


class LogBudget(logging.Filter):
    """A filter for one logger: warnings and errors beyond the budget are left out, and the next line says how many."""

    def __init__(self, lines_a_minute: int = LINES_A_MINUTE) -> None:
        super().__init__()
        self._most = lines_a_minute
        self._began_s = float("-inf")
        self._lines = 0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.levelno < logging.WARNING:
            return True
        now_s = monotonic_s()
        if now_s - self._began_s >= WINDOW_S:
            self._began_s, self._lines = now_s, 0
        if self._lines >= self._most:
            self._left_out += 1
            return False
        self._lines += 1
        if self._left_out:
            record.msg = f"{record.getMessage()} ({self._left_out} more lines like this one were left out before)"
            record.args = None
            self._left_out = 0
        return True
