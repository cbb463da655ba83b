"""What must never happen, checked whenever an honest node writes, publishes or says something.

one value a round         no honest node ever stores another beacon of a round than any of them did
no gap                    rounds are stored one after the other
every beacon verifies     under the group's key, on top of the beacon before it
one group                 those who finish the ceremony agree on group hash, members and chain hash
nothing before its time   no partial is signed before its round is due by the vault's clock, nor earlier
                          in true time than any clock can be wrong; and no beacon exists before that
nothing said unstored     a bundle that is sent is in the journal, a partial that is sent is in the vault's state,
                          a beacon that is published is in the store
one message a round       a vault signs one message for a round, whatever crashed in between
no secret on a link       no key, polynomial or share of an honest node is in any bytes it sends
"""

from typing import TYPE_CHECKING, Protocol

from collective.secret import SecretScalar
from collective.sim.world import World
from drand.errors import InvalidBeacon
from drand.model.bundles import Bundle
from drand.model.chain import Beacon, Round
from drand.model.group import Group
from drand.model.packets import DkgPacket, PartialPacket
from drand.model.records import EpochStarted, Record
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    DealsJudged,
    GroupSigned,
    PartialSigned,
    SharesCombined,
    SharesDealt,
    SharesShown,
    SignPartial,
    VaultReply,
    VaultRequest,
)
from drand.model.verification import ChainVerifier
from drand.sim.disk import beacons_of
from drand.vault.state import VaultState, decode
from drand.wire.bundles import encode_bundle

if TYPE_CHECKING:
    from drand.sim.node import SimulatedNode


class Bounds(Protocol):
    """What the checks need to know of the scenario."""

    @property
    def clock_bound_s(self) -> float:
        """No clock is ever more wrong than this."""
        ...


