"""The shell around one beacon's machine: it performs what the machine asks for, and brings the answers back as events.

Rules of a protocol are in drand.protocol; here is only how its effects are carried out on this computer.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from collective.clock import Clock
from collective.entropy import Entropy
from collective.errors import CollectiveError, Malformed, OutOfTurn, Unavailable
from collective.files import DiskRefused
from collective.machine import Persist, Restarted, WakeAt
from collective.runner import Alarms, Runner
from drand.daemon.checking import BeaconChecker
from drand.daemon.epochs import write_group_file
from drand.daemon.feed import BeaconFeed
from drand.daemon.folders import BeaconFolder
from drand.daemon.reporting import say
from drand.model.chain import Beacon
from drand.model.group import Group, Identity, Peer
from drand.model.packets import OUR_VERSION, DkgPacket, Metadata, PartialPacket, SyncedBeacon, SyncRequest
from drand.model.records import BeaconStored, EpochStarted, Record
from drand.model.vault_messages import VaultRefused, VaultRequest
from drand.net.errors import PeerRefused
from drand.net.peer_client import PeerClient
from drand.protocol.node import BeaconProcess
from drand.protocol.steps import (
    Abandon,
    Answered,
    AskVault,
    BeaconsChecked,
    BeaconsReceived,
    Call,
    CallFailed,
    CheckBeacons,
    Effect,
    Event,
    Fact,
    FetchBeacons,
    Ids,
    Publish,
    Report,
    Send,
    StreamEnded,
    VaultReplied,
)
from drand.store.contract import BeaconStore, StoreFailed
from drand.vault.links import VaultLink

BOOT_BYTES = 6  # of randomness in the name of one life of the process
REVIVE_AFTER_S = 5.0  # a store that failed is tried again this much later


class NoGroupYet(OutOfTurn):
    """Something of the group is asked for before its ceremony."""

    hint = "hold the key generation first: `drand share`"


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a beacon's shell works with and does not own."""

    clock: Clock
    entropy: Entropy
    client: PeerClient
    checker: BeaconChecker


