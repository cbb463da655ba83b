"""Which event loop runs."""

import asyncio
import sys

import pytest

from drand.net.event_loop import run_loop


def module_of_the_loop() -> str:
    found: list[str] = []

    async def look() -> None:
        found.append(type(asyncio.get_running_loop()).__module__)

    run_loop(look())
    return found[0]


def test_uvloop_runs_where_it_is_installed():
    pytest.importorskip("uvloop")
    assert module_of_the_loop().startswith("uvloop")


def test_asyncios_own_loop_runs_where_uvloop_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed
    assert module_of_the_loop().startswith("asyncio")
