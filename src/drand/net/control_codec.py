"""The operator's orders and a ceremony's progress <-> protobuf (services drand.Control and pydrand.Watch)."""

from typing import TypedDict

from collective.errors import Malformed
from drand.model.chain import Round
from drand.model.group import MAX_GROUP_SIZE, Peer
from drand.model.packets import Metadata
from drand.net.handlers import CeremonyProgress, FollowOrder, SetupOrder, SyncProgress
from drand.wire.addresses import MAX_ADDRESS_BYTES, split_host_port
from drand.wire.gen import control_pb2, watch_pb2
from drand.wire.metadata import encode_metadata
from drand.wire.packets import MAX_SECRET_BYTES
from drand.wire.protobuf import at_most, parsed

MAX_PATH_BYTES = 4096
MAX_REASON_BYTES = 512  # of an operator who ends a ceremony
STAGES = frozenset(("waiting", "proposed", "dealing", "responding", "justifying", "finished", "failed"))


def encode_init_dkg(order: SetupOrder, metadata: Metadata) -> control_pb2.InitDKGPacket:
    """The order to hold a fresh ceremony."""
    entropy = None
    if order.entropy_script:
        entropy = control_pb2.EntropyInfo(script=order.entropy_script, userOnly=order.entropy_user_only)
    return control_pb2.InitDKGPacket(
        info=_encode_info(order, metadata),
        entropy=entropy,
        beacon_period=order.period_s,
        catchup_period=order.catchup_period_s or 0,
        schemeID=order.scheme_name,
        metadata=encode_metadata(metadata),
    )


def decode_init_dkg(message: control_pb2.InitDKGPacket | bytes) -> SetupOrder:
    """The order in an InitDKG call; raises Malformed. Whether its numbers fit each other is the ceremony's to say."""
    message = parsed(control_pb2.InitDKGPacket, message)
    info = message.info
    return SetupOrder(
        **_common(info),
        leader=_leader(info),
        period_s=message.beacon_period,
        catchup_period_s=message.catchup_period,
        entropy_script=_path(message.entropy.script),
        entropy_user_only=message.entropy.userOnly,
        scheme_name=message.schemeID,
    )


def encode_init_reshare(order: SetupOrder, metadata: Metadata) -> control_pb2.InitResharePacket:
    """The order to reshare; without an old group's path the daemon takes its own."""
    return control_pb2.InitResharePacket(
        old=control_pb2.GroupInfo(path=order.old_group_path),
        info=_encode_info(order, metadata),
        catchup_period_changed=order.catchup_period_s is not None,
        catchup_period=order.catchup_period_s or 0,
        metadata=encode_metadata(metadata),
    )


def decode_init_reshare(message: control_pb2.InitResharePacket | bytes) -> SetupOrder:
    """The order in an InitReshare call; raises Malformed."""
    message = parsed(control_pb2.InitResharePacket, message)
    if not message.HasField("old"):
        raise Malformed("cannot reshare without an old group")
    return SetupOrder(
        **_common(message.info),
        leader=_leader(message.info),
        catchup_period_s=message.catchup_period if message.catchup_period_changed else None,
        old_group_path=_path(message.old.path),
    )


def encode_follow(order: FollowOrder, metadata: Metadata) -> control_pb2.StartSyncRequest:
    """The order to follow or check a chain; one TLS flag serves all nodes on this wire."""
    return control_pb2.StartSyncRequest(
        nodes=[peer.address for peer in order.peers],
        is_tls=any(peer.tls for peer in order.peers),
        up_to=order.up_to,
        metadata=encode_metadata(metadata),
    )


def decode_follow(message: control_pb2.StartSyncRequest | bytes) -> FollowOrder:
    """The order in StartFollowChain or StartCheckChain; raises Malformed."""
    message = parsed(control_pb2.StartSyncRequest, message)
    at_most(message.nodes, MAX_GROUP_SIZE, "nodes to sync with")
    for address in message.nodes:
        split_host_port(address)
    return FollowOrder(
        peers=tuple(Peer(address, message.is_tls) for address in message.nodes), up_to=Round(message.up_to)
    )


def encode_progress(progress: CeremonyProgress) -> watch_pb2.CeremonyProgress:
    """A moment of a ceremony."""
    return watch_pb2.CeremonyProgress(
        beacon_id=progress.beacon_id,
        stage=progress.stage,
        leader=progress.leader,
        joined=progress.joined,
        wanted=progress.wanted,
        received=progress.received,
        wanted_bundles=progress.wanted_bundles,
        reason=progress.reason,
    )


def decode_progress(message: watch_pb2.CeremonyProgress | bytes) -> CeremonyProgress:
    """The moment in `message`; raises Malformed."""
    message = parsed(watch_pb2.CeremonyProgress, message)
    if message.stage not in STAGES:
        raise Malformed(f"unknown stage of a ceremony: {message.stage[:32]!r}")
    at_most(message.joined, MAX_GROUP_SIZE, "nodes that joined")
    return CeremonyProgress(
        beacon_id=message.beacon_id,
        stage=message.stage,
        leader=message.leader,
        joined=tuple(message.joined),
        wanted=message.wanted,
        received=message.received,
        wanted_bundles=message.wanted_bundles,
        reason=message.reason,
    )


def encode_sync_progress(progress: SyncProgress, metadata: Metadata) -> control_pb2.SyncProgress:
    """How far following or checking has come."""
    return control_pb2.SyncProgress(
        current=progress.current, target=progress.target, metadata=encode_metadata(metadata)
    )


def decode_sync_progress(message: control_pb2.SyncProgress | bytes) -> SyncProgress:
    """The progress in `message`; raises Malformed."""
    message = parsed(control_pb2.SyncProgress, message)
    return SyncProgress(message.current, message.target)


def _encode_info(order: SetupOrder, metadata: Metadata) -> control_pb2.SetupInfoPacket:
    return control_pb2.SetupInfoPacket(
        leader=order.leader is None,
        leader_address="" if order.leader is None else order.leader.address,
        leader_tls=order.leader is not None and order.leader.tls,
        nodes=order.nodes,
        threshold=order.threshold,
        timeout=order.timeout_s,
        beacon_offset=order.beacon_offset_s,
        secret=order.secret,
        force=order.force,
        metadata=encode_metadata(metadata),
    )


def _leader(info: control_pb2.SetupInfoPacket) -> Peer | None:
    if info.leader:
        return None
    at_most(info.leader_address.encode(), MAX_ADDRESS_BYTES, "address of the leader")
    split_host_port(info.leader_address)
    return Peer(info.leader_address, info.leader_tls)


class _Common(TypedDict):
    nodes: int
    threshold: int
    timeout_s: int
    beacon_offset_s: int
    secret: bytes
    force: bool


def _common(info: control_pb2.SetupInfoPacket) -> _Common:
    at_most(info.secret, MAX_SECRET_BYTES, "secret")
    return _Common(
        nodes=info.nodes,
        threshold=info.threshold,
        timeout_s=info.timeout,
        beacon_offset_s=info.beacon_offset,
        secret=info.secret,
        force=info.force,
    )


def _path(text: str) -> str:
    at_most(text.encode(), MAX_PATH_BYTES, "path")
    return text