class BeaconShell:
    """One beacon id of a daemon.

    observe    hears of every fact, after it is logged (metrics, progress displays)
    settled    called when an epoch has begun: the chain hash is known
    """

    def __init__(
        self,
        *,
        identity: Identity,
        beacon_id: str,
        folder: BeaconFolder,
        store: BeaconStore,
        vault: VaultLink,
        outside: Outside,
        observe: Callable[["BeaconShell", Fact], None],
        settled: Callable[["BeaconShell"], None],
    ) -> None:
        self.identity = identity
        self.beacon_id = beacon_id
        self.folder = folder
        self.store = store
        self.feed = BeaconFeed()
        self.failure: StoreFailed | None = None
        self._vault = vault
        self._outside = outside
        self._observe = observe
        self._settled = settled
        self._log = logging.getLogger(f"{identity.address}.{beacon_id}")
        self.unreachable: dict[str, int] = {}  # messages that failed, by the peer's address, since the start
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._alarms = Alarms(outside.clock, self._post)
        self._runner = self._new_runner()

    # ------------------------------------------------------------ begin and end

    @property
    def machine(self) -> BeaconProcess:
        """The machine, for its read-only views."""
        machine = self._runner.machine
        assert isinstance(machine, BeaconProcess)
        return machine

    def start(self) -> None:
        """Bring the machine to where its disk says it was. Raises what it refuses to start with."""
        records: list[Record] = list(self.store.journal())
        epoch, last = self.store.epoch(), self.store.last()
        if epoch is not None:
            records.insert(0, EpochStarted(epoch))
        if last is not None:
            records.append(BeaconStored(last))
        self.step(Restarted(tuple(records)))
        if epoch is not None:
            self._settled(self)

    async def stop(self) -> None:
        """Stop everything of this beacon and close its store."""
        self._quiet()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.store.close()

    def step(self, event: Event) -> None:
        """Hand an event to the machine; raises its refusal."""
        if self.failure is not None:
            raise self.failure
        try:
            self._runner.step(event)
        except StoreFailed as error:
            self._fail(error)
            raise

    def _post(self, event: Event) -> None:
        """Hand over an event nobody waits for."""
        if self.failure is not None:
            return
        try:
            self._runner.post(event)
        except StoreFailed as error:
            self._fail(error)

    def _new_runner(self) -> Runner[Event, Effect]:
        boot = self._outside.entropy.bytes(BOOT_BYTES).hex()
        machine = BeaconProcess(self.identity, self.beacon_id, Ids(boot))
        return Runner(machine, perform=self._perform, refused=self._refused, clock=self._outside.clock)

    def _quiet(self) -> None:
        self._alarms.cancel_all()
        for task in self._tasks:
            task.cancel()
        self._calls.clear()

    # ------------------------------------------------------------ a disk that refuses

    def _fail(self, error: StoreFailed) -> None:
        """The disk refused a record: the machine is ahead of it, so it is dropped and rebuilt from there later."""
        if self.failure is not None:
            return
        self.failure = error
        self._log.error("%s; trying again in %g s (%s)", error, REVIVE_AFTER_S, error.advice)
        self._quiet()
        asyncio.get_running_loop().call_later(REVIVE_AFTER_S, self._revive)

    def _revive(self) -> None:
        self.failure = None
        self._runner = self._new_runner()
        try:
            self.start()
            self._log.info("the store works again")
        except CollectiveError as error:
            if not isinstance(error, StoreFailed):
                self._log.error("cannot go on: %s (%s)", error, error.advice)

    # ------------------------------------------------------------ effects

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Persist(record):
                self.store.persist(record)
                if isinstance(record, EpochStarted):
                    self._export_group(record.epoch.group)
                    self._settled(self)
            case Send(peers, message):
                self._spawn(self._send(peers, message))
            case Call():
                self._calls[effect.call_id] = self._spawn(self._call(effect))
            case FetchBeacons():
                self._calls[effect.call_id] = self._spawn(self._fetch(effect))
            case Abandon(call_id):
                task = self._calls.pop(call_id, None)
                if task is not None:
                    task.cancel()
            case CheckBeacons():
                self._spawn(self._check(effect))
            case AskVault(request):
                self._spawn(self._ask_vault(request))
            case WakeAt():
                self._alarms.set(effect)
            case Publish(beacon):
                self.feed.publish(beacon)
            case Report(fact):
                say(self._log, fact)
                self._observe(self, fact)
            case _:
                assert_never(effect)

    def _refused(self, event: Event, error: CollectiveError) -> None:
        self._log.warning("refused %s: %s", type(event).__name__, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("a task failed", exc_info=error)

    def _export_group(self, group: Group) -> None:
        """Write the file that Go reads; the record is on disk already, so a refusal is mended at the next start."""
        try:
            write_group_file(self.folder.group_file, group)
        except DiskRefused as error:
            self._log.error("%s (%s)", error, error.advice)

    async def _send(self, peers: tuple[Peer, ...], message: PartialPacket | DkgPacket) -> None:
        reached = await self._outside.client.broadcast(peers, message, self.metadata(), self._not_reached)
        self._log.debug("sent %s to %d of %d", type(message).__name__, reached, len(peers))

    def _not_reached(self, peer: Peer, error: CollectiveError) -> None:
        self.unreachable[peer.address] = self.unreachable.get(peer.address, 0) + 1
        self._log.debug("sending to %s failed: %s", peer.address, error)

    async def _call(self, call: Call) -> None:
        try:
            answer = await self._outside.client.call(
                call.peer, call.question, self.metadata(), scheme=self.identity.scheme
            )
        except CollectiveError as error:
            reason = error.text if isinstance(error, PeerRefused) else str(error)
            self._finish_call(call.call_id, CallFailed(call.call_id, reason))
        else:
            self._finish_call(call.call_id, Answered(call.call_id, answer))

    async def _fetch(self, fetch: FetchBeacons) -> None:
        reason: str | None = None
        try:
            request = SyncRequest(fetch.from_round, self.beacon_id)
            async with self._outside.client.sync(fetch.peer, request, patience_s=fetch.patience_s) as batches:
                async for batch in batches:
                    self._post(BeaconsReceived(fetch.call_id, self._of_this_chain(fetch, batch)))
                    if any(synced.beacon.round >= fetch.up_to for synced in batch):
                        break
        except CollectiveError as error:
            reason = str(error)
        self._finish_call(fetch.call_id, StreamEnded(fetch.call_id, reason))

    def _of_this_chain(self, fetch: FetchBeacons, batch: Sequence[SyncedBeacon]) -> tuple[Beacon, ...]:
        """The beacons of one batch up to the wanted round; raises Malformed when the stream is another chain's."""
        strangers = {synced.beacon_id for synced in batch} - {self.beacon_id, ""}
        if strangers:
            raise Malformed(f"{fetch.peer.address} sent beacons of {sorted(strangers)}, asked for {self.beacon_id!r}")
        return tuple(synced.beacon for synced in batch if synced.beacon.round <= fetch.up_to)

    def _finish_call(self, call_id: int, event: Event) -> None:
        if self._calls.pop(call_id, None) is not None:
            self._post(event)

    async def _check(self, check: CheckBeacons) -> None:
        bad = await self._outside.checker.bad_rounds(check.group, check.beacons)
        self._post(BeaconsChecked(check.check_id, bad))

    async def _ask_vault(self, request: VaultRequest) -> None:
        try:
            reply = await self._vault.ask(request)
        except Unavailable as error:
            reply = VaultRefused(request.request_id, str(error), retry=True)
        self._post(VaultReplied(reply))

    # ------------------------------------------------------------ for those who read

    @property
    def head(self) -> Beacon | None:
        """The last stored beacon."""
        return self.store.last() if self.failure is None else None

    def peers(self) -> tuple[Peer, ...]:
        """The other members of the group; none before there is one."""
        epoch = self.machine.epoch
        return epoch.group.peers_but(self.identity) if epoch is not None else ()

    def metadata(self) -> Metadata:
        """What goes on messages about this beacon: version, id, chain hash once known."""
        epoch = self.machine.epoch
        chain_hash = epoch.group.chain_info().hash() if epoch is not None else b""
        return Metadata(OUR_VERSION, self.beacon_id, chain_hash)

    def group(self) -> Group:
        """The group with its key; raises NoGroupYet before there is one."""
        epoch = self.machine.epoch
        if epoch is None:
            raise NoGroupYet(f"drand: no dkg group setup yet for beacon {self.beacon_id}")
        return epoch.group
