"""The step-machine contract: a protocol is a value that is told what happened and answers with what should be done.

    handle(event, now) -> list of effects

Same machine, same events, same `now`: same effects. A machine reads no clock, draws no randomness, opens no socket,
writes no log; everything it knows came in as an event and everything it wants goes out as an effect.

The order is the contract. A shell (the asyncio runner of a daemon, or the simulated world) carries effects out in list
order, and `Persist` is a barrier: nobody else sees what follows it before the record is on disk. So a machine that
must not forget a message it has sent puts `Persist` in front of `Send`. A shell may put a record on disk earlier than
it has to, together with others of the same answer: `records_first`.

One machine is stepped by one task; `handle` is never entered twice at once. An event that the protocol refuses makes
`handle` raise a `CollectiveError`, and then the machine has not changed.

Source of the idea: etcd-io/raft (Ready: what is saved BEFORE messages are sent), h11, mitmproxy's events and commands.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

EventT = TypeVar("EventT", contravariant=True)
EffectT = TypeVar("EffectT")
RecordT = TypeVar("RecordT")


class Machine(Protocol[EventT, EffectT]):
    """A protocol as a value that is stepped."""

    def handle(self, event: EventT, now: float) -> list[EffectT]:
        """Take one event at unix time `now` (seconds); answer with effects, to be carried out in order."""
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """The alarm named `alarm` went off: `now` is at or after the time that `WakeAt` asked for.

    Unless the clock was set back meanwhile: then that much time has passed, but `now` is earlier. A machine that acts
    on the time looks at `now`, and asks to be woken again.
    """

    alarm: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Ring the alarm named `alarm` at `unix_s`. A later WakeAt of the same name replaces an earlier one.

    Where the clock is set back before that, it rings once the time from now to `unix_s` has passed all the same.
    """

    alarm: str
    unix_s: float


@dataclass(frozen=True, slots=True)
class Persist(Generic[RecordT]):
    """Put `record` on disk before carrying out what follows. A barrier."""

    record: RecordT


@dataclass(frozen=True, slots=True)
class Restarted(Generic[RecordT]):
    """The process starts; `records` are what `Persist` kept, oldest first."""

    records: tuple[RecordT, ...]


def records_first(effects: Iterable[EffectT]) -> tuple[list[Any], list[EffectT]]:
    """One answer of a machine, split: the records of all its `Persist`, and its other effects; both in their order.

    Who keeps all the records at once, and then carries out the rest, passes every barrier, and waits for the disk once.
    """
    records: list[Any] = []
    others: list[EffectT] = []
    for effect in effects:
        if isinstance(effect, Persist):
            records.append(effect.record)
        else:
            others.append(effect)
    return records, others
