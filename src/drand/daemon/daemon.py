"""The daemon: many beacons behind one peer port, one control socket, one HTTP port."""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from collective.clock import Clock, SystemClock
from collective.entropy import Entropy, SystemEntropy
from collective.errors import CollectiveError, OutOfTurn
from drand.daemon import memory
from drand.daemon.agreement import OtherChain
from drand.daemon.beacon import BeaconShell, Outside
from drand.daemon.checking import BeaconChecker
from drand.daemon.control_face import ControlFace
from drand.daemon.counts import Counts
from drand.daemon.folders import BeaconFolder, beacon_ids, checked_beacon_id
from drand.daemon.opening import AlreadyLoaded, open_beacon
from drand.daemon.peer_face import PeerFace
from drand.daemon.pressure import MemoryGuard
from drand.daemon.reporting import set_up_logging
from drand.daemon.served_chain import ServedChain
from drand.daemon.settings import Settings
from drand.daemon.status import Doorbell
from drand.daemon.watching import MinuteWatch
from drand.errors import UnknownBeacon
from drand.model.chain import DEFAULT_BEACON_ID, canonical_beacon_id
from drand.model.group import Group
from drand.model.packets import OUR_VERSION, Metadata
from drand.net.addresses import ControlAddress, HostPort, parse_control, parse_host_port
from drand.net.control_server import ControlServer
from drand.net.descriptors import raise_limit, shares_of
from drand.net.errors import CannotListen, PortTaken
from drand.net.event_loop import run_loop
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.http_watch import new_watch
from drand.net.peer_client import PeerClient
from drand.net.peer_server import PeerServer
from drand.net.routing import beacon_meant, version_check_wanted
from drand.net.tls import ServerTls, load_roots, load_server_tls
from drand.protocol.steps import CeremonyFinished, Fact, RoundMade

if TYPE_CHECKING:
    from drand.daemon.metrics import Metrics

STOP_GRACE_S = 0.75  # calls under way may end
REOPEN_GRACE_S = 0.25  # as well, where the peer port is closed for a moment only
REOPEN_PAUSE_S = 1.0

log = logging.getLogger("drand")


class Stopping(OutOfTurn):
    """Something new is asked of a daemon that stops."""

    hint = "start it again with `drand start`"


