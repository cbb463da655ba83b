"""A relay whose archive, or whose node's store, holds rounds that the group never signed: nobody is given one."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, Index, Round
from drand.model.records import Epoch, EpochStarted
from drand.model.schemes import scheme_named
from drand.net.log_budget import LINES_A_MINUTE, LogBudget
from drand.relay.chains import RelayedChain
from drand.relay.verified import HEAD_LOOKS
from drand.store.archive import BeaconArchive
from drand.store.sqlite import SqliteStore, open_store
from drand.wire.http_json import chain_info_json, parse_beacon, parse_beacons
from tests.support.committee import Committee
from tests.support.living_chain import LivingChain
from tests.support.relaying import next_round, relaying, rounds_until, upstream, verifying

FAR = Round(10**9)


@pytest.fixture(autouse=True)
def budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test uses up the log lines of another."""
    monkeypatch.setattr(logging.getLogger("drand.relay.verified"), "filters", [LogBudget()])


def forged(committee: Committee, round_: int) -> Beacon:
    """Another round's signature under this number."""
    return replace(committee.beacon(1 if round_ != 1 else 2), round=Round(round_))


def archived(path: Path, chain: LivingChain, beacons: Sequence[Beacon]) -> Path:
    archive = BeaconArchive(path)
    archive.put(chain.info().hash(), beacons)
    archive.close()
    return path


def stored(path: Path, committee: Committee, beacons: Sequence[Beacon]) -> SqliteStore:
    store = open_store(path, chained=committee.scheme.chained)
    store.persist(EpochStarted(Epoch(group=committee.group, index=Index(0), epoch_id=b"e" * 32)))
    store.append(beacons)
    return store


