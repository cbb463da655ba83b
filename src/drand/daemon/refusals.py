"""What peers were refused, told to the operator without letting a stranger fill the log."""

import logging
from dataclasses import dataclass, field

from collective.errors import CollectiveError, InvalidSignature
from drand.model.packets import DkgPacket, GroupPush, Message, PartialPacket, SignalPacket
from drand.protocol.forgeries import TooManyForgeries

LINES_A_MINUTE = 20

_WORDS: dict[type[object], str] = {GroupPush: "a group", SignalPacket: "a signal to join"}
_FORGED: dict[type[object], str] = {PartialPacket: "partials", DkgPacket: "bundles"}


@dataclass(slots=True)
class Refusals:
    """The refused messages of one beacon. `last_group` is shown to whoever waits for a group."""

    last_group: str = ""
    _lines: int = 0
    _silent: int = 0
    _forged: dict[str, tuple[int, str]] = field(default_factory=dict)  # of each kind, how many, and who sent the last

    def note(self, log: logging.Logger, message: Message, sender: str, error: CollectiveError) -> None:
        """`message` was refused with `error`.

        Setup messages are rare and matter: each is logged. Refused partials and bundles are the sender's business; it
        is told. Those that do not verify are counted: somebody may be forging.
        """
        kind = _FORGED.get(type(message))
        if kind is not None and isinstance(error, InvalidSignature | TooManyForgeries):
            before, _ = self._forged.get(kind, (0, ""))
            self._forged[kind] = (before + 1, sender)
        what = _WORDS.get(type(message))
        if what is None:
            what = "a partial" if isinstance(message, PartialPacket) else "a bundle"
            log.debug("refused %s from %s: %s", what, sender, error)
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
        for kind, (count, forger) in self._forged.items():
            log.warning("%d forged %s were refused in the last minute, the last from %s", count, kind, forger)
        self._lines = self._silent = 0
        self._forged.clear()
