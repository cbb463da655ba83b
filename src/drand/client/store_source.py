"""Beacons from the store of a node or relay on this machine, while that process may write to it."""

from collections.abc import AsyncGenerator
from pathlib import Path

from drand.client.contract import MAX_BATCH
from drand.client.errors import ChainNotServed, RoundMissing, SourceUnreachable, WrongChain
from drand.model.chain import Beacon, ChainInfo, Round
from drand.store.contract import StoreFailed
from drand.store.sqlite import SqliteStore, open_reader


class StoreSource:
    """A `drand.sqlite`, opened read-only with the first question. Its calls are short and run in the loop's thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._store: SqliteStore | None = None

    def __repr__(self) -> str:
        return f"<StoreSource {self.name}>"

    @property
    def clock_ahead_s(self) -> float | None:
        """A store tells no time."""
        return None

    async def info(self, chain_hash: bytes) -> ChainInfo:
        """The chain of the store's epoch record; raises ChainNotServed where it has none, WrongChain."""
        info = self._recorded()
        if info is None:
            raise ChainNotServed(self.name, "does not say which chain it holds; give the chain's information")
        self._require(info, chain_hash)
        return info

    async def beacon(self, chain: ChainInfo, round_: Round | None) -> Beacon:
        """One round, or the last one stored."""
        store = self._opened(chain)
        try:
            found = store.last() if round_ is None else store.get(round_)
        except StoreFailed as error:
            raise SourceUnreachable(self.name, str(error)) from error
        if found is None or found.round == 0:
            raise RoundMissing(self.name, f"does not have {'any round' if round_ is None else f'round {round_}'}")
        return found

    async def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        """Ranges of the table."""
        at = int(first)
        while at <= last:
            try:
                batch = self._opened(chain).range(Round(at), min(MAX_BATCH, int(last) - at + 1))
            except StoreFailed as error:
                raise SourceUnreachable(self.name, str(error)) from error
            if not batch or batch[0].round != at:
                raise RoundMissing(self.name, f"does not have round {at}")
            yield batch
            at = batch[-1].round + 1

    def events(self, chain: ChainInfo) -> AsyncGenerator[Beacon, None] | None:
        """A store tells nobody."""
        return None

    async def close(self) -> None:
        """Close the file."""
        self._shut()

    def _shut(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _opened(self, chain: ChainInfo) -> SqliteStore:
        if self._store is None:
            recorded = self._recorded()
            if recorded is not None:
                self._require(recorded, chain.hash())
        return self._file()

    def _file(self) -> SqliteStore:
        if self._store is None:
            try:
                self._store = open_reader(self.path)
            except StoreFailed as error:
                raise SourceUnreachable(self.name, str(error), hint=error.advice) from error
        return self._store

    def _recorded(self) -> ChainInfo | None:
        try:
            epoch = self._file().epoch()
        except StoreFailed as error:
            self._shut()  # what is open counts as looked at
            raise SourceUnreachable(self.name, str(error)) from error
        return None if epoch is None else epoch.group.chain_info()

    def _require(self, info: ChainInfo, chain_hash: bytes) -> None:
        if info.hash() != chain_hash:
            self._shut()  # the next question is refused, too
            raise WrongChain(self.name, f"is the store of chain {info.hash().hex()}")
