"""Daemons in this very process, on loopback ports that the kernel chooses: for tests of all that is behind sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from collective.clock import SystemClock
from collective.entropy import SystemEntropy
from collective.sharing.polynomial import SecretPolynomial
from drand.daemon.beacon import BeaconShell
from drand.daemon.control_face import ControlFace
from drand.daemon.daemon import Daemon
from drand.daemon.epochs import write_group_file
from drand.daemon.folders import BeaconFolder
from drand.daemon.settings import Settings
from drand.model.chain import Beacon, Index, Round
from drand.model.group import NANOSECONDS, Group, Peer, indexed
from drand.model.packets import Metadata
from drand.model.schemes import scheme_named
from drand.model.share import Share
from drand.net.handlers import SetupOrder
from drand.vault.folder import VaultFolder, make_key_pair
from drand.wire.toml_files import encode_share_file
from tests.support.ports import free_port

UNCHAINED = "bls-unchained-g1-rfc9380"
PATIENCE_S = 60.0
SECRET = b"a secret that everybody in the ceremony knows"


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


class Planted:
    """A chain whose members' folders hold the files that another drand would have left: no ceremony is needed.

    Its first round was due `age_s` ago.
    """

    def __init__(
        self,
        base: Path,
        *,
        size: int = 1,
        threshold: int = 1,
        scheme: str = UNCHAINED,
        age_s: float = 5,
        period_s: int = 1,
        beacon_id: str = "default",
    ) -> None:
        self.scheme = scheme_named(scheme)
        self.base = base
        self.beacon_id = beacon_id
        self.secret = SecretPolynomial.random(threshold, self.scheme.key_group.order, SystemEntropy())
        keys = []
        for place in range(size):
            make_keys(self.node(place), beacon_id, scheme=scheme)
            keys.append(VaultFolder(self.folder(place).root).load_key_pair().identity)
        self.order = sorted(range(size), key=lambda place: keys[place].key)  # index -> place of its folder
        self.group = Group(
            nodes=indexed(keys),
            threshold=threshold,
            period_ns=period_s * NANOSECONDS,
            catchup_period_ns=0,
            genesis_unix_s=int(SystemClock().now() - age_s),
            genesis_seed=b"",
            scheme=self.scheme,
            beacon_id=beacon_id,
        ).with_seed()
        self.group = replace(self.group, public_key=self.commits(self.secret))
        for index in range(size):
            self.write(index, self.group, self.secret)

    def node(self, place: int) -> Path:
        """The folder of a daemon."""
        return self.base / f"node{place}"

    def folder(self, place: int) -> BeaconFolder:
        """The folder of its beacon."""
        return BeaconFolder(self.node(place), self.beacon_id)

    def commits(self, secret: SecretPolynomial) -> tuple[bytes, ...]:
        """The public polynomial."""
        return tuple(secret.commit(self.scheme.key_group).encode())

    def write(self, index: int, group: Group, secret: SecretPolynomial) -> None:
        """Leave group and share of a member."""
        folder = self.folder(self.order[index])
        folder.make()
        write_group_file(folder.group_file, group)
        share = Share(Index(index), secret.evaluate(index), group.public_key, self.scheme)
        folder.share_file.write_bytes(encode_share_file(share))
        folder.share_file.chmod(0o600)

    def reshared(self, transition_unix_s: int) -> tuple[Group, SecretPolynomial]:
        """A later epoch: other shares of the same key."""
        secret = SecretPolynomial.random(
            self.group.threshold, self.scheme.key_group.order, SystemEntropy(), self.secret.constant
        )
        later = replace(self.group, transition_unix_s=transition_unix_s, public_key=self.commits(secret))
        return later, secret


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
