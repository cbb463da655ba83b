"""The bundles of a key generation <-> protobuf (package `dkg` on the wire).

A deal's sealed share may have any length: v1.5.11 keeps a bundle with a share that cannot be opened, and lets its
holder complain. To drop it here would leave us with another qualified set than everybody else's.

Commitments are only measured here: to decode a thousand points costs a second on the slowest curve, and anybody may
send them. Whether they are points is looked at once the author's signature holds (drand.protocol.echo).
"""

from typing import assert_never

from collective.errors import Malformed
from drand.model.bundles import (
    Bundle,
    Deal,
    DealBundle,
    Justification,
    JustificationBundle,
    Response,
    ResponseBundle,
)
from drand.model.chain import Index
from drand.model.group import MAX_GROUP_SIZE
from drand.model.packets import DkgPacket, Metadata
from drand.model.schemes import Scheme
from drand.wire.gen import dkg_pb2, protocol_pb2
from drand.wire.metadata import encode_metadata
from drand.wire.protobuf import HASH_BYTES, MAX_SIGNATURE_BYTES, at_most, exactly, parsed

SCALAR_BYTES = 32


def encode_bundle(bundle: Bundle) -> dkg_pb2.Packet:
    """The bundle as a dkg.Packet without metadata. Lists keep their order: what arrived is sent on byte for byte."""
    match bundle:
        case DealBundle():
            return dkg_pb2.Packet(deal=_encode_deals(bundle))
        case ResponseBundle():
            return dkg_pb2.Packet(response=_encode_responses(bundle))
        case JustificationBundle():
            return dkg_pb2.Packet(justification=_encode_justifications(bundle))
        case _:
            assert_never(bundle)


def decode_bundle(message: dkg_pb2.Packet | bytes, scheme: Scheme | None) -> Bundle:
    """The bundle in `message`; its signature is not checked.

    scheme  whose key group commits and shares belong to; None, for bundles out of our own journal, checks neither
    raises  Malformed unless it is one of the three, with a 32-byte session id, at most MAX_GROUP_SIZE entries, commits
            as long as points of the key group and shares below its order
    Source: drand v1.5.11, core/convert.go, protoToDKGPacket; the bounds are ours.
    """
    message = parsed(dkg_pb2.Packet, message)
    match message.WhichOneof("Bundle"):
        case "deal":
            return _decode_deals(message.deal, scheme)
        case "response":
            return _decode_responses(message.response)
        case "justification":
            return _decode_justifications(message.justification, scheme)
        case _:
            raise Malformed("a DKG packet that holds no bundle")


def encode_dkg_packet(packet: DkgPacket, metadata: Metadata) -> protocol_pb2.DKGPacket:
    """The packet as BroadcastDKG carries it."""
    return protocol_pb2.DKGPacket(dkg=encode_bundle(packet.bundle), metadata=encode_metadata(metadata))


def decode_dkg_packet(message: protocol_pb2.DKGPacket | bytes, scheme: Scheme) -> DkgPacket:
    """The bundle in a BroadcastDKG call; raises as `decode_bundle` does."""
    return DkgPacket(decode_bundle(parsed(protocol_pb2.DKGPacket, message).dkg, scheme))


def _encode_deals(bundle: DealBundle) -> dkg_pb2.DealBundle:
    deals = [dkg_pb2.Deal(share_index=deal.share_index, encrypted_share=deal.encrypted_share) for deal in bundle.deals]
    return dkg_pb2.DealBundle(
        dealer_index=bundle.dealer_index,
        commits=bundle.commits,
        deals=deals,
        session_id=bundle.session_id,
        signature=bundle.signature,
    )


def _encode_responses(bundle: ResponseBundle) -> dkg_pb2.ResponseBundle:
    responses = [dkg_pb2.Response(dealer_index=r.dealer_index, status=r.valid) for r in bundle.responses]
    return dkg_pb2.ResponseBundle(
        share_index=bundle.share_index,
        responses=responses,
        session_id=bundle.session_id,
        signature=bundle.signature,
    )


def _encode_justifications(bundle: JustificationBundle) -> dkg_pb2.JustificationBundle:
    shown = [dkg_pb2.Justification(share_index=j.share_index, share=j.share) for j in bundle.justifications]
    return dkg_pb2.JustificationBundle(
        dealer_index=bundle.dealer_index,
        justifications=shown,
        session_id=bundle.session_id,
        signature=bundle.signature,
    )


def _session(session_id: bytes, signature: bytes) -> bytes:
    at_most(signature, MAX_SIGNATURE_BYTES, "signature of a bundle")
    return exactly(session_id, HASH_BYTES, "session id")


def _commit(data: bytes, scheme: Scheme | None) -> bytes:
    return data if scheme is None else exactly(data, scheme.key_bytes, "public coefficient in a deal bundle")


def _decode_deals(message: dkg_pb2.DealBundle, scheme: Scheme | None) -> DealBundle:
    at_most(message.commits, MAX_GROUP_SIZE, "commits of a deal bundle")
    at_most(message.deals, MAX_GROUP_SIZE, "deals of a bundle")
    return DealBundle(
        dealer_index=Index(message.dealer_index),
        commits=tuple(_commit(commit, scheme) for commit in message.commits),
        deals=tuple(Deal(Index(deal.share_index), deal.encrypted_share) for deal in message.deals),
        session_id=_session(message.session_id, message.signature),
        signature=message.signature,
    )


def _decode_responses(message: dkg_pb2.ResponseBundle) -> ResponseBundle:
    at_most(message.responses, MAX_GROUP_SIZE, "responses of a bundle")
    return ResponseBundle(
        share_index=Index(message.share_index),
        responses=tuple(Response(Index(r.dealer_index), r.status) for r in message.responses),
        session_id=_session(message.session_id, message.signature),
        signature=message.signature,
    )


def _share(data: bytes, scheme: Scheme | None) -> bytes:
    exactly(data, SCALAR_BYTES, "a justified share")
    if scheme is not None and int.from_bytes(data, "big") >= scheme.key_group.order:
        raise Malformed("a justified share is not below the group order")
    return data


def _decode_justifications(message: dkg_pb2.JustificationBundle, scheme: Scheme | None) -> JustificationBundle:
    at_most(message.justifications, MAX_GROUP_SIZE, "justifications of a bundle")
    return JustificationBundle(
        dealer_index=Index(message.dealer_index),
        justifications=tuple(
            Justification(Index(j.share_index), _share(j.share, scheme)) for j in message.justifications
        ),
        session_id=_session(message.session_id, message.signature),
        signature=message.signature,
    )
