import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from collective.errors import CollectiveError, OutOfTurn
from collective.machine import Due, Persist, WakeAt
from collective.runner import LONGEST_NAP_S, MAX_NESTED, STEPPED_BACK_S, Alarms, Runner


@dataclass
class VirtualClock:
    unix_s: float = 1000.0

    def now(self) -> float:
        return self.unix_s


@dataclass
class Script:
    """Answers each event with the effects that the script holds for it; refuses unknown ones."""

    effects: dict[str, list[Any]]
    seen: list[tuple[str, float]] = field(default_factory=list)

    def handle(self, event: str, now: float) -> list[Any]:
        if event not in self.effects:
            raise OutOfTurn(f"{event} is not in the script")
        self.seen.append((event, now))
        return self.effects[event]


def make(effects: dict[str, list[Any]], **perform: str):
    done: list[Any] = []
    refused: list[tuple[str, CollectiveError]] = []

    def carry_out(effect: str) -> None:
        done.append(effect)
        if effect in perform:
            runner.post(perform[effect])

    runner = Runner(
        Script(effects),
        persist=lambda records: done.append(("kept", *records)),
        perform=carry_out,
        refused=lambda e, x: refused.append((e, x)),
        clock=VirtualClock(),
    )
    return runner, done, refused


def nothing_kept(records: Sequence[Any]) -> None:
    raise AssertionError("this script keeps nothing")


def test_effects_are_performed_in_the_order_the_machine_gave_them():
    runner, done, _ = make({"a": ["ask", "send", "report"]})
    runner.step("a")
    assert done == ["ask", "send", "report"]


def test_what_one_event_makes_the_machine_keep_is_kept_together_before_anything_else():
    runner, done, _ = make(
        {"a": [Persist("one"), "send", Persist("two"), "ask"], "b": [Persist("three"), "report"]}, ask="b"
    )
    runner.step("a")
    assert done == [("kept", "one", "two"), "send", "ask", ("kept", "three"), "report"]


def test_a_record_that_is_not_kept_holds_back_all_effects():
    done: list[Any] = []

    def full(records: Sequence[Any]) -> None:
        raise OSError("disk full")

    runner = Runner(
        Script({"a": ["report", Persist("bundle"), "send"]}),
        persist=full,
        perform=done.append,
        refused=lambda event, error: None,
        clock=VirtualClock(),
    )
    with pytest.raises(OSError, match="disk full"):
        runner.step("a")
    with pytest.raises(OSError, match="disk full"):
        runner.post("a")
    assert done == []


def test_an_event_posted_by_an_effect_waits_until_the_other_effects_are_done():
    runner, done, _ = make({"a": ["ask", "send"], "reply": ["answer"]}, ask="reply")
    runner.step("a")
    assert done == ["ask", "send", "answer"]


def test_a_refusal_reaches_the_one_who_stepped():
    runner, done, refused = make({})
    with pytest.raises(OutOfTurn):
        runner.step("unknown")
    assert done == []
    assert refused == []


def test_a_refused_posted_event_is_reported_and_the_rest_goes_on():
    runner, done, refused = make({"a": ["one", "two"], "b": ["three"]}, one="unknown", two="b")
    runner.post("a")
    assert done == ["one", "two", "three"]
    assert [event for event, _ in refused] == ["unknown"]
    runner.post("unknown")
    assert [event for event, _ in refused] == ["unknown", "unknown"]


def test_an_effect_that_fails_holds_back_what_follows_it():
    done: list[str] = []

    def carry_out(effect: str) -> None:
        if effect == "persist":
            raise OSError("disk full")
        done.append(effect)

    runner = Runner(
        Script({"a": ["persist", "send"], "b": ["other"]}),
        persist=nothing_kept,
        perform=carry_out,
        refused=lambda event, error: None,
        clock=VirtualClock(),
    )
    with pytest.raises(OSError, match="disk full"):
        runner.step("a")
    assert done == []
    runner.step("b")
    assert done == ["other"]


