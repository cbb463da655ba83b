"""Where one beacon stands, in the nouns of `util status`."""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from collective.errors import CollectiveError
from drand.daemon.beacon import BeaconShell
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import Metadata
from drand.model.status import ChainStatus, DkgState, NodeStatus, ReshareState
from drand.net.peer_client import PeerClient
from drand.protocol.ceremony_view import State
from drand.store.contract import StoreFailed

FRESH_S = 5.0  # whether a peer answers is not asked again for so long

_DKG = {State.IDLE: DkgState.NOT_STARTED, State.RUNNING: DkgState.DONE}
_UNKNOWN = ChainStatus(is_empty=True, last_round=Round(0), length=0)

log = logging.getLogger(__name__)


def node_status(shell: BeaconShell, connections: Mapping[str, bool]) -> NodeStatus:
    """The beacon's status now, with what is known of its connections."""
    running = shell.machine.running is not None and shell.failure is None
    return NodeStatus(
        dkg=_DKG.get(shell.machine.state, DkgState.IN_PROGRESS),
        reshare=ReshareState.IDLE,
        is_inited=running,
        is_running=running,
        is_stopped=shell.failure is not None,
        is_started=running,
        is_serving=running,
        chain=_chain_status(shell),
        connections=connections,
        other_chains={address: other.chain_hash for address, other in shell.agreement.others.items()},
    )


def _chain_status(shell: BeaconShell) -> ChainStatus:
    """What the store holds; a store that cannot be read (it has said so in the log) looks empty."""
    try:
        last = shell.head
        if last is None:
            return _UNKNOWN
        return ChainStatus(is_empty=False, last_round=last.round, length=shell.store.count())
    except StoreFailed as error:
        log.warning("status: %s", error)
        return _UNKNOWN


class Doorbell:
    """Finds out which peers answer.

    However many ask, each peer is dialled once at a time and not again for FRESH_S: a stranger who asks for our status
    over and over makes us send next to nothing. Holds one entry for each peer asked about lately.
    """

    def __init__(self, client: PeerClient, fresh_s: float = FRESH_S) -> None:
        self._client = client
        self._fresh_s = fresh_s
        self._rung: dict[Peer, asyncio.Task[bool]] = {}

    async def answering(self, peers: Iterable[Peer], metadata: Metadata) -> dict[str, bool]:
        """By address, whether the peer answers now."""
        asked = {peer.address: self._ring(peer, metadata) for peer in peers}
        results = await asyncio.gather(*(asyncio.shield(task) for task in asked.values()))
        return dict(zip(asked, results, strict=True))

    def close(self) -> None:
        """Ask no more."""
        for task in self._rung.values():
            task.cancel()

    def _ring(self, peer: Peer, metadata: Metadata) -> asyncio.Task[bool]:
        task = self._rung.get(peer)
        if task is None:
            task = self._rung[peer] = asyncio.get_running_loop().create_task(self._answers(peer, metadata))
            task.add_done_callback(lambda _: self._forget_later(peer))
        return task

    def _forget_later(self, peer: Peer) -> None:
        asyncio.get_running_loop().call_later(self._fresh_s, self._rung.pop, peer, None)

    async def _answers(self, peer: Peer, metadata: Metadata) -> bool:
        try:
            await self._client.home(peer, metadata)
        except CollectiveError:
            return False
        return True
