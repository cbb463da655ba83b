"""Where one beacon stands, in the nouns of `util status`."""

import asyncio
from collections.abc import Sequence

from collective.errors import CollectiveError
from drand.daemon.beacon import BeaconShell
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.status import ChainStatus, DkgState, NodeStatus, ReshareState
from drand.net.peer_client import PeerClient
from drand.protocol.ceremony_view import State

_DKG = {State.IDLE: DkgState.NOT_STARTED, State.RUNNING: DkgState.DONE}


async def node_status(shell: BeaconShell, client: PeerClient, check: Sequence[Peer]) -> NodeStatus:
    """The beacon's status; `check` are dialled, all at once."""
    running = shell.machine.running is not None and shell.failure is None
    last = shell.head
    return NodeStatus(
        dkg=_DKG.get(shell.machine.state, DkgState.IN_PROGRESS),
        reshare=ReshareState.IDLE,
        is_inited=running,
        is_running=running,
        is_stopped=shell.failure is not None,
        is_started=running,
        is_serving=running,
        chain=ChainStatus(
            is_empty=last is None,
            last_round=last.round if last is not None else Round(0),
            length=shell.store.count() if last is not None else 0,
        ),
        connections=await answering(shell, client, check),
    )


async def answering(shell: BeaconShell, client: PeerClient, check: Sequence[Peer]) -> dict[str, bool]:
    """Which of `check` answer."""

    async def answers(peer: Peer) -> bool:
        try:
            await client.home(peer, shell.metadata())
        except CollectiveError:
            return False
        return True

    others = [peer for peer in check if peer.address != shell.identity.address]
    results = await asyncio.gather(*(answers(peer) for peer in others))
    return {peer.address: result for peer, result in zip(others, results, strict=True)}