def test_an_effect_that_fails_after_a_posted_event_is_no_refusal():
    refused: list[str] = []

    def carry_out(effect: str) -> None:
        raise OutOfTurn(f"{effect} cannot be carried out")

    runner = Runner(
        Script({"a": ["persist"]}),
        persist=nothing_kept,
        perform=carry_out,
        refused=lambda event, error: refused.append(event),
        clock=VirtualClock(),
    )
    with pytest.raises(OutOfTurn, match="persist"):
        runner.post("a")
    assert refused == []


def test_stepping_from_within_an_effect_is_a_programming_error():
    runner = Runner(
        Script({"a": ["again"]}),
        persist=nothing_kept,
        perform=lambda _: runner.step("a"),
        refused=lambda e, x: None,
        clock=VirtualClock(),
    )
    with pytest.raises(RuntimeError, match="post"):
        runner.step("a")


def test_machines_that_feed_each_other_for_ever_are_stopped():
    runner, done, _ = make({"a": ["echo"]}, echo="a")
    with pytest.raises(RuntimeError, match="within one step"):
        runner.step("a")
    assert len(done) == MAX_NESTED + 1


class Loop:
    """A stand-in for the asyncio loop: call_later is remembered, not waited for; its clock never steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 50.0
        self.calls: list[tuple[float, object, tuple[object, ...]]] = []
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay: float, callback, *args):
        entry = (delay, callback, args)
        self.calls.append(entry)

        class Handle:
            def cancel(_self) -> None:
                self.calls.remove(entry)

        return Handle()

    def fire(self) -> None:
        delay, callback, args = self.calls.pop(0)
        self.now_s += delay
        callback(*args)


def test_an_alarm_does_not_ring_early_where_the_clock_runs_slowly(monkeypatch: pytest.MonkeyPatch):
    clock, rung, loop = VirtualClock(), [], Loop(monkeypatch)
    alarms = Alarms(clock, rung.append)
    alarms.set(WakeAt("round", 1003.0))
    assert loop.calls[0][0] == 3.0
    clock.unix_s = 1002.75
    loop.fire()
    assert rung == []
    assert loop.calls[0][0] == 0.25
    clock.unix_s = 1003.0
    loop.fire()
    assert rung == [Due("round")]
    assert loop.calls == []


def test_an_alarm_rings_once_its_time_has_passed_although_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch):
    """Else a clock that was an hour ahead for a moment would silence its node for an hour."""
    clock, rung, loop = VirtualClock(), [], Loop(monkeypatch)
    clock.unix_s = 4600.0
    Alarms(clock, rung.append).set(WakeAt("round", 4603.0))
    clock.unix_s = 1003.0
    loop.fire()
    assert rung == []
    loop.fire()
    assert rung == [Due("round")]
    assert loop.now_s == 50.0 + 3.0 + STEPPED_BACK_S


def test_a_clock_set_forward_is_noticed_soon(monkeypatch: pytest.MonkeyPatch):
    clock, rung, loop = VirtualClock(), [], Loop(monkeypatch)
    Alarms(clock, rung.append).set(WakeAt("setup", 9000.0))
    assert loop.calls[0][0] == LONGEST_NAP_S
    clock.unix_s = 9000.0
    loop.fire()
    assert rung == [Due("setup")]


def test_setting_an_alarm_again_moves_it(monkeypatch: pytest.MonkeyPatch):
    clock, rung, loop = VirtualClock(), [], Loop(monkeypatch)
    alarms = Alarms(clock, rung.append)
    alarms.set(WakeAt("round", 1001.0))
    alarms.set(WakeAt("round", 1002.0))
    alarms.set(WakeAt("sync", 1001.0))
    assert [delay for delay, _, _ in loop.calls] == [2.0, 1.0]
    alarms.cancel_all()
    assert loop.calls == []