async def given(client: aiohttp.ClientSession, path: str) -> Beacon | None:
    async with asyncio.timeout(30), client.get(path) as answer:
        return parse_beacon(await answer.read()) if answer.status == 200 else None


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_forged_row_of_the_archive_is_fetched_upstream_named_and_mended(
    workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    chain = LivingChain()
    committee = chain.committee
    rows = [
        *committee.beacons(1, 2),
        *(forged(committee, round_) for round_ in (3, 4, 5, 6, FAR)),
        *committee.beacons(7, 9),
    ]
    path = archived(tmp_path / "archive.sqlite", chain, rows)
    async with upstream(chain) as url, relaying(url, archive=path, workers=workers) as (relay, client):
        latest = await given(client, "/public/latest")
        assert latest is not None
        assert latest.round < FAR
        assert latest == committee.beacon(latest.round)
        assert await given(client, "/public/3") == committee.beacon(3)
        assert await given(client, "/v2/beacons/default/rounds/4") == committee.beacon(4)
        async with client.get("/v2/beacons/default/rounds?from=1&to=15") as answer:
            page = list(parse_beacons((await answer.read()).splitlines(keepends=True)))
        assert page == list(committee.beacons(1, 15))
        assert await next_round(client) > latest.round  # it is no news for the far round alone
        await rounds_until(chain, lambda: relay.lies.get(str(path), 0) >= 4)
        if workers == 1:
            assert caplog.text.count(f"LIE: {path}") == 4, "each is named once; the far one was never looked at"
    archive = BeaconArchive(path)
    assert archive.run(chain.info().hash(), Round(1), 15) == list(committee.beacons(1, 15))
    archive.close()


async def test_a_reader_of_events_is_told_no_forged_row(tmp_path: Path):
    chain = LivingChain()
    path = archived(tmp_path / "archive.sqlite", chain, [forged(chain.committee, round_) for round_ in range(1, 9)])
    async with (
        upstream(chain) as url,
        relaying(url, archive=path) as (_, client),
        asyncio.timeout(30),
        client.get("/v2/beacons/default/events?from=1") as answer,
    ):
        for round_ in range(1, 12):
            while not (line := await answer.content.readline()).startswith(b"data"):
                pass
            assert parse_beacon(line.removeprefix(b"data: ")) == chain.committee.beacon(round_)


async def test_a_relay_that_finds_only_a_far_round_in_its_archive_knows_no_head(tmp_path: Path):
    chain = LivingChain()
    rows = [forged(chain.committee, round_) for round_ in (*range(1, 5), FAR)]
    archive = archived(tmp_path / "archive.sqlite", chain, rows)
    info = tmp_path / "chain.json"
    info.write_bytes(chain_info_json(chain.info()))
    async with relaying("http://127.0.0.1:9", archive=archive, chains=(str(info),)) as (relay, client):
        assert [await given(client, f"/public/{path}") for path in ("latest", "3")] == [None, None]
        assert relay.lies == {str(archive): 4}


@pytest.mark.parametrize(
    ("scheme", "absent"), [("bls-unchained-g1-rfc9380", {3, 8}), ("pedersen-bls-chained", {3, 4, 8, 9})]
)
async def test_a_forged_row_of_a_nodes_store_is_absent_and_the_node_goes_on_behind_it(
    scheme: str, absent: set[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    committee = Committee(scheme_named(scheme), size=3, threshold=2)
    path = tmp_path / "drand.sqlite"
    store = stored(path, committee, [committee.beacon(0)])
    for round_ in range(1, 9):
        store._connection.execute("INSERT INTO beacons VALUES (?, ?)", _row(committee, round_))  # type: ignore[union-attr]
    async with relaying(stores=(path,)) as (relay, client):
        latest = await given(client, "/public/latest")
        assert latest == committee.beacon(7)
        async with client.get("/v2/beacons/default/events") as answer:
            for round_ in range(9, 12):
                store._connection.execute("INSERT INTO beacons VALUES (?, ?)", _row(committee, round_))  # type: ignore[union-attr]
            async with asyncio.timeout(30):
                while (line := await answer.content.readline()) != b"id: 11\n":
                    assert line != b"id: 8\n"
        found = {round_: await given(client, f"/public/{round_}") for round_ in range(1, 12)}
        assert {round_ for round_, beacon in found.items() if beacon is None} == absent
        assert all(beacon == committee.beacon(round_) for round_, beacon in found.items() if beacon is not None)
        assert relay.lies == {str(path): len(absent)}
        assert caplog.text.count(f"LIE: {path}") == len(absent), "each is named once"
    store.close()


def _row(committee: Committee, round_: int) -> tuple[int, bytes]:
    good = committee.beacon(round_)
    return round_, committee.beacon(1).signature if round_ in (3, 8) else good.signature


class Shelved:
    """A shelf over a list that counts what was read."""

    def __init__(self, beacons: Sequence[Beacon]) -> None:
        self.beacons = {one.round: one for one in beacons}

    def last(self, below: Round | None = None) -> Beacon | None:
        rounds = [one for one in self.beacons if below is None or one < below]
        return self.beacons[max(rounds)] if rounds else None

    def get(self, round_: Round) -> Beacon | None:
        return self.beacons.get(round_)

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        found = []
        while len(found) < limit and (one := self.beacons.get(Round(first + len(found)))) is not None:
            found.append(one)
        return found


async def nobody(round_: Round) -> Beacon:
    raise BeaconNotFound(f"nobody has round {round_}")


async def test_a_round_is_verified_once_and_again_when_its_row_has_changed(monkeypatch: pytest.MonkeyPatch):
    chain = LivingChain()
    committee, shelf = chain.committee, Shelved(chain.committee.beacons(1, 12))
    verified = verifying(shelf, chain.info())
    checked: list[int] = []
    check, batch = verified.verdicts.verifier.check, verified.verdicts.verifier.bad_rounds
    monkeypatch.setattr(verified.verdicts.verifier, "check", lambda one: (checked.append(one.round), check(one)))
    monkeypatch.setattr(
        verified.verdicts.verifier,
        "bad_rounds",
        lambda rows, entropy: (checked.extend(one.round for one in rows), batch(rows, entropy))[1],
    )
    relayed = RelayedChain(chain.info(), verified, nobody)
    assert (relayed.last(), checked) == (committee.beacon(12), [12])
    assert relayed.get(Round(4)) == relayed.get(Round(4)) == committee.beacon(4)
    assert relayed.range(Round(4), 9) == [committee.beacon(4)], "what was not verified is not at hand"
    both = await asyncio.gather(relayed.stored(Round(1), 12), relayed.stored(Round(1), 12))
    assert both == [list(committee.beacons(1, 12))] * 2
    assert relayed.range(Round(1), 12) == both[0]
    assert sorted(checked) == list(range(1, 13))
    shelf.beacons[Round(5)] = forged(committee, 5)
    assert relayed.get(Round(5)) is None
    assert relayed.range(Round(1), 12) == list(committee.beacons(1, 4))
    assert await relayed.stored(Round(6), 12) == list(committee.beacons(6, 12))


async def test_a_range_whose_asker_leaves_is_judged_all_the_same():
    chain = LivingChain()
    verified = verifying(Shelved(chain.committee.beacons(1, 12)), chain.info())
    asking = asyncio.ensure_future(verified.verify(Round(1), 12))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (asking.cancelled(), verified.passed(Round(1), 12)) == (True, {})
    await verified.verify(Round(1), 0)  # its turn comes when the other one's is over
    assert len(verified.passed(Round(1), 12)) == 12


async def test_rows_behind_a_gap_are_verified_together_with_those_before_it():
    chain = LivingChain()
    committee = chain.committee
    shelf = Shelved([*committee.beacons(1, 3), *committee.beacons(5, 8)])
    relayed = RelayedChain(chain.info(), verifying(shelf, chain.info()), nobody)
    assert await relayed.stored(Round(1), 8) == list(committee.beacons(1, 3))
    relayed.keep(committee.beacon(4))
    assert relayed.range(Round(5), 8) == list(committee.beacons(5, 8))


def test_the_head_is_the_highest_round_that_is_due_and_verifies_among_a_bounded_number(
    caplog: pytest.LogCaptureFixture,
):
    chain = LivingChain()
    committee, lies = chain.committee, list[str]()
    future = committee.beacon(200)
    shelf = Shelved([*committee.beacons(1, 5), *(forged(committee, at) for at in (6, 7)), future])
    assert verifying(shelf, chain.info(), lies.append).last() == committee.beacon(5)
    assert lies == ["file", "file"]
    caplog.clear()
    old = replace(chain.info(), genesis_unix_s=1)
    logging.getLogger("drand.relay.verified").filters[:] = [LogBudget()]
    many = Shelved([*committee.beacons(1, 2), *(forged(committee, at) for at in range(3, 3 + HEAD_LOOKS))])
    lies.clear()
    assert verifying(many, old, lies.append).last() is None
    assert len(lies) == HEAD_LOOKS
    assert caplog.text.count("LIE: file") == LINES_A_MINUTE, "readers choose which rows are read"


async def test_the_genesis_is_the_seed_and_no_other(tmp_path: Path):
    chain = LivingChain()
    seed = Beacon(Round(0), chain.info().genesis_seed)
    assert verifying(Shelved([seed]), chain.info()).last() == seed
    assert verifying(Shelved([replace(seed, signature=bytes(32))]), chain.info()).last() is None
