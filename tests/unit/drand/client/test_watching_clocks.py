"""Watching with a clock that is wrong, and a chain that has ended: said, not waited out."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from email.utils import formatdate

import pytest
from aiohttp import web

from drand.client.async_client import AsyncClient
from drand.client.chains import public_chain
from drand.client.errors import ChainRetired, ClockSuspect
from drand.client.observing import Observer
from drand.model.chain import Beacon, Round
from drand.wire.http_json import beacon_json, chain_info_json
from tests.support.committee import GENESIS_S, PERIOD_S
from tests.support.http_chain import NOW, ROUNDS, FakeClock, Relay, chain, serving

LAST_OF_FASTNET = "9544ddce2fdbe8688d6f5b4f98eed5d63eee3902e7e162050ac0f45905a55657714880adabe3c3096b92767d886567d0"


class Notes(Observer):
    def __init__(self) -> None:
        self.given_up: list[str] = []

    def gave_up(self, error):
        self.given_up.append(type(error).__name__)


async def test_a_clock_an_hour_ahead_ends_a_watch_by_what_the_servers_clocks_say():
    clock, notes = FakeClock(NOW + 3600), Notes()
    relay = Relay(date=formatdate(NOW, usegmt=True))
    async with (
        serving(relay) as urls,
        AsyncClient(chain(), urls, clock=clock, sleep=clock.sleep, observer=notes) as client,
        aclosing(client.watch()) as rounds,
    ):
        with pytest.raises(ClockSuspect, match="ahead"):
            await anext(rounds)
    assert set(notes.given_up) == {"RoundMissing"}, "one that is a little late is waited for"


async def test_a_clock_an_hour_behind_ends_a_watch_at_the_first_round_that_proves_it():
    clock = FakeClock(NOW - 20 * PERIOD_S)
    async with (
        serving(Relay(apis=("v2",), pushes=(ROUNDS,))) as urls,
        AsyncClient(chain(), urls, clock=clock, sleep=clock.sleep) as client,
        aclosing(client.watch()) as rounds,
    ):
        with pytest.raises(ClockSuspect, match="behind"):
            await anext(rounds)


async def test_a_clock_a_few_seconds_behind_leaves_no_round_out():
    quick = replace(chain(), period_s=3)
    now = float(GENESIS_S + (ROUNDS - 1) * 3) + 0.5
    clock = FakeClock(now - 7.0)  # by it round 37 is the latest, and 40 is pushed
    relay = Relay(chain=quick, apis=("v2",), pushes=(ROUNDS,), ends=True)
    async with (
        serving(relay) as urls,
        AsyncClient(quick, urls, clock=clock, sleep=clock.sleep) as client,
        aclosing(client.watch()) as rounds,
    ):
        assert [(await anext(rounds)).round for _ in range(3)] == [38, 39, 40]


async def test_a_watch_of_a_retired_chain_says_that_nothing_will_come():
    fastnet = public_chain("fastnet")
    assert fastnet is not None
    last = beacon_json(Beacon(Round(1), bytes.fromhex(LAST_OF_FASTNET)))

    async def answer(request: web.Request) -> web.StreamResponse:
        bodies = {"info": chain_info_json(fastnet), "latest": last}
        place = request.path.rsplit("/", 1)[1]
        return web.Response(body=bodies[place]) if place in bodies else web.Response(status=404)

    clock = FakeClock(1_800_000_000.0)
    async with (
        serving(Relay(override={"*": answer})) as urls,
        AsyncClient("fastnet", urls, clock=clock, sleep=clock.sleep) as client,
        aclosing(client.watch()) as rounds,
    ):
        with pytest.raises(ChainRetired) as caught:
            await anext(rounds)
        assert caught.value.freshest.round == 1
        assert caught.value.__cause__ is not caught.value


async def test_a_source_that_pushes_old_rounds_again_and_again_does_not_hold_a_watch_up():
    clock = FakeClock()
    babbler, honest = Relay(apis=("v2",)), Relay(apis=("v2",), last=ROUNDS + 2)

    async def babble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b"data: %b\n\n" % beacon_json(babbler.beacon(1)))
            clock.at += PERIOD_S / 8

    babbler.override["events"] = babble
    async with (
        serving(babbler, honest) as urls,
        AsyncClient(chain(), urls, clock=clock, sleep=clock.sleep) as client,
        aclosing(client.watch()) as rounds,
        asyncio.timeout(20),
    ):
        found = [await anext(rounds) for _ in range(2)]
    assert [beacon.round for beacon in found] == [ROUNDS + 1, ROUNDS + 2]
    assert {beacon.provenance.source for beacon in found} == {urls[1]}
    assert sum(path.endswith("/events") for path in babbler.asked) == 1, "the other one is asked first from then on"
