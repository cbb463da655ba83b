"""Daemons in this very process, on loopback ports that the kernel chooses, for tests of everything behind the sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from collective.entropy import SystemEntropy
from drand.daemon.beacon import BeaconShell
from drand.daemon.control_face import ControlFace
from drand.daemon.daemon import Daemon
from drand.daemon.folders import BeaconFolder
from drand.daemon.settings import Settings
from drand.model.chain import Beacon, Round
from drand.model.group import Group, Peer
from drand.model.packets import Metadata
from drand.model.schemes import scheme_named
from drand.net.handlers import SetupOrder
from drand.vault.folder import VaultFolder, make_key_pair

UNCHAINED = "bls-unchained-g1-rfc9380"
PATIENCE_S = 60.0
SECRET = b"a secret that everybody in the ceremony knows"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_keys(base: Path, beacon_id: str = "default", *, scheme: str = UNCHAINED, address: str = "") -> str:
    """A key pair as `drand generate-keypair` makes one; returns its address."""
    address = address or f"127.0.0.1:{free_port()}"
    folder = BeaconFolder(base, beacon_id)
    keys = make_key_pair(address, tls=False, scheme=scheme_named(scheme), entropy=SystemEntropy())
    VaultFolder(folder.root).save_key_pair(keys)
    return address


def settings(base: Path, **changes: object) -> Settings:
    """Without TLS, the control socket and the HTTP port wherever the kernel likes."""
    chosen: dict[str, object] = {"folder": base, "tls_disable": True, "control": "0", "public_listen": "127.0.0.1:0"}
    return Settings(**(chosen | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def running(base: Path, **changes: object) -> AsyncIterator[Daemon]:
    """A started daemon, stopped at the end."""
    daemon = Daemon(settings(base, **changes))
    try:
        await daemon.start()
        yield daemon
    finally:
        await daemon.stop()


async def until(shell: BeaconShell, holds: Callable[[], bool]) -> None:
    """Wait for the beacon to reach a state; looks again after every fact that it reports."""
    async with asyncio.timeout(PATIENCE_S):
        changed = shell.changed()
        while not holds():
            await changed.wait()
            changed = shell.changed()


async def beacon_of(shell: BeaconShell, round_: int) -> Beacon:
    """The beacon of a round, as soon as it is stored."""
    async with asyncio.timeout(PATIENCE_S):
        return shell.store.get(Round(round_)) or await shell.feed.wait(Round(round_))


def orders(leader: str, nodes: int, threshold: int, *, period_s: int = 1, timeout_s: int = 2) -> list[SetupOrder]:
    """What the operators of `nodes` nodes order: the first one leads."""
    lead = SetupOrder(
        leader=None,
        nodes=nodes,
        threshold=threshold,
        timeout_s=timeout_s,
        beacon_offset_s=1,
        secret=SECRET,
        period_s=period_s,
    )
    join = SetupOrder(
        leader=Peer(leader, tls=False), nodes=0, threshold=0, timeout_s=timeout_s, beacon_offset_s=0, secret=SECRET
    )
    return [lead] + [join] * (nodes - 1)


async def hold_ceremony(
    daemons: Sequence[Daemon], threshold: int, *, beacon_id: str = "default", period_s: int = 1
) -> list[Group]:
    """A key generation among `daemons`, ordered as their control sockets would; the groups they ended with."""
    shells = [await daemon.loaded(beacon_id) for daemon in daemons]
    wanted = orders(shells[0].identity.address, len(daemons), threshold, period_s=period_s)
    metadata = Metadata(beacon_id=beacon_id)
    async with asyncio.timeout(PATIENCE_S):
        return list(
            await asyncio.gather(
                *(ControlFace(daemon).init_dkg(metadata, order) for daemon, order in zip(daemons, wanted, strict=True))
            )
        )


@dataclass
class Network:
    """Daemons that share a beacon."""

    daemons: list[Daemon]
    group: Group

    @property
    def shells(self) -> list[BeaconShell]:
        """Their default beacons."""
        return [daemon.shell("default") for daemon in self.daemons]


@asynccontextmanager
async def network(base: Path, nodes: int = 2, threshold: int = 2, **changes: object) -> AsyncIterator[Network]:
    """Running daemons after a key generation."""
    daemons: list[Daemon] = []
    try:
        for number in range(nodes):
            make_keys(base / f"node{number}")
            daemon = Daemon(settings(base / f"node{number}", **changes))
            daemons.append(daemon)
            await daemon.start()
        groups = await hold_ceremony(daemons, threshold)
        yield Network(daemons, groups[0])
    finally:
        await asyncio.gather(*(daemon.stop() for daemon in daemons))
