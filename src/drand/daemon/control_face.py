"""What the operator may ask of this daemon, over its control socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from collective.errors import BadSetting, CollectiveError, OutOfTurn
from drand.daemon.beacon import BeaconShell
from drand.daemon.status import node_status
from drand.errors import DrandError
from drand.model.chain import ChainInfo
from drand.model.group import Group, Peer
from drand.model.packets import OUR_VERSION, Metadata
from drand.model.schemes import SCHEME_NAMES
from drand.model.status import NodeStatus
from drand.model.vault_messages import UserEntropy
from drand.net.handlers import CeremonyProgress, FollowOrder, SetupOrder, SyncProgress
from drand.protocol.ceremony_view import CeremonyView, State
from drand.protocol.steps import AbandonCeremony, Commanded, JoinCeremony, LeadCeremony

if TYPE_CHECKING:
    from drand.daemon.daemon import Daemon


class CeremonyLost(DrandError):
    """The ceremony ended without a key."""

    hint = "see the daemon's log on every node, mend what it names, and run `drand share` again on all of them"


INTERRUPTED_HINT = (
    "a key generation that had begun goes on by itself once the beacon runs again; see `drand util status`,"
    " and run `drand share` again where it had not"
)
NOT_JOINED_HINT = "no key generation had begun: mend what it names, and run `drand share` again on this node alone"

SQLITE_MAGIC = b"SQLite format 3\0"


class ControlFace:
    """Implements drand.net.handlers.ControlHandlers."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon

    def reply_metadata(self, metadata: Metadata) -> Metadata:
        """What goes on the answers about one beacon."""
        if not self._daemon.is_running(metadata.beacon_id or "default"):
            return Metadata(OUR_VERSION, metadata.beacon_id)
        return self._daemon.reply_metadata(metadata)

    async def status(self, metadata: Metadata, check: Sequence[Peer]) -> NodeStatus:
        """Where the beacon stands, and which of `check` (none: its group) answer."""
        self._count("Status")
        shell = self._daemon.meant(metadata)
        return await self._status_of(shell, check)

    async def _status_of(self, shell: BeaconShell, check: Sequence[Peer]) -> NodeStatus:
        others = [peer for peer in check or shell.peers() if peer.address != shell.identity.address]
        return node_status(shell, await self._daemon.doorbell.answering(others, shell.metadata()))

    async def list_schemes(self) -> Sequence[str]:
        """Names of the schemes that this version knows."""
        return SCHEME_NAMES

    async def list_beacon_ids(self) -> Sequence[str]:
        """Ids of the beacons that are loaded."""
        return sorted(self._daemon.shells)

    def _count(self, method: str) -> None:
        self._daemon.metrics.called(method)

    # ------------------------------------------------------------ ceremonies

    async def init_dkg(self, metadata: Metadata, order: SetupOrder) -> Group:
        """Lead or join a fresh ceremony; returns the group with its key. Runs to its end when the caller leaves."""
        self._count("InitDKG")
        shell = await self._daemon.loaded(metadata.beacon_id)
        if order.scheme_name and order.scheme_name != shell.identity.scheme.name:
            raise BadSetting(
                f"the key of beacon {shell.beacon_id} is for {shell.identity.scheme.name}, not {order.scheme_name}",
                hint="the key's scheme decides: generate a key pair for the wanted scheme under another id",
            )
        shell.refusals.last_group = ""
        changed = shell.changed()
        shell.step(Commanded(_command(order)))
        joining = False  # to the end: no key generation began
        while not _over(view := shell.machine.ceremony):
            joining = view.state is State.JOINING
            await changed.wait()
            changed = shell.changed()
            if interruption := _interruption(shell):
                raise CeremonyLost(interruption, hint=INTERRUPTED_HINT)
        if view.failure is not None:
            raise CeremonyLost(view.failure, hint=NOT_JOINED_HINT if joining else None)
        return shell.group()

    async def init_reshare(self, metadata: Metadata, order: SetupOrder) -> Group:
        """Not in this version."""
        raise OutOfTurn("resharing is not available in this version", hint="the group stays as it is and goes on")

    async def ceremony(self, metadata: Metadata) -> AsyncIterator[CeremonyProgress]:
        """The running ceremony's state now (or once one begins), and after every change, until it is over."""
        shell = self._daemon.shell(metadata.beacon_id)
        changed = shell.changed()
        began = False
        had_group = shell.machine.ceremony.state is State.RUNNING  # of a ceremony that is long over
        while True:
            view = shell.machine.ceremony
            began = began or not (view.state is State.IDLE or (view.state is State.RUNNING and had_group))
            interruption = _interruption(shell)
            if interruption:
                yield CeremonyProgress(beacon_id=shell.beacon_id, stage="failed", reason=interruption)
                return
            if began:
                progress = _progress(shell, view)
                yield progress
                if progress.over:
                    return
            await changed.wait()
            changed = shell.changed()

    async def abandon(self, metadata: Metadata, reason: str) -> None:
        """End the running ceremony without a key; raises OutOfTurn where none runs."""
        self._daemon.shell(metadata.beacon_id).step(Commanded(AbandonCeremony(reason)))

    # ------------------------------------------------------------ what there is

    async def public_key(self, metadata: Metadata) -> bytes:
        """The encoded long-term public key."""
        self._count("PublicKey")
        return self._daemon.meant(metadata).identity.key

    async def chain_info(self, metadata: Metadata) -> ChainInfo:
        """What clients verify with."""
        self._count("ChainInfo")
        return self._daemon.meant(metadata).group().chain_info()

    async def group_file(self, metadata: Metadata) -> Group:
        """The current group."""
        self._count("GroupFile")
        return self._daemon.meant(metadata).group()

    async def remote_status(self, metadata: Metadata, peers: Sequence[Peer]) -> Mapping[str, NodeStatus]:
        """The status of other nodes by address; those that do not answer are absent."""
        self._count("RemoteStatus")
        shell = self._daemon.meant(metadata)
        members = {peer.address: peer for peer in shell.peers()}  # how they are reached is in the group, not a guess

        async def ask(peer: Peer) -> NodeStatus | None:
            if peer.address == shell.identity.address:
                return await self._status_of(shell, ())
            try:
                return await self._daemon.client.status(members.get(peer.address, peer), shell.metadata())
            except CollectiveError:
                return None  # absent from the answer: that is how the caller learns of it

        found = await asyncio.gather(*(ask(peer) for peer in peers))
        return {peer.address: status for peer, status in zip(peers, found, strict=True) if status is not None}

    # ------------------------------------------------------------ life

    async def shutdown(self, metadata: Metadata) -> None:
        """Stop one beacon; the whole daemon when the id is empty."""
        self._count("Shutdown")
        if metadata.beacon_id:
            await self._daemon.unload(metadata.beacon_id)
        else:
            self._daemon.ask_to_stop()

    async def load_beacon(self, metadata: Metadata) -> None:
        """Start a beacon from its files."""
        self._count("LoadBeacon")
        await self._daemon.load(metadata.beacon_id)

    async def backup(self, metadata: Metadata, output: Path) -> None:
        """Write a copy of the beacon's store."""
        self._count("BackupDatabase")
        shell = self._daemon.meant(metadata)
        if shell.head is None:
            raise OutOfTurn("drand: beacon not setup yet")
        _check_replaceable(output)
        await asyncio.to_thread(shell.store.backup, output)

    def start_follow(self, metadata: Metadata, order: FollowOrder) -> AsyncIterator[SyncProgress]:
        """Not in this version."""
        raise OutOfTurn(
            "following a chain is not available in this version", hint="members of the group catch up by themselves"
        )

    def start_check(self, metadata: Metadata, order: FollowOrder) -> AsyncIterator[SyncProgress]:
        """Not in this version."""
        raise OutOfTurn(
            "checking a stored chain is not available in this version", hint="`drand verify` checks beacons offline"
        )


