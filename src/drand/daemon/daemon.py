"""The daemon: many beacons behind one peer port, one control socket, one HTTP port."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

from collective.clock import Clock, SystemClock
from collective.entropy import Entropy, SystemEntropy
from collective.errors import CollectiveError, InvalidSignature, Malformed
from drand.daemon.beacon import BeaconShell, Outside
from drand.daemon.checking import BeaconChecker
from drand.daemon.control_face import ControlFace
from drand.daemon.epochs import settle_epoch
from drand.daemon.folders import BeaconFolder, beacon_ids, checked_beacon_id
from drand.daemon.metrics import Metrics
from drand.daemon.peer_face import PeerFace
from drand.daemon.reporting import set_up_logging
from drand.daemon.served_chain import ServedChain
from drand.daemon.settings import Settings
from drand.errors import UnknownBeacon
from drand.model.chain import DEFAULT_BEACON_ID, canonical_beacon_id
from drand.model.group import Identity
from drand.model.packets import OUR_VERSION, Metadata
from drand.model.vault_messages import IdentityShown, RequestId, ShowIdentity
from drand.net.addresses import HostPort, parse_control, parse_host_port
from drand.net.control_server import ControlServer
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.peer_client import PeerClient
from drand.net.peer_server import PeerServer
from drand.net.routing import beacon_meant, version_check_wanted
from drand.net.tls import ServerTls, load_roots, load_server_tls
from drand.protocol.steps import Fact
from drand.store.sqlite import open_store
from drand.vault.links import open_vault

STOP_GRACE_S = 5.0

log = logging.getLogger("drand")


class AlreadyLoaded(UnknownBeacon):
    """A beacon that is asked to be loaded runs already."""

    hint = "nothing to do; see `drand util status`"


class UnsignedIdentity(InvalidSignature):
    """The stored public identity is not signed by its own key."""

    hint = "run `drand util self-sign`"


def check_signed(identity: Identity) -> None:
    """Raise UnsignedIdentity unless the stored identity carries its own signature."""
    try:
        identity.check_self_signature()
    except (InvalidSignature, Malformed) as error:
        raise UnsignedIdentity(f"INVALID SELF SIGNATURE of {identity.address}: {error}") from error


class Daemon:
    """Everything that runs in one drand process. `start`, then `wait`, then `stop`."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, entropy: Entropy | None = None) -> None:
        settings.check()
        self.settings = settings
        self.clock = clock or SystemClock()
        self.entropy = entropy or SystemEntropy()
        self.shells: dict[str, BeaconShell] = {}
        self.chains: dict[bytes, str] = {}  # chain hash -> canonical beacon id
        self.metrics = Metrics()
        self.routes = HttpRoutes()
        self._tls = self._load_tls()
        self.client = PeerClient(load_roots(settings.certs_dir))
        self._checker = BeaconChecker()
        self._changed: dict[str, asyncio.Event] = {}
        self._stopping = asyncio.Event()
        self._peer_server: PeerServer | None = None
        self._control = ControlServer(ControlFace(self))
        self._http = HttpServer(self.routes, self.clock)

    def _load_tls(self) -> ServerTls | None:
        cert, key = self.settings.tls_cert, self.settings.tls_key
        return load_server_tls(cert, key) if cert is not None and key is not None else None

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Open the listeners and load the beacons. Raises on a taken port, a damaged file, an impossible setting."""
        await self._control.start(parse_control(self.settings.control))
        if self.settings.private_listen:
            await self.open_peer_port(self.settings.private_listen)
        if self.settings.public_listen:
            await self._http.start(parse_host_port(self.settings.public_listen), self._tls)
            log.info("HTTP API on %s", self.settings.public_listen)
        if self.settings.metrics:
            log.info("metrics on %s", self.metrics.serve(self.settings.metrics))
        for beacon_id in self._wanted():
            await self.load(beacon_id)
        if not self.shells:
            log.warning("starting daemon with no active beacon: make keys with `drand generate-keypair`")

    def _wanted(self) -> list[str]:
        only = self.settings.only_beacon
        if only is None:
            return beacon_ids(self.settings.folder)
        return [canonical_beacon_id(only)] if only else []

    async def wait(self) -> None:
        """Until somebody asks the daemon to stop."""
        await self._stopping.wait()

    def ask_to_stop(self) -> None:
        """Make `wait` return."""
        self._stopping.set()

    async def stop(self) -> None:
        """Close the listeners, then the beacons, so that nothing is half done."""
        await self._http.stop()
        if self._peer_server is not None:
            await self._peer_server.stop(STOP_GRACE_S)
        for beacon_id in list(self.shells):
            await self.unload(beacon_id)
        await self.client.close()
        self._checker.close()
        self.metrics.close()
        await self._control.stop(STOP_GRACE_S)

    async def open_peer_port(self, address: str) -> HostPort:
        """Listen for peers; once."""
        server = PeerServer(PeerFace(self), version_check=version_check_wanted(os.environ))
        bound = await server.start(parse_host_port(address), self._tls)
        self._peer_server = server
        log.info("peers' gRPC on %s, %s", bound, "TLS" if self._tls else "without TLS")
        return bound

    # ------------------------------------------------------------ beacons

    async def load(self, beacon_id: str) -> BeaconShell:
        """Start a beacon from its files. Raises AlreadyLoaded, NoKeyPair, or what is wrong with the files."""
        name = checked_beacon_id(beacon_id)
        if name in self.shells:
            raise AlreadyLoaded(f"beacon id [{name}] is already running")
        folder = BeaconFolder(self.settings.folder, name)
        vault = open_vault(self.settings.vault, folder.root, clock=self.clock, entropy=self.entropy)
        shown = await vault.ask(ShowIdentity(RequestId("load")))
        assert isinstance(shown, IdentityShown)
        identity = shown.identity
        check_signed(identity)
        for complaint in vault.complaints():
            log.warning("%s", complaint)
        folder.make()
        store = open_store(folder.store, chained=identity.scheme.chained)
        try:
            settle_epoch(folder, identity, store, vault)
            shell = BeaconShell(
                identity=identity,
                beacon_id=name,
                folder=folder,
                store=store,
                vault=vault,
                outside=Outside(clock=self.clock, entropy=self.entropy, client=self.client, checker=self._checker),
                observe=self._observe,
                settled=self._settled,
            )
            if self._peer_server is None:
                await self.open_peer_port(identity.address)
            self.shells[name] = shell
            shell.start()
        except CollectiveError:
            self.shells.pop(name, None)
            store.close()
            raise
        log.info("beacon %s loaded: %s, %s", name, identity.address, identity.scheme.name)
        return shell

    async def unload(self, beacon_id: str) -> None:
        """Stop one beacon. Raises UnknownBeacon."""
        shell = self.shell(beacon_id)
        del self.shells[shell.beacon_id]
        for chain_hash, name in list(self.chains.items()):
            if name == shell.beacon_id:
                del self.chains[chain_hash]
                self.routes.remove(chain_hash)
        await shell.stop()

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
        return self.metadata_of(self.meant(metadata))

    def metadata_of(self, shell: BeaconShell) -> Metadata:
        """What goes on messages about one beacon."""
        return shell.metadata()

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

    def _settled(self, shell: BeaconShell) -> None:
        """A beacon has an epoch: its chain hash routes to it, and HTTP serves it."""
        epoch = shell.machine.epoch or shell.store.epoch()
        assert epoch is not None
        chain_hash = epoch.group.chain_info().hash()
        if chain_hash not in self.chains:
            self.chains[chain_hash] = shell.beacon_id
            self.routes.register(ServedChain(shell, epoch.group), default=shell.beacon_id == DEFAULT_BEACON_ID)
        self.metrics.settled(shell.beacon_id, epoch.group)

    def _observe(self, shell: BeaconShell, fact: Fact) -> None:
        self.metrics.observe(shell.beacon_id, fact)
        self._changed.pop(shell.beacon_id, asyncio.Event()).set()

    def changed(self, beacon_id: str) -> asyncio.Event:
        """Set at the next fact about this beacon; take it before reading the view it is about."""
        return self._changed.setdefault(beacon_id, asyncio.Event())


async def _run(settings: Settings) -> None:
    daemon = Daemon(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.ask_to_stop)
    try:
        await daemon.start()
        log.info("drand is ready: version %s, folder %s", OUR_VERSION, settings.folder)
        await daemon.wait()
    finally:
        await daemon.stop()
    log.info("drand stopped")


def run_daemon(settings: Settings) -> None:
    """Run the daemon until SIGTERM, SIGINT or `drand stop`; on uvloop where there is one."""
    set_up_logging(json_lines=settings.json_logs, verbose=settings.verbose)
    if sys.platform == "win32":
        asyncio.run(_run(settings))
        return
    import uvloop

    uvloop.run(_run(settings))
