"""What peers were refused, told to the operator without letting a stranger fill the log."""

import logging
from dataclasses import dataclass

from collective.errors import CollectiveError, InvalidSignature
from drand.model.packets import GroupPush, Message, PartialPacket, SignalPacket
from drand.protocol.forgeries import TooManyForgeries

LINES_A_MINUTE = 20

_WORDS: dict[type[object], str] = {GroupPush: "a group", SignalPacket: "a signal to join"}


@dataclass(slots=True)
class Refusals:
    """The refused messages of one beacon. `last_group` is shown to whoever waits for a group."""

    last_group: str = ""
    _lines: int = 0
    _silent: int = 0
    _forged: int = 0
    _forger: str = ""  # who sent the last of them

    def note(self, log: logging.Logger, message: Message, sender: str, error: CollectiveError) -> None:
        """`message` was refused with `error`.

        Setup messages are rare and matter: each is logged. Refused partials are the sender's business; it is told.
        Those that do not verify are counted: somebody may be forging.
        """
        if isinstance(message, PartialPacket) and isinstance(error, InvalidSignature | TooManyForgeries):
            self._forged += 1
            self._forger = sender
        what = _WORDS.get(type(message))
        if what is None:
            kind = "a partial" if isinstance(message, PartialPacket) else "a bundle"
            log.debug("refused %s from %s: %s", kind, sender, error)
            return
        if isinstance(message, GroupPush):
            self.last_group = f"refused a group from {sender}: {error}"
        if self._lines >= LINES_A_MINUTE:
            self._silent += 1
            return
        self._lines += 1
        log.warning("refused %s from %s: %s%s", what, sender, error, f" ({error.advice})" if error.advice else "")

    def on_minute(self, log: logging.Logger) -> None:
        """A minute has passed: the log may have lines again."""
        if self._silent:
            log.warning("%d more setup messages were refused in the last minute", self._silent)
        if self._forged:
            log.warning(
                "%d forged partials were refused in the last minute, the last from %s", self._forged, self._forger
            )
        self._lines = self._silent = self._forged = 0