class Checks:
    """The invariants of one world. Every method raises SafetyViolated, which carries the seed, or answers nothing."""

    def __init__(self, world: World, bounds: Bounds) -> None:
        self._world = world
        self._bounds = bounds
        self._beacons: dict[Round, Beacon] = {}
        self._verifier: ChainVerifier | None = None
        self._partials: dict[tuple[str, Round], PartialPacket] = {}
        self._secrets: set[bytes] = set()
        self.group: Group | None = None  # of the first honest node that finished

    # ------------------------------------------------------------ what a disk gets

    def persisted(self, node: "SimulatedNode", record: Record) -> None:
        """`node` is about to store `record`."""
        if isinstance(record, EpochStarted):
            self._epoch(node, record)
        expected = node.disk.last_round + 1
        for beacon in beacons_of(record):
            if beacon.round > expected:
                raise self._world.violated(f"{node.name} stores round {beacon.round} after round {expected - 1}")
            self._beacon(node, beacon)
            expected = max(expected, beacon.round + 1)

    def _epoch(self, node: "SimulatedNode", record: EpochStarted) -> None:
        group = record.epoch.group
        if self.group is None:
            self.group = group
            self._verifier = ChainVerifier(group.scheme, group.public_key[0])
            return
        for what, ours, theirs in (
            ("members", _members(group), _members(self.group)),
            ("group hash", group.hash().hex(), self.group.hash().hex()),
            ("chain hash", group.chain_info().hash().hex(), self.group.chain_info().hash().hex()),
        ):
            if ours != theirs:
                raise self._world.violated(f"{node.name} finished with {what} {ours}, another node with {theirs}")

    def _beacon(self, node: "SimulatedNode", beacon: Beacon) -> None:
        known = self._beacons.get(beacon.round)
        if known == beacon:
            return
        if self.group is None or self._verifier is None:
            raise self._world.violated(f"{node.name} stores a beacon before there is a group")
        if beacon.round == 0:
            self._genesis(node, beacon, self.group)
        else:
            self._signed_round(node, beacon, self._verifier)
        if known is not None:
            raise self._world.violated(f"{node.name} stores another beacon of round {beacon.round} than others have")
        self._beacons[beacon.round] = beacon
        self._world.note(f"round {beacon.round} is {beacon.signature.hex()}")

    def _genesis(self, node: "SimulatedNode", beacon: Beacon, group: Group) -> None:
        if beacon.signature != group.genesis_seed:
            raise self._world.violated(f"{node.name} stores a genesis beacon that is not the group's seed")

    def _signed_round(self, node: "SimulatedNode", beacon: Beacon, verifier: ChainVerifier) -> None:
        try:
            verifier.check(beacon)
        except InvalidBeacon as error:
            raise self._world.violated(f"{node.name} stores a beacon that does not verify: {error}") from error
        before = self._beacons.get(Round(beacon.round - 1))
        if before is None or (verifier.scheme.chained and beacon.previous_signature != before.signature):
            raise self._world.violated(f"{node.name} stores round {beacon.round}, which builds on another beacon")
        self._not_early(f"{node.name} stores a beacon of round {beacon.round}", beacon.round)

    # ------------------------------------------------------------ what others get to see

    def published(self, node: "SimulatedNode", beacon: Beacon) -> None:
        """`node` hands a beacon to its clients."""
        if node.disk.beacon(beacon.round) != beacon:
            raise self._world.violated(f"{node.name} publishes round {beacon.round}, which is not on its disk")

    def sent(self, node: "SimulatedNode", message: PartialPacket | DkgPacket, data: bytes) -> None:
        """`node` sends `message`, whose bytes are `data`."""
        self.no_secret_in(node, data)
        match message:
            case DkgPacket(bundle):
                if not node.disk.holds(bundle):
                    what = f"{type(bundle).__name__} of node {bundle.author}"
                    raise self._world.violated(f"{node.name} sends a {what} that is not on its disk")
            case PartialPacket():
                self._partial(node, message)

    def _partial(self, node: "SimulatedNode", packet: PartialPacket) -> None:
        kept = self._partials.get((node.name, packet.round))
        if kept is None:
            raise self._world.violated(f"{node.name} sends a partial of round {packet.round} its vault never signed")
        if kept != packet and (self._chained or kept.partial != packet.partial):
            raise self._world.violated(f"{node.name} sends a second message signed for round {packet.round}")
        self._not_early(f"{node.name} sends a partial of round {packet.round}", packet.round)

    # ------------------------------------------------------------ the vault

    def vault_answered(self, node: "SimulatedNode", request: VaultRequest, reply: VaultReply) -> None:
        """The vault of an honest node gave `reply`; what it says is on its disk already."""
        if isinstance(request, DealShares | CombineShares):
            self._learn_secrets(node)
        self.no_secret_in(node, reply_bytes(reply))
        if isinstance(request, SignPartial) and isinstance(reply, PartialSigned):
            self._signed(node, request, PartialPacket(reply.round, reply.previous_signature, reply.partial))

    def _signed(self, node: "SimulatedNode", request: SignPartial, packet: PartialPacket) -> None:
        assert self.group is not None
        due_s = self.group.schedule.due_unix_s(packet.round)
        if node.host.clock.now() < due_s:
            raise self._world.violated(f"the vault of {node.name} signs round {packet.round} before it is due")
        kept = self._partials.setdefault((node.name, packet.round), packet)
        if kept != packet and (self._chained or kept.partial != packet.partial):
            raise self._world.violated(f"the vault of {node.name} signs a second message for round {packet.round}")
        if self._chained:
            digest = self.group.scheme.digest(packet.round, packet.previous_signature)
            rounds = [record.rounds.get(packet.round) for record in state_of(node).signed]
            if digest not in rounds:
                raise self._world.violated(f"the vault of {node.name} signs round {packet.round} and forgets it")

    def _learn_secrets(self, node: "SimulatedNode") -> None:
        state = state_of(node)
        secrets = [node.keys.secret]
        secrets += [coefficient for session in state.sessions for coefficient in session.polynomial]
        secrets += [epoch.share for epoch in state.epochs]
        self._secrets.update(scalar_bytes(secret, node.around.scheme.key_group.order) for secret in secrets)

    def no_secret_in(self, node: "SimulatedNode", data: bytes) -> None:
        """None of the honest nodes' secrets is in `data`, which `node` sends."""
        for secret in self._secrets:
            if secret in data:
                raise self._world.violated(f"{node.name} sends bytes that hold a secret")

    # ------------------------------------------------------------ inside

    @property
    def _chained(self) -> bool:
        return self.group is not None and self.group.scheme.chained

    def _not_early(self, what: str, round_: Round) -> None:
        assert self.group is not None
        early_s = self.group.schedule.due_unix_s(round_) - self._world.now
        if early_s > self._bounds.clock_bound_s:
            raise self._world.violated(f"{what}, {early_s:.3f} s before it is due")


def _members(group: Group) -> list[int]:
    return [node.index for node in group.nodes]


def state_of(node: "SimulatedNode") -> VaultState:
    """What a crash now would leave of the vault."""
    data = node.state_file.read()
    if data is None:
        return VaultState(public_key=node.identity.key, scheme=node.around.scheme.name)
    return decode(data, node.name, order=node.around.scheme.key_group.order)


def scalar_bytes(secret: SecretScalar, order: int) -> bytes:
    """A scalar without leading zeros beyond its group's order, so that any longer encoding contains it."""
    return secret.expose().to_bytes((order.bit_length() + 7) // 8, "big")


def reply_bytes(reply: VaultReply) -> bytes:
    """What of a vault's reply could hold a secret."""
    match reply:
        case SharesDealt(_, bundle) | DealsJudged(_, bundle) | SharesShown(_, bundle):
            return _bundle_bytes(bundle)
        case GroupSigned(_, signature):
            return signature
        case SharesCombined(_, epoch_id, _, commits):
            return epoch_id + b"".join(commits)
        case PartialSigned(_, _, previous_signature, partial):
            return previous_signature + partial
        case _:
            return b""


def _bundle_bytes(bundle: Bundle | None) -> bytes:
    return b"" if bundle is None else encode_bundle(bundle).SerializeToString()
