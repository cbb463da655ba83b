"""The shell around one beacon's machine: it performs what the machine asks for, and brings the answers back as events.

Rules of a protocol are in drand.protocol; here is only how its effects are carried out on this computer. Where that
fails (the disk refuses a record, or there is a bug), machine and disk may differ: the machine is dropped, and built
anew from what the disk holds a few seconds later.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from collective.clock import Clock
from collective.entropy import Entropy
from collective.errors import CollectiveError, OutOfTurn
from collective.files import DiskRefused
from collective.machine import Persist, Restarted, WakeAt
from collective.runner import Alarms, Runner
from drand.daemon.agreement import Agreement, OtherChain
from drand.daemon.checking import BeaconChecker
from drand.daemon.epochs import write_group_file
from drand.daemon.errands import Errands, Home
from drand.daemon.feed import BeaconFeed
from drand.daemon.folders import BeaconFolder
from drand.daemon.reach import Reach
from drand.daemon.refusals import Refusals
from drand.daemon.reporting import say
from drand.errors import DrandError
from drand.model.chain import Beacon
from drand.model.group import Group, Identity, Peer
from drand.model.packets import OUR_VERSION, GroupPush, Message, Metadata
from drand.model.records import BeaconStored, EpochStarted, Record
from drand.net.peer_client import PeerClient
from drand.protocol.node import BeaconProcess
from drand.protocol.steps import (
    Abandon,
    AskVault,
    Call,
    CheckBeacons,
    Commanded,
    Effect,
    Event,
    Fact,
    FetchBeacons,
    Ids,
    Publish,
    Report,
    Send,
)
from drand.store.contract import BeaconStore, StoreFailed
from drand.vault.links import VaultLink

BOOT_BYTES = 6  # of randomness in the name of one life of the process
REVIVE_AFTER_S = 5.0  # what failed is tried again this much later
VAULT_PATIENCE_S = 1.0  # what the vault is answering may end; an operator's randomness script is not waited for


class NoGroupYet(OutOfTurn):
    """Something of the group is asked for before its ceremony."""

    hint = "hold the key generation first: `drand share`"


class BeaconStopped(OutOfTurn):
    """Something is asked of a beacon that was unloaded meanwhile."""

    hint = "load it again with `drand load`"


class BeaconBroken(DrandError):
    """A bug of ours stopped the machine; it is built anew from the disk."""

    hint = "please report the traceback in the daemon's log"


class _EffectFailed(Exception):
    """Carrying out an effect raised its `__cause__`: no refusal, the machine is ahead of what was done."""


class Observer(Protocol):
    """Hears of what happens to beacons (metrics, routing)."""

    def observe(self, shell: "BeaconShell", fact: Fact) -> None:
        """A fact was reported; it is logged already."""
        ...

    def settled(self, shell: "BeaconShell", group: Group) -> None:
        """An epoch has begun, or was found on disk: the chain hash is known."""
        ...

    def sent(self, shell: "BeaconShell", outcome: Mapping[str, bool]) -> None:
        """A partial was sent: by address, whether it was taken."""
        ...

    def compared(self, shell: "BeaconShell", others: Mapping[str, OtherChain]) -> None:
        """Members were asked for their chain: by address, those that hold another one."""
        ...


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a beacon's shell works with and does not own."""

    clock: Clock
    entropy: Entropy
    client: PeerClient
    checker: BeaconChecker
    observer: Observer


