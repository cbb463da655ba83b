"""The store of a node on this machine as a source."""

from dataclasses import replace
from pathlib import Path

import pytest

from drand.client.errors import SourceUnreachable, WrongChain
from drand.client.store_source import StoreSource
from drand.model.chain import Round
from drand.model.records import EpochStarted
from drand.store.contract import StoreFailed
from drand.store.sqlite import SqliteStore, open_store
from tests.support.http_chain import chain, committee

OTHER = replace(chain(), genesis_seed=bytes(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = open_store(tmp_path / "drand.sqlite", chained=False)
    store.persist(EpochStarted(committee().epoch(0)))
    store.append(committee().beacons(0, 9))
    store.close()
    return tmp_path / "drand.sqlite"


async def test_the_store_of_another_chain_is_refused_however_often_it_is_asked(path: Path):
    source = StoreSource(path)
    for _ in range(2):
        with pytest.raises(WrongChain):
            await source.beacon(OTHER, Round(7))
        with pytest.raises(WrongChain):
            await source.info(OTHER.hash())
        with pytest.raises(WrongChain):
            await anext(source.batches(OTHER, Round(1), Round(7)))
    assert await source.info(chain().hash()) == chain()
    assert await source.beacon(chain(), Round(7)) == committee().beacon(7)
    await source.close()


async def test_a_store_that_could_not_say_its_chain_is_asked_for_it_again(path: Path, monkeypatch: pytest.MonkeyPatch):
    def locked(_store: SqliteStore) -> None:
        raise StoreFailed("the database is locked")

    source = StoreSource(path)
    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "epoch", locked)
        with pytest.raises(SourceUnreachable, match="locked"):
            await source.beacon(OTHER, Round(7))
    with pytest.raises(WrongChain):
        await source.beacon(OTHER, Round(7))