class Daemon:
    """Everything that runs in one drand process. `start`, then `wait`, then `stop`."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, entropy: Entropy | None = None) -> None:
        settings.check()
        self.settings = settings
        self.clock = clock or SystemClock()
        self.entropy = entropy or SystemEntropy()
        self.control_address: ControlAddress | None = None  # where it really listens, once started
        self.peer_address: HostPort | None = None
        self.http_address: HostPort | None = None
        self.shells: dict[str, BeaconShell] = {}
        self.chains: dict[bytes, str] = {}  # chain hash -> canonical beacon id
        self.served: dict[str, ServedChain] = {}  # by canonical beacon id
        self._metrics = _metrics(self.clock) if settings.metrics else None
        self.metrics = self._metrics or Counts()
        self.routes = HttpRoutes()
        self._tls = self._load_tls()
        self.client = PeerClient(load_roots(settings.certs_dir))
        self.metrics.count_displaced(lambda: self.client.displaced)
        self.doorbell = Doorbell(self.client)
        self._checker = BeaconChecker()
        self._outside = Outside(
            clock=self.clock, entropy=self.entropy, client=self.client, checker=self._checker, observer=self
        )
        self._loading = asyncio.Lock()  # beacons are loaded and unloaded one after the other
        self._stopping = asyncio.Event()
        self._peer_server: PeerServer | None = None
        self._guard = MemoryGuard(self._reopen_peer_port)
        self._guarding: asyncio.Task[None] | None = None
        self._shares = shares_of(raise_limit())
        self._control = ControlServer(ControlFace(self), max_connections=self._shares.control)
        self._watch = new_watch(
            rate_per_s=settings.rate_per_s,
            burst=settings.burst,
            access_log=settings.access_log,
            counted=self._metrics is not None,
        )
        if self._metrics is not None and self._watch is not None:
            self._metrics.time_http(self._watch)
        self._http = HttpServer(
            self.routes,
            self.clock,
            max_connections=self._shares.http,
            answered=self.metrics.answered,
            watch=self._watch,
        )
        self._minutes = MinuteWatch(self.clock, lambda: tuple(self.shells.values()), self.refresh_certificate)

    def _load_tls(self) -> ServerTls | None:
        cert, key = self.settings.tls_cert, self.settings.tls_key
        return load_server_tls(cert, key) if cert is not None and key is not None else None

    def refresh_certificate(self) -> None:
        """Read the certificate again if its files have changed; what is no pair is not used, and said."""
        try:
            if self._tls is not None and self._tls.refresh():
                log.info("new connections are shown the new certificate in %s", self._tls.certificate_path)
        except CollectiveError as error:
            log.warning("the changed certificate is not used: %s (%s)", error, error.advice)

    def on_hangup(self) -> None:
        """SIGHUP: read the certificate again, write the access log to a new file."""
        self.refresh_certificate()
        try:
            if self._watch is not None:
                self._watch.reopen()
        except CollectiveError as error:
            log.warning("%s; going on with the old file", error)

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Open the listeners and load the beacons.

        A beacon whose files are damaged does not keep the others from running; the last one does.
        raises  on a taken port or an impossible setting; what is wrong with the files when no beacon could be loaded
        """
        self.control_address = await self._control.start(parse_control(self.settings.control))
        if self.settings.private_listen:
            await self.open_peer_port(self.settings.private_listen)
        if self.settings.public_listen:
            self.http_address = await self._http.start(parse_host_port(self.settings.public_listen), self._tls)
            log.info("HTTP API on %s", self.http_address)
        if self._metrics is not None:
            log.info("metrics on %s", self._metrics.serve(self.settings.metrics))
        self._minutes.start()
        self._guarding = asyncio.get_running_loop().create_task(self._guard.watch())
        await self._load_all(self._wanted())
        if not self.shells:
            log.warning("starting daemon with no active beacon: make keys with `drand generate-keypair`")

    async def _load_all(self, names: list[str]) -> None:
        failed: dict[str, Exception] = {}
        for name in names:
            try:
                await self.load(name)
            except (PortTaken, CannotListen):
                raise
            except AlreadyLoaded:
                continue  # the operator was quicker, over the control socket
            except Exception as error:  # noqa: BLE001  # whatever it is, it is this beacon's
                failed[name] = error
        if failed and not self.shells:
            raise next(iter(failed.values()))
        for name, fault in failed.items():
            if isinstance(fault, CollectiveError):
                what = f"{fault} ({fault.advice})"
                log.error("BEACON %s IS NOT RUNNING: %s; load it with `drand load` then", name, what)
            else:
                log.error("BEACON %s IS NOT RUNNING: an internal error", name, exc_info=fault)

    def _wanted(self) -> list[str]:
        only = self.settings.only_beacon
        if only is None:
            return beacon_ids(self.settings.folder)
        if only and not BeaconFolder(self.settings.folder, canonical_beacon_id(only)).has_keys:
            log.warning("there is no key pair of beacon %s yet", canonical_beacon_id(only))
            return []
        return [canonical_beacon_id(only)] if only else []

    async def wait(self) -> None:
        """Until somebody asks the daemon to stop."""
        await self._stopping.wait()

    def ask_to_stop(self) -> None:
        """Make `wait` return."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Somebody has asked the daemon to stop."""
        return self._stopping.is_set()

    async def stop(self) -> None:
        """Close everything, in an order in which nothing is half done; takes a second or two at most.

        Readers are sent away first: a stream that is never over would use up the patience for those that are. The
        control socket is closed last, so that `drand stop` has its answer.
        """
        self.ask_to_stop()
        self._minutes.close()
        if self._guarding is not None:
            self._guarding.cancel()
        self.doorbell.close()
        for shell in self.shells.values():
            shell.feed.close()
        servers = [self._http.stop()]
        if self._peer_server is not None:
            servers.append(self._peer_server.stop(STOP_GRACE_S))
        await _all_of(servers)
        await _all_of([self.unload(beacon_id) for beacon_id in list(self.shells)])
        self._checker.close()
        if self._watch is not None:
            self._watch.close()
        await _all_of([self.client.close(), asyncio.to_thread(self.metrics.close), self._control.stop(STOP_GRACE_S)])

    async def _reopen_peer_port(self) -> None:
        """Close every connection to the peer port, and listen there again."""
        if self._peer_server is None or self.peer_address is None or self.stopping:
            return
        await self._peer_server.stop(REOPEN_GRACE_S)
        while not self.stopping:
            try:
                await self.open_peer_port(str(self.peer_address))
            except CollectiveError as error:  # somebody was quicker
                log.error("%s (%s); trying again in %g s", error, error.advice, REOPEN_PAUSE_S)
                await asyncio.sleep(REOPEN_PAUSE_S)
            else:
                return

    async def open_peer_port(self, address: str) -> HostPort:
        """Listen for peers."""
        checked = version_check_wanted(os.environ)
        server = PeerServer(PeerFace(self), version_check=checked, max_connections=self._shares.peers)
        bound = await server.start(parse_host_port(address), self._tls)
        self._peer_server = server
        self.peer_address = bound
        log.info("peers' gRPC on %s, %s", bound, "TLS" if self._tls else "without TLS")
        return bound

    # ------------------------------------------------------------ beacons

    async def load(self, beacon_id: str) -> BeaconShell:
        """Start a beacon from its files. Raises AlreadyLoaded, NoKeyPair, or what is wrong with the files."""
        name = checked_beacon_id(beacon_id)
        async with self._loading:
            if name in self.shells:
                raise AlreadyLoaded(f"beacon id [{name}] is already running")
            return await self._load(name)

    async def loaded(self, beacon_id: str) -> BeaconShell:
        """The running beacon of this id, started from its files where it does not run yet; raises as `load`."""
        name = checked_beacon_id(beacon_id)
        async with self._loading:
            return self.shells.get(name) or await self._load(name)

    async def _load(self, name: str) -> BeaconShell:
        if self.stopping:
            raise Stopping("the daemon is about to stop")
        shell = await open_beacon(BeaconFolder(self.settings.folder, name), self.settings.vault, self._outside)
        try:
            if self._peer_server is None:
                await self.open_peer_port(shell.identity.address)
            self.shells[name] = shell
            shell.start()
        except BaseException:
            self._forget(shell)
            await shell.stop()
            raise
        self.metrics.stands(name, shell.machine.state)
        log.info("beacon %s loaded: %s, %s", name, shell.identity.address, shell.identity.scheme.name)
        return shell

    async def unload(self, beacon_id: str) -> None:
        """Stop one beacon. Raises UnknownBeacon."""
        async with self._loading:
            shell = self.shell(beacon_id)
            self._forget(shell)
            await shell.stop()
            self.metrics.unloaded(shell.beacon_id)
            log.info("beacon %s unloaded", shell.beacon_id)

    def _forget(self, shell: BeaconShell) -> None:
        """Nobody is led to the beacon any more."""
        self.shells.pop(shell.beacon_id, None)
        self.served.pop(shell.beacon_id, None)
        for chain_hash, name in list(self.chains.items()):
            if name == shell.beacon_id:
                del self.chains[chain_hash]
                self.routes.remove(chain_hash)

    def shell(self, beacon_id: str) -> BeaconShell:
        """The running beacon of this id; raises UnknownBeacon."""
        name = canonical_beacon_id(beacon_id)
        if name not in self.shells:
            raise UnknownBeacon(f"beacon id [{name}] is not running")
        return self.shells[name]

    def meant(self, metadata: Metadata) -> BeaconShell:
        """The running beacon that a message's metadata names; raises UnknownBeacon."""
        return self.shells[beacon_meant(metadata, self)]

    def reply_metadata(self, metadata: Metadata) -> Metadata:
        """What goes on answers: our version, the canonical id, the chain hash once known."""
        return self.meant(metadata).metadata()

    # what drand.net.routing asks

    def is_running(self, beacon_id: str) -> bool:
        """A process for this canonical id is loaded."""
        return beacon_id in self.shells

    def has_group(self, beacon_id: str) -> bool:
        """It has been through a ceremony."""
        return beacon_id in self.chains.values()

    def chain_ids(self) -> Mapping[bytes, str]:
        """Canonical ids by chain hash."""
        return self.chains

    # ------------------------------------------------------------ what happens

    def settled(self, shell: BeaconShell, group: Group) -> None:
        """A beacon has an epoch: its chain hash routes to it, and HTTP serves it."""
        chain_hash = group.chain_info().hash()
        if chain_hash not in self.chains:
            self.chains[chain_hash] = shell.beacon_id
            chain = self.served[shell.beacon_id] = ServedChain(shell, group)
            self.routes.register(chain, default=shell.beacon_id == DEFAULT_BEACON_ID)
        self.metrics.settled(shell.beacon_id, group)

    def observe(self, shell: BeaconShell, fact: Fact) -> None:
        """A beacon reports a fact."""
        if isinstance(fact, RoundMade) and shell.beacon_id in self.served:
            self.served[shell.beacon_id].note_signers(fact.round, fact.signers)
        self.metrics.observe(shell.beacon_id, fact)
        if isinstance(fact, CeremonyFinished):
            asyncio.get_running_loop().call_later(memory.AFTER_CEREMONY_S, memory.trim)
        self.metrics.stands(shell.beacon_id, shell.machine.state)

    def sent(self, shell: BeaconShell, outcome: Mapping[str, bool]) -> None:
        """A beacon has sent a partial."""
        self.metrics.sent(shell.beacon_id, outcome)

    def compared(self, shell: BeaconShell, others: Mapping[str, OtherChain]) -> None:
        """Members were asked which chain they hold."""
        self.metrics.compared(shell.beacon_id, len(others))


def _metrics(clock: Clock) -> "Metrics":
    from drand.daemon.metrics import Metrics  # for those who want a port: see drand.daemon.counts

    return Metrics(clock)


async def _all_of(works: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Do all of it at the same time; what fails is logged and keeps nothing else from being done."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, CollectiveError):
            log.error("while stopping: %s", result)
        elif isinstance(result, Exception):
            log.error("while stopping", exc_info=result)


async def _run(settings: Settings) -> None:
    daemon = Daemon(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.ask_to_stop)
    if settings.has_files_to_reread:  # else it ends the daemon, as when its terminal is closed
        loop.add_signal_handler(signal.SIGHUP, daemon.on_hangup)
    try:
        await daemon.start()
        memory.settle()
        log.info("drand is ready: version %s, folder %s", OUR_VERSION, settings.folder)
        await daemon.wait()
    finally:
        await daemon.stop()
    log.info("drand stopped")


def run_daemon(settings: Settings) -> None:
    """Run the daemon until SIGTERM, SIGINT or `drand stop`; on uvloop where there is one."""
    memory.share_heaps()
    set_up_logging(json_lines=settings.json_logs, verbose=settings.verbose)
    run_loop(_run(settings))
