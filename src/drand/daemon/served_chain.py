"""One chain as the HTTP routes see it."""

from drand.daemon.beacon import BeaconShell
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.group import Group


class ServedChain:
    """Reads a running beacon's store and waits on its feed."""

    def __init__(self, shell: BeaconShell, group: Group) -> None:
        self._shell = shell
        self._info = group.chain_info()

    def info(self) -> ChainInfo:
        """What clients verify with."""
        return self._info

    def last(self) -> Beacon | None:
        """The head of the chain."""
        return self._shell.head

    def get(self, round_: Round) -> Beacon | None:
        """One stored beacon."""
        return self._shell.store.get(round_)

    async def wait(self, round_: Round) -> Beacon:
        """The beacon of `round_` as soon as it is stored."""
        return self._shell.store.get(round_) or await self._shell.feed.wait(round_)