class BeaconShell:
    """One beacon id of a daemon.

    failure    why the machine stands still now, None while it runs
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
    ) -> None:
        self.identity = identity
        self.beacon_id = beacon_id
        self.folder = folder
        self.store = store
        self.feed = BeaconFeed()
        self.failure: CollectiveError | None = None
        self.stopped = False
        self.reach = Reach()
        self.refusals = Refusals()
        self.log = logging.getLogger(f"{identity.address}.{beacon_id}")
        self.agreement = Agreement(outside.client, beacon_id, self.log, self._compared)
        self._vault = vault
        self._outside = outside
        self._changed = asyncio.Event()
        self._revival: asyncio.TimerHandle | None = None
        self._errands = Errands(
            Home(
                beacon_id=beacon_id,
                scheme=identity.scheme,
                metadata=self.metadata,
                post=self._post,
                sent=self._sent,
                log=self.log,
            ),
            client=outside.client,
            checker=outside.checker,
            vault=vault,
        )
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
            self._settled(epoch.group)

    async def stop(self) -> None:
        """Stop everything of this beacon, let go of its readers, close vault and store."""
        self.stopped = True
        if self._revival is not None:
            self._revival.cancel()
        self._quiet()
        self.agreement.close()
        self.feed.close()
        self._tell()
        await self._errands.wait()
        try:
            await asyncio.wait_for(self._vault.close(), VAULT_PATIENCE_S)
        except TimeoutError:
            self.log.warning("the vault is still answering; what it was asked is begun again at the next start")
        try:
            self.store.close()
        except StoreFailed as error:
            self.log.error("%s (%s)", error, error.advice)

    def step(self, event: Event) -> None:
        """Hand an event to the machine; raises its refusal, and whatever stops the machine."""
        if self.stopped:
            raise BeaconStopped(f"beacon id [{self.beacon_id}] is not running")
        if self.failure is not None:
            raise self.failure
        try:
            self._runner.step(event)
        except CollectiveError:
            raise  # the machine's refusal: it has not changed
        except Exception as error:
            raise self._fail(error) from error
        if isinstance(event, Commanded):
            self._tell()  # a ceremony that begins is a change without a fact

    def _post(self, event: Event) -> None:
        """Hand over an event nobody waits for."""
        if self.stopped or self.failure is not None:
            return
        try:
            self._runner.post(event)
        except Exception as error:  # noqa: BLE001  # a bug must not leave a machine that is ahead of its disk
            self._fail(error)

    def _new_runner(self) -> Runner[Event, Effect]:
        boot = self._outside.entropy.bytes(BOOT_BYTES).hex()
        machine = BeaconProcess(self.identity, self.beacon_id, Ids(boot))
        return Runner(
            machine, persist=self._persist, perform=self._perform, refused=self._refused, clock=self._outside.clock
        )

    def _quiet(self) -> None:
        self._alarms.cancel_all()
        self._errands.cancel()

    # ------------------------------------------------------------ failure

    def _fail(self, error: Exception) -> CollectiveError:
        """An effect was not carried out, or the machine has a bug: drop the machine. Returns what callers are told."""
        cause = error.__cause__ if isinstance(error, _EffectFailed) else error
        if isinstance(cause, CollectiveError):
            self.failure = cause
            self.log.error("%s; trying again in %g s (%s)", cause, REVIVE_AFTER_S, cause.advice)
        else:
            self.failure = BeaconBroken("an internal error stopped this beacon")
            self.log.error("internal error; going on from the disk in %g s", REVIVE_AFTER_S, exc_info=cause)
        self._quiet()
        self._tell()
        self._revival = asyncio.get_running_loop().call_later(REVIVE_AFTER_S, self._revive)
        return self.failure

    def _revive(self) -> None:
        self.failure = None
        self._runner = self._new_runner()
        try:
            self.start()
        except Exception as error:  # noqa: BLE001  # tried again until it works: the reason is logged each time
            if self.failure is None:
                self._fail(error)
        else:
            self.log.info("running again")
            self._tell()

    def refused(self, message: Message, sender: str, error: CollectiveError) -> None:
        """A peer's message was refused; the operator hears of it where it matters."""
        self.refusals.note(self.log, message, sender, error)
        if isinstance(message, GroupPush):
            self._tell()

    def changed(self) -> asyncio.Event:
        """Set at the next fact, failure or stop; take it before reading the view it is about."""
        return self._changed

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def on_minute(self) -> None:
        """A minute has passed: say whether the group was reached; ask again who has not said which chain it holds."""
        epoch = self.machine.epoch
        if epoch is not None:
            report = self.reach.report(epoch.group.threshold)
            self.log.log(report.level, report.text, extra={"fields": report.fields})
        self.refusals.on_minute(self.log)
        self.agreement.on_minute()

    # ------------------------------------------------------------ effects

    def _persist(self, records: Sequence[Record]) -> None:
        """The barrier: on disk when it returns, all of them or none."""
        try:
            self.store.persist(*records)
            for record in records:
                if isinstance(record, EpochStarted):
                    self._export_group(record.epoch.group)
                    self._settled(record.epoch.group)
        except Exception as error:
            raise _EffectFailed from error

    def _perform(self, effect: Effect) -> None:
        try:
            self._carry_out(effect)
        except Exception as error:
            raise _EffectFailed from error

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Persist(record):  # the runner hands them over first, together
                self._persist((record,))
            case Send(peers, message):
                self._errands.send(peers, message)
            case Call():
                self._errands.call(effect)
            case FetchBeacons():
                self._errands.fetch(effect)
            case Abandon(call_id):
                self._errands.abandon(call_id)
            case CheckBeacons():
                self._errands.check(effect)
            case AskVault(request):
                self._errands.ask_vault(request)
            case WakeAt():
                self._alarms.set(effect)
            case Publish(beacon):
                self.feed.publish(beacon)
            case Report(fact):
                say(self.log, fact)
                self._outside.observer.observe(self, fact)
                self._tell()
            case _:
                assert_never(effect)

    def _refused(self, event: Event, error: CollectiveError) -> None:
        self.log.warning("refused %s: %s", type(event).__name__, error)

    def _export_group(self, group: Group) -> None:
        """Write the file that Go reads; the record is on disk already, so a refusal is mended at the next start."""
        try:
            write_group_file(self.folder.group_file, group)
        except DiskRefused as error:
            self.log.error("%s (%s)", error, error.advice)

    def _settled(self, group: Group) -> None:
        self._outside.observer.settled(self, group)
        self.agreement.begin(group, self.identity)

    def _compared(self, others: Mapping[str, OtherChain]) -> None:
        self._outside.observer.compared(self, others)
        self._tell()

    def _sent(self, peers: Sequence[Peer], failed: Mapping[str, str]) -> None:
        addresses = [peer.address for peer in peers]
        self.reach.note(addresses, failed)
        self._outside.observer.sent(self, {address: address not in failed for address in addresses})

    # ------------------------------------------------------------ for those who read

    @property
    def head(self) -> Beacon | None:
        """The last stored beacon. What is stored is served also while nothing can be added; raises StoreFailed."""
        return self.store.last()

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
