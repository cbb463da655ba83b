"""Waiting for a round, with the time that is left on a terminal."""

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import click

from collective.clock import Clock, SystemClock
from collective.errors import Unavailable
from drand.cli.moments import shown_moment
from drand.errors import BeaconNotFound
from drand.model.spans import shown_span
from drand.timelock.errors import StillLocked

T = TypeVar("T")

PATIENCE_S = 60.0  # how long after its time a round may take to reach the sources
ASK_AGAIN_S = 1.0


def pause(seconds: float) -> None:
    """Let time pass; Ctrl-C ends it."""
    threading.Event().wait(seconds)


class Countdown:
    """Tries something until its round has come.

    clock, pause   how time is told and passes
    """

    def __init__(self, clock: Clock | None = None, pause: Callable[[float], None] = pause) -> None:
        self._clock = clock or SystemClock()
        self._pause = pause
        self._drawn = False

    def until_it_opens(self, attempt: Callable[[], T]) -> T:
        """The result of `attempt`, tried again when its round is due, and then for PATIENCE_S while it is missing."""
        gives_up_at: float | None = None
        while True:
            try:
                return attempt()
            except StillLocked as locked:
                self.until(locked.opens_unix_s)
                gives_up_at = locked.opens_unix_s + PATIENCE_S
            except (BeaconNotFound, Unavailable):
                if gives_up_at is None or self._clock.now() > gives_up_at:
                    raise
                self._pause(ASK_AGAIN_S)

    def until(self, unix_s: float) -> None:
        """Return at `unix_s`; what is left is drawn anew every second on a terminal, and told once elsewhere."""
        if self._clock.now() < unix_s and not sys.stderr.isatty():
            left = shown_span(unix_s - self._clock.now())
            click.echo(f"waiting {left}, until {shown_moment(unix_s)}", err=True)
        try:
            while (left_s := unix_s - self._clock.now()) > 0:
                self._draw(f"opens in {shown_span(left_s)}")
                self._pause(min(1.0, left_s))
        finally:
            self._draw("")

    def _draw(self, text: str) -> None:
        if sys.stderr.isatty() and (text or self._drawn):
            click.echo(f"\r\x1b[2K{text}", nl=False, err=True)
            self._drawn = bool(text)
