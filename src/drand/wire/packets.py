"""The other packets between nodes <-> protobuf: setup, partial signatures, sync, and random values for clients."""

from collective.errors import Malformed
from drand.errors import InvalidRandomness
from drand.model.chain import Beacon, Round, canonical_beacon_id
from drand.model.group import Identity
from drand.model.packets import (
    GroupPush,
    Metadata,
    PartialPacket,
    SignalPacket,
    SyncedBeacon,
    SyncRequest,
)
from drand.model.schemes import Scheme
from drand.wire.gen import protocol_pb2, public_pb2
from drand.wire.groups import decode_group, encode_group
from drand.wire.identities import decode_identity, encode_identity
from drand.wire.metadata import decode_metadata, encode_metadata
from drand.wire.protobuf import HASH_BYTES, MAX_SIGNATURE_BYTES, at_most, parsed

MAX_SECRET_BYTES = 4096
MAX_PARTIAL_BYTES = 2 + 96


def encode_partial(packet: PartialPacket, metadata: Metadata) -> protocol_pb2.PartialBeaconPacket:
    """The partial signature as PartialBeacon carries it."""
    return protocol_pb2.PartialBeaconPacket(
        round=packet.round,
        previous_signature=packet.previous_signature,
        partial_sig=packet.partial,
        metadata=encode_metadata(metadata),
    )


def decode_partial(message: protocol_pb2.PartialBeaconPacket | bytes) -> PartialPacket:
    """The partial signature in `message`. Lengths are only bounded: what fits the scheme is the protocol's to say."""
    message = parsed(protocol_pb2.PartialBeaconPacket, message)
    at_most(message.previous_signature, MAX_SIGNATURE_BYTES, "previous signature")
    at_most(message.partial_sig, MAX_PARTIAL_BYTES, "partial signature")
    return PartialPacket(Round(message.round), message.previous_signature, message.partial_sig)


def encode_signal(packet: SignalPacket, metadata: Metadata) -> protocol_pb2.SignalDKGPacket:
    """The signal as SignalDKGParticipant carries it."""
    return protocol_pb2.SignalDKGPacket(
        node=encode_identity(packet.identity),
        secret_proof=packet.secret,
        previous_group_hash=packet.previous_group_hash,
        metadata=encode_metadata(metadata),
    )


def decode_signal(message: protocol_pb2.SignalDKGPacket | bytes, scheme: Scheme) -> SignalPacket:
    """The signal in `message`, its key decoded in `scheme`; its self-signature is not checked. Raises Malformed."""
    message = parsed(protocol_pb2.SignalDKGPacket, message)
    at_most(message.secret_proof, MAX_SECRET_BYTES, "secret")
    if len(message.previous_group_hash) not in (0, HASH_BYTES):
        raise Malformed(f"previous group hash: {len(message.previous_group_hash)} bytes instead of {HASH_BYTES}")
    identity: Identity = decode_identity(message.node, scheme)
    return SignalPacket(identity, message.secret_proof, message.previous_group_hash)


def encode_group_push(packet: GroupPush, metadata: Metadata) -> protocol_pb2.DKGInfoPacket:
    """The candidate group as PushDKGInfo carries it."""
    return protocol_pb2.DKGInfoPacket(
        new_group=encode_group(packet.group),
        secret_proof=packet.secret,
        dkg_timeout=packet.dkg_timeout_s,
        signature=packet.signature,
        metadata=encode_metadata(metadata),
    )


def decode_group_push(message: protocol_pb2.DKGInfoPacket | bytes, scheme: Scheme) -> GroupPush:
    """The candidate group in `message`, which must use `scheme`; the leader's signature is not checked.

    Nor are the points in the group: anybody may send a push, and whether the secret in it is the right one is for the
    protocol to say first. It then decodes every member's key, to verify its self-signature.
    raises  as drand.wire.groups.decode_group does; Malformed for the other fields
    """
    message = parsed(protocol_pb2.DKGInfoPacket, message)
    at_most(message.secret_proof, MAX_SECRET_BYTES, "secret")
    at_most(message.signature, MAX_SIGNATURE_BYTES, "signature of the group")
    group = decode_group(message.new_group, scheme, check_points=False)
    return GroupPush(group, message.secret_proof, message.dkg_timeout, message.signature)


def encode_sync_request(request: SyncRequest) -> protocol_pb2.SyncRequest:
    """The request as SyncChain carries it: its metadata is the beacon id alone (v1.5.11 sends no version here)."""
    return protocol_pb2.SyncRequest(
        from_round=request.from_round, metadata=encode_metadata(Metadata(beacon_id=request.beacon_id))
    )


def decode_sync_request(message: protocol_pb2.SyncRequest | bytes) -> SyncRequest:
    """The request in `message`; a missing beacon id is "default". Raises Malformed."""
    message = parsed(protocol_pb2.SyncRequest, message)
    return SyncRequest(Round(message.from_round), canonical_beacon_id(decode_metadata(message.metadata).beacon_id))


def _beacon(round_: int, signature: bytes, previous_signature: bytes) -> Beacon:
    at_most(signature, MAX_SIGNATURE_BYTES, "signature")
    at_most(previous_signature, MAX_SIGNATURE_BYTES, "previous signature")
    return Beacon(Round(round_), signature, previous_signature)


def encode_synced_beacon(synced: SyncedBeacon) -> protocol_pb2.BeaconPacket:
    """One beacon of a SyncChain stream."""
    return protocol_pb2.BeaconPacket(
        previous_signature=synced.beacon.previous_signature,
        round=synced.beacon.round,
        signature=synced.beacon.signature,
        metadata=encode_metadata(Metadata(beacon_id=synced.beacon_id)),
    )


def decode_synced_beacon(message: protocol_pb2.BeaconPacket | bytes) -> SyncedBeacon:
    """One beacon of a SyncChain stream, not verified; its beacon id is as sent, "" where none was. Raises Malformed."""
    message = parsed(protocol_pb2.BeaconPacket, message)
    beacon = _beacon(message.round, message.signature, message.previous_signature)
    return SyncedBeacon(beacon, decode_metadata(message.metadata).beacon_id)


def encode_public_rand(beacon: Beacon, metadata: Metadata | None) -> public_pb2.PublicRandResponse:
    """A beacon with its randomness, as Public.PublicRand answers it; without metadata as the gossip relay sends it."""
    return public_pb2.PublicRandResponse(
        round=beacon.round,
        signature=beacon.signature,
        previous_signature=beacon.previous_signature,
        randomness=beacon.randomness,
        metadata=None if metadata is None else encode_metadata(metadata),
    )


def decode_public_rand(message: public_pb2.PublicRandResponse | bytes) -> Beacon:
    """The beacon in `message`, not verified. Raises Malformed; InvalidRandomness when it is not the signature's."""
    message = parsed(public_pb2.PublicRandResponse, message)
    beacon = _beacon(message.round, message.signature, message.previous_signature)
    if message.randomness and message.randomness != beacon.randomness:
        raise InvalidRandomness(f"round {beacon.round}: the randomness is not the SHA-256 of the signature")
    return beacon