def _check_replaceable(output: Path) -> None:
    """Raise BadSetting where a file is at `output` that is not a store: a backup replaces nothing but older ones."""
    try:
        with output.open("rb") as file:
            older = file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadSetting(f"cannot write the backup {output}: {error.strerror}", hint="name another file") from error
    if not older:
        raise BadSetting(
            f"{output} exists already and is no backup of this program",
            hint="a backup replaces only older ones: name another file, or remove this one",
        )


def _command(order: SetupOrder) -> LeadCeremony | JoinCeremony:
    entropy = None
    if order.entropy_script:
        entropy = UserEntropy(order.entropy_script, order.entropy_user_only)
    if order.leader is not None:
        return JoinCeremony(leader=order.leader, secret=order.secret, entropy=entropy)
    return LeadCeremony(
        nodes=order.nodes,
        threshold=order.threshold,
        period_s=order.period_s,
        catchup_period_s=order.catchup_period_s or 0,
        dkg_timeout_s=order.timeout_s,
        beacon_offset_s=order.beacon_offset_s,
        secret=order.secret,
        entropy=entropy,
    )


def _trouble(view: CeremonyView) -> str:
    return f"asking the leader again: {view.trouble}" if view.trouble else ""


def _over(view: CeremonyView) -> bool:
    return view.state in (State.IDLE, State.RUNNING)


def _interruption(shell: BeaconShell) -> str:
    """Why nothing more is heard of the ceremony for now, "" while all is well."""
    if shell.stopped:
        return f"beacon {shell.beacon_id} was stopped"
    return str(shell.failure) if shell.failure is not None else ""


def _progress(shell: BeaconShell, view: CeremonyView) -> CeremonyProgress:
    """One moment of a ceremony, as the command line shows it."""
    beacon_id = shell.beacon_id
    if view.state is State.IDLE:
        return CeremonyProgress(beacon_id=beacon_id, stage="failed", reason=view.failure or "abandoned")
    if view.state in (State.LEADING, State.JOINING):
        stage = "waiting"
    else:
        stage = view.phase.value if view.phase is not None else "proposed"
    return CeremonyProgress(
        beacon_id=beacon_id,
        stage=stage,
        leader=view.leader,
        joined=tuple(view.joined),
        wanted=view.wanted,
        received=view.received,
        wanted_bundles=view.expected,
        reason=(shell.refusals.last_group or _trouble(view)) if stage == "waiting" else "",
    )
