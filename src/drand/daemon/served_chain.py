"""One chain as the HTTP routes see it."""

from collections import deque
from collections.abc import Sequence

from drand.daemon.beacon import BeaconShell
from drand.daemon.feed import FeedClosed, Subscription
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.group import Group
from drand.net.http_chain import Contributions

REMEMBERED_ROUNDS = 100  # whose signers are kept


class ServedChain:
    """Reads a running beacon's store and waits on its feed."""

    fetches = False  # a node stores its whole chain

    def __init__(self, shell: BeaconShell, group: Group) -> None:
        self._shell = shell
        self._info = group.chain_info()
        self._group = group
        self._signed: deque[tuple[Round, tuple[int, ...]]] = deque(maxlen=REMEMBERED_ROUNDS)

    def info(self) -> ChainInfo:
        """What clients verify with."""
        return self._info

    def last(self) -> Beacon | None:
        """The head of the chain: the last beacon published, which is stored; the store's before the first one."""
        return self._shell.feed.latest or self._shell.head

    def get(self, round_: Round) -> Beacon | None:
        """One stored beacon."""
        return self._shell.store.get(round_)

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        """At most `limit` stored beacons from round `first` on, ascending."""
        return self._shell.store.range(first, limit)

    async def stored(self, first: Round, limit: int) -> Sequence[Beacon]:
        """The same: what this node stores it has verified."""
        return self.range(first, limit)

    def subscribe(self) -> Subscription:
        """Every beacon stored from now on; use it with `with`."""
        return self._shell.feed.subscribe()

    def note_signers(self, round_: Round, signers: tuple[int, ...]) -> None:
        """A round was aggregated here from the partials of `signers`."""
        self._signed.append((round_, signers))

    def contributions(self) -> Contributions:
        """Who signed the last rounds that were aggregated here."""
        epoch = self._shell.machine.epoch
        group = epoch.group if epoch is not None else self._group
        members = tuple((int(node.index), node.identity.address) for node in group.nodes)
        return Contributions(group.threshold, members, tuple(self._signed))

    async def wait(self, round_: Round) -> Beacon:
        """The beacon of `round_` as soon as it is stored; raises BeaconNotFound when the chain is stopped first."""
        try:
            return self._shell.store.get(round_) or await self._shell.feed.wait(round_)
        except FeedClosed as error:
            raise BeaconNotFound(f"round {round_} is not here, and this node stops serving the chain") from error
