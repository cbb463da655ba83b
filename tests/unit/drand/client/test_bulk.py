"""Long ranges through a client whose verifiers are worker processes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drand.client import bulk
from drand.client.async_client import AsyncClient
from drand.client.errors import ClientClosed, ForgedBeacon, MalformedAnswer, RoundMissing, SourceTimeout
from drand.model.chain import Beacon, ChainInfo, Round
from drand.store.archive import BeaconArchive
from drand.verifying import worker
from drand.verifying.verifiers import Verifiers
from tests.support.http_chain import CHAINED, ROUNDS, UNCHAINED, FakeClock, Relay, chain, committee, serving
from tests.support.served import until

BOTH = pytest.mark.parametrize("scheme", [UNCHAINED, CHAINED])


@dataclass
class InPieces:
    """A source that gives pieces of its choice, and counts how many were taken from it."""

    scheme: str = UNCHAINED
    size: int = 4
    pieces: list[list[Beacon]] | None = None
    name: str = "in pieces"
    clock_ahead_s: float | None = None
    taken: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def info(self, chain_hash: bytes) -> ChainInfo:
        return chain(self.scheme)

    async def beacon(self, chain: ChainInfo, round_: Round | None) -> Beacon:
        return committee(self.scheme).beacon(round_ or ROUNDS)

    async def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        rounds = committee(self.scheme).beacons(first, last)
        for piece in self.pieces or [list(rounds[at : at + self.size]) for at in range(0, len(rounds), self.size)]:
            if not piece or piece[0].round >= first:
                self.taken += 1
                yield piece

    def events(self, chain: ChainInfo) -> None:
        return None

    async def close(self) -> None:
        return None


@asynccontextmanager
async def reading(source: InPieces, workers: int = 2) -> AsyncIterator[AsyncClient]:
    verifiers = Verifiers(workers, worth=1)
    try:
        async with AsyncClient(chain(source.scheme), [source], clock=FakeClock(), verifiers=verifiers) as client:
            yield client
        assert not verifiers.closed, "they are not the client's to close"
    finally:
        verifiers.close()


@BOTH
async def test_rounds_come_in_order_whoever_of_the_workers_is_faster(scheme: str):
    async with reading(InPieces(scheme, size=3)) as client:
        found = [beacon async for beacon in client.rounds(1, ROUNDS)]
    assert [one.plain for one in found] == list(committee(scheme).beacons(1, ROUNDS))


async def test_what_is_verified_ahead_of_the_reader_is_bounded():
    source = InPieces(size=1)
    async with reading(source) as client, aclosing(client.batches(1, ROUNDS)) as batches:
        for place in range(1, 11):
            await anext(batches)
            assert source.taken <= place + 2 + 2, "two workers, and two batches for them to go on with"


@BOTH
async def test_rounds_before_a_forged_one_are_given_out_and_the_forged_one_is_named(scheme: str):
    rounds = committee(scheme).beacons(1, 12)
    lie = Beacon(Round(8), committee(scheme).lie(8).signature, rounds[7].previous_signature)
    source = InPieces(scheme, pieces=[list(rounds[:4]), [*rounds[4:7], lie], list(rounds[8:12])])
    async with reading(source) as client, aclosing(client.rounds(1, 12)) as found:
        assert [(await anext(found)).round for _ in range(4)] == [1, 2, 3, 4]
        with pytest.raises(ForgedBeacon, match="round 8"):
            await anext(found)


@pytest.mark.parametrize(
    ("pieces", "error"),
    [([[]], MalformedAnswer), ([list(committee().beacons(1, 5))], RoundMissing), ([], RoundMissing)],
    ids=["an empty piece", "too few", "nothing"],
)
async def test_a_source_that_breaks_its_word_ends_the_range(pieces: list[list[Beacon]], error: type[Exception]):
    source = InPieces(pieces=pieces or None, size=1 << 30)
    if not pieces:
        source.batches = nothing  # type: ignore[method-assign]
    async with reading(source) as client:
        with pytest.raises(error):
            _ = [beacon async for beacon in client.rounds(1, 10)]


@dataclass
class Dribbling(InPieces):
    """A source that takes its time for every piece; time passes where the client reads it, and nobody waits."""

    size: int = 1
    name: str = "dribbling"
    piece_s: float = 0.4
    now_s: float = 0.0

    async def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        async for piece in super().batches(chain, first, last):
            self.now_s += self.piece_s
            yield piece


async def test_a_source_that_dribbles_is_left_for_one_that_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch):
    slow, honest = Dribbling(), InPieces(size=100)
    monkeypatch.setattr(bulk, "monotonic_s", lambda: slow.now_s)
    async with AsyncClient(chain(), [slow, honest], clock=FakeClock(), deadline_s=1.0) as client:
        found = [beacon async for beacon in client.rounds(1, 30)]
        assert [one.plain for one in found] == list(committee().beacons(1, 30))
        dribbled = sum(one.provenance.source == "dribbling" for one in found)
        assert 0 < dribbled < 10
        assert slow.now_s < 5
        assert client.health()["dribbling"].failures == 1


async def test_a_source_that_dribbles_is_better_than_none(monkeypatch: pytest.MonkeyPatch):
    slow = Dribbling()
    monkeypatch.setattr(bulk, "monotonic_s", lambda: slow.now_s)
    async with AsyncClient(chain(), [slow], clock=FakeClock(), deadline_s=1.0) as client:
        assert len([beacon async for beacon in client.rounds(1, 30)]) == 30
        assert client.health()["dribbling"].failures > 1


async def test_a_source_with_steady_pages_is_read_to_the_end(monkeypatch: pytest.MonkeyPatch):
    steady = Dribbling(size=4, piece_s=0.9)
    monkeypatch.setattr(bulk, "monotonic_s", lambda: steady.now_s)
    async with AsyncClient(chain(), [steady], clock=FakeClock(), deadline_s=1.0) as client:
        assert len([beacon async for beacon in client.rounds(1, 40)]) == 40
        assert client.health()["dribbling"].failures == 0
        assert steady.now_s > 8


async def test_a_source_that_says_nothing_is_left():
    async def hang(chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        await asyncio.Event().wait()
        yield []

    silent, honest = InPieces(name="silent"), InPieces()
    silent.batches = hang  # type: ignore[method-assign]
    async with AsyncClient(chain(), [silent, honest], clock=FakeClock(), deadline_s=0.01) as client:
        assert [beacon.round async for beacon in client.rounds(1, 1)] == [1]
    async with AsyncClient(chain(), [silent], clock=FakeClock(), deadline_s=0.01) as client:
        with pytest.raises(SourceTimeout, match="no rounds within"):
            _ = [beacon async for beacon in client.rounds(1, 1)]


async def nothing(chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
    for piece in ():
        yield piece


async def test_the_archive_is_verified_by_the_workers_too_and_mended(tmp_path: Path):
    archive = BeaconArchive(tmp_path / "a")
    archive.put(chain().hash(), [*committee().beacons(1, 10), committee().lie(11), *committee().beacons(12, 20)])
    archive.close()
    verifiers = Verifiers(2, worth=1)
    for source in ("in pieces", "archive"):
        async with AsyncClient(
            chain(), [InPieces()], archive=tmp_path / "a", clock=FakeClock(), verifiers=verifiers
        ) as client:
            found = [beacon async for beacon in client.rounds(1, 20)]
        assert [one.plain for one in found] == list(committee().beacons(1, 20))
        assert found[10].provenance.source == source
    verifiers.close()


@pytest.fixture
def stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that never answer."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setattr(worker, "interpreter", lambda: str(program))


@pytest.mark.usefixtures("stuck")
async def test_the_loop_goes_on_while_a_long_range_is_verified():
    """Verification that held up the loop would hold it up for ever here."""
    verifiers = Verifiers(1, worth=1)
    async with (
        serving(Relay(apis=("v2",), pages=16)) as urls,
        AsyncClient(chain(), urls, clock=FakeClock(), verifiers=verifiers) as client,
    ):
        reading = asyncio.create_task(anext(client.rounds(1, ROUNDS)))
        await until(lambda: bool(verifiers.pids))
        assert (await client.get(30)).round == 30, "while the first page is being verified"
        assert not reading.done()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    verifiers.close()


@pytest.mark.usefixtures("stuck")
async def test_closing_ends_a_range_that_is_being_verified():
    client = AsyncClient(chain(), [InPieces(size=20)], clock=FakeClock(), verifiers=1)
    client._verifiers = verifiers = Verifiers(1, worth=1)
    reading = asyncio.create_task(anext(client.rounds(1, ROUNDS)))
    await until(lambda: bool(verifiers.pids))
    await client.close()
    with pytest.raises(ClientClosed):
        await reading
    assert verifiers.closed


async def test_a_short_range_starts_no_process():
    async with AsyncClient(chain(), [InPieces()], clock=FakeClock(), verifiers=2) as client:
        assert len([beacon async for beacon in client.rounds(1, ROUNDS)]) == ROUNDS
        assert client._verifiers.pids == []
