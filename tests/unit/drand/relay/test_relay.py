"""A relay in this process, between upstreams on real sockets and a client."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from collective.errors import BadSetting
from drand.model.chain import Index, Round
from drand.model.records import Epoch, EpochStarted
from drand.net.errors import PortTaken
from drand.relay.relay import Relay
from drand.relay.settings import RelaySettings
from drand.store.archive import BeaconArchive
from drand.store.sqlite import open_store
from drand.wire.http_json import parse_beacon
from tests.support.living_chain import PAST_ROUNDS, LivingChain, listed_before_the_default
from tests.support.relaying import next_round, relaying, rounds_until, upstream

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def misbehaving(behaviour: Behaviour) -> AsyncIterator[str]:
    """A server that does this to every connection."""
    open_now: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        try:
            await behaviour(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            open_now.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    yield f"http://{host}:{port}"
    server.close()
    for task in list(open_now):
        task.cancel()


async def test_what_an_upstream_has_is_served_verified_and_past_rounds_are_fetched():
    chain = LivingChain()
    async with upstream(chain) as url, relaying(url) as (_, client):
        assert await next_round(client) >= PAST_ROUNDS
        for path in ("/public/3", "/v2/beacons/default/rounds/3", f"/v2/chains/{chain.info().hash().hex()}/rounds/4"):
            async with client.get(path) as answer:
                assert answer.status == 200
                found = parse_beacon(await answer.read())
                assert found.signature == chain.committee.beacon(found.round).signature
        async with client.get("/v2/beacons/default/rounds/3/check") as answer:
            assert (await answer.json())["valid"] is True
        async with client.get("/v2/beacons/default/rounds?from=1&to=9") as answer:
            lines = (await answer.read()).splitlines()
        assert [parse_beacon(line) for line in lines] == [chain.committee.beacon(round_) for round_ in range(1, 10)]


async def test_a_reader_of_events_gets_what_it_missed_from_a_relay_that_has_just_begun():
    found: list[int] = []
    async with (
        upstream(LivingChain()) as url,
        relaying(url) as (_, client),
        asyncio.timeout(30),
        client.get("/v2/beacons/default/events?from=3") as answer,
    ):
        while len(found) < PAST_ROUNDS:
            line = await answer.content.readline()
            if line.startswith(b"data"):
                found.append(parse_beacon(line.removeprefix(b"data: ")).round)
    assert found == list(range(3, 3 + PAST_ROUNDS))


async def test_all_chains_of_an_upstream_are_served_and_the_named_one_alone_where_one_is_named():
    one, two = LivingChain(), LivingChain(beacon_id="quick")
    async with upstream(one, two) as url:
        async with relaying(url) as (_, client), client.get("/v2/beacons") as answer:
            assert await answer.json() == ["default", "quick"]
        wanted = two.info().hash().hex()
        async with relaying(url, chains=(wanted,)) as (_, client), client.get("/chains") as answer:
            assert await answer.json() == [wanted]


async def test_the_default_chain_is_served_without_a_hash_wherever_the_upstream_lists_it():
    listed_first, usual = listed_before_the_default()
    async with upstream(usual, listed_first) as url, relaying(url) as (_, client):
        async with client.get("/chains") as answer:
            assert await answer.json() == [one.info().hash().hex() for one in (listed_first, usual)]
        async with client.get("/info") as answer:
            assert (await answer.json())["hash"] == usual.info().hash().hex()


async def test_an_upstream_that_lies_is_dropped_and_named_and_its_lie_is_served_to_nobody(
    caplog: pytest.LogCaptureFixture,
):
    liar, honest = LivingChain(), LivingChain()
    honest.chain = liar.chain
    liar.lies = True
    liar.forged.update(range(1, 10_000))
    async with upstream(liar) as lying, upstream(honest) as truthful:
        with caplog.at_level(logging.ERROR):
            async with relaying(lying, truthful, chains=(str(_file(honest)),)) as (relay, client):
                for _ in range(3):
                    round_ = await next_round(client)
                    async with client.get(f"/public/{round_}") as answer:
                        assert parse_beacon(await answer.read()).signature == honest.committee.beacon(round_).signature
                assert relay.lies.get(lying, 0) > 0
                assert relay.lies.get(truthful, 0) == 0
    assert f"LIE: {lying} is dropped" in caplog.text


_files: list[Path] = []


def _file(chain: LivingChain) -> Path:
    from drand.wire.http_json import chain_info_json

    path = _files[-1] / "chain.json"
    path.write_bytes(chain_info_json(chain.info()))
    return path


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path):
    _files.append(tmp_path)
    yield
    _files.pop()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def web_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>log in</html>")
    await writer.drain()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A gigabyte of JSON, as far as it is taken."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n{"round":"')
    for _ in range(1000):
        writer.write(b"0" * 1_000_000)
        await writer.drain()


@pytest.mark.parametrize("behaviour", [hang, web_page, flood])
async def test_an_upstream_that_hangs_or_babbles_costs_nobody_a_round(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("drand.relay.relay.FETCH_TIMEOUT_S", 1.0)
    honest = LivingChain()
    async with misbehaving(behaviour) as bad, upstream(honest) as good:
        with caplog.at_level(logging.WARNING):
            async with relaying(bad, good, chains=(str(_file(honest)),)) as (_, client):
                assert await next_round(client) >= PAST_ROUNDS
    if behaviour is not hang:  # one that hangs has lost the race to the other before it has failed
        assert f"{bad} fails" in caplog.text


async def test_when_every_upstream_is_gone_what_is_there_is_still_served_and_health_says_so(tmp_path: Path):
    chain = LivingChain()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(upstream(chain))
        _, client = await stack.enter_async_context(relaying(address, archive=tmp_path / "archive.sqlite"))
        seen = await next_round(client)
        chain.feed.close()
        async with client.get(f"/public/{seen}") as answer:
            assert answer.status == 200
    with BeaconArchiveOf(tmp_path / "archive.sqlite") as archive:
        assert archive.highest(chain.info().hash()) >= seen
    settings = {"chains": (str(_file(chain)),), "archive": tmp_path / "archive.sqlite"}
    async with relaying("http://127.0.0.1:9", **settings) as (_, client):
        async with client.get(f"/public/{seen}") as answer:
            assert answer.status == 200
        async with client.get("/v2/beacons/default/events?from=1") as answer:
            assert answer.status == 200


async def test_an_upstream_that_stays_away_is_complained_about_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("drand.relay.feeding.RETRY_S", 0.05)
    chain = LivingChain()
    async with upstream(chain) as _, relaying("http://127.0.0.1:9", chains=(str(_file(chain)),)):
        await rounds_until(chain, lambda: len(chain.range(Round(PAST_ROUNDS), 3)) == 3)
    complaints = [record.getMessage() for record in caplog.records if record.funcName == "_complain"]
    assert len(complaints) == 1
    assert "http://127.0.0.1:9: cannot be reached" in complaints[0]


class BeaconArchiveOf:
    def __init__(self, path: Path) -> None:
        self._archive = BeaconArchive(path)

    def __enter__(self) -> BeaconArchive:
        return self._archive

    def __exit__(self, *_: object) -> None:
        self._archive.close()


async def test_the_whole_history_is_fetched_where_it_is_wanted(tmp_path: Path):
    chain = LivingChain()
    path = tmp_path / "archive.sqlite"
    async with upstream(chain) as url, relaying(url, archive=path, history=True) as (_, client):
        last = await next_round(client)
        async with asyncio.timeout(30):
            while True:
                async with client.get(f"/v2/beacons/default/rounds?from=1&to={last}") as answer:
                    lines = (await answer.text()).splitlines()
                    if answer.status == 200:
                        break
                await next_round(client)
        assert [json.loads(line)["round"] for line in lines] == list(range(1, last + 1))


async def test_a_long_history_says_how_far_it_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("drand.relay.feeding.TELL_EVERY_S", 0.0)
    caplog.set_level("INFO", logger="drand.relay")
    chain = LivingChain()
    async with upstream(chain) as url, relaying(url, archive=tmp_path / "archive.sqlite", history=True):
        await rounds_until(chain, lambda: "the archive has every round" in caplog.text)
    assert re.search(r"chain [0-9a-f]{16}: history up to round (\d+) of \1\b", caplog.text)


async def test_a_nodes_store_is_served_while_the_node_writes_it(tmp_path: Path):
    committee_chain = LivingChain()
    committee = committee_chain.committee
    path = tmp_path / "drand.sqlite"
    store = open_store(path, chained=False)
    group = committee.group
    store.persist(EpochStarted(Epoch(group=group, index=Index(0), epoch_id=b"e" * 32)))
    store.append([committee.beacon(round_) for round_ in range(6)])
    async with relaying(stores=(path,)) as (_, client):
        hash_ = group.chain_info().hash().hex()
        async with client.get(f"/v2/chains/{hash_}/events?from=5") as answer:
            for round_ in range(5, 9):
                if round_ > 5:
                    store.append([committee.beacon(round_)])
                async with asyncio.timeout(30):
                    while not (line := await answer.content.readline()).startswith(b"data"):
                        pass
                assert parse_beacon(line.removeprefix(b"data: ")).round == round_
        async with client.get(f"/{hash_}/public/2") as answer:
            assert answer.status == 200
    store.close()


async def test_settings_that_cannot_work_and_a_taken_port_are_named(tmp_path: Path):
    for settings in ({}, {"sources": ("http://x",), "workers": 0}, {"sources": ("http://x",), "history": True}):
        with pytest.raises(BadSetting):
            Relay(RelaySettings(**settings))  # type: ignore[arg-type]
    chain = LivingChain()
    async with upstream(chain) as url:
        for workers in (1, 2):
            taken = RelaySettings(listen=url.removeprefix("http://"), sources=(url,), workers=workers)
            relay = Relay(taken)
            with pytest.raises(PortTaken):
                await relay.start()
            await relay.stop()
