"""The status of nodes <-> protobuf."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeVar

from collective.errors import Malformed
from drand.model.chain import Round
from drand.model.group import MAX_GROUP_SIZE, Peer
from drand.model.packets import Metadata
from drand.model.status import ChainStatus, DkgState, NodeStatus, RemoteStatus, ReshareState
from drand.wire.addresses import MAX_ADDRESS_BYTES, split_host_port
from drand.wire.gen import control_pb2, drand_pb2
from drand.wire.metadata import encode_metadata
from drand.wire.protobuf import HASH_BYTES, at_most, exactly, parsed

StateT = TypeVar("StateT", bound=Enum)


def encode_status_request(peers: Sequence[Peer], metadata: Metadata) -> drand_pb2.StatusRequest:
    """Ask for a node's status and for what it sees of `peers` (none: of its group)."""
    return drand_pb2.StatusRequest(check_conn=_encode_peers(peers), metadata=encode_metadata(metadata))


def decode_status_request(message: drand_pb2.StatusRequest | bytes) -> tuple[Peer, ...]:
    """The peers whose reachability is asked for; raises Malformed. Whether to dial them is the caller's decision."""
    return _decode_peers(parsed(drand_pb2.StatusRequest, message).check_conn)


def encode_status(status: NodeStatus) -> drand_pb2.StatusResponse:
    """The status as Protocol.Status and Control.Status answer it."""
    return drand_pb2.StatusResponse(
        dkg=drand_pb2.DkgStatus(status=status.dkg.value),
        reshare=drand_pb2.ReshareStatus(status=status.reshare.value),
        beacon=drand_pb2.BeaconStatus(
            status=int(status.is_inited),
            is_running=status.is_running,
            is_stopped=status.is_stopped,
            is_started=status.is_started,
            is_serving=status.is_serving,
        ),
        chain_store=drand_pb2.ChainStoreStatus(
            is_empty=status.chain.is_empty, last_round=status.chain.last_round, length=status.chain.length
        ),
        connections=dict(status.connections),
        other_chains=dict(status.other_chains),
    )


def decode_status(message: drand_pb2.StatusResponse | bytes) -> NodeStatus:
    """The status in `message`; raises Malformed."""
    message = parsed(drand_pb2.StatusResponse, message)
    at_most(message.connections, MAX_GROUP_SIZE, "connections of a status")
    at_most(message.other_chains, MAX_GROUP_SIZE, "other chains of a status")
    if message.beacon.status > 1:
        raise Malformed(f"unknown beacon status {message.beacon.status}")
    chain = message.chain_store
    return NodeStatus(
        dkg=_state(DkgState, message.dkg.status, "DKG"),
        reshare=_state(ReshareState, message.reshare.status, "resharing"),
        is_inited=message.beacon.status == 1,
        is_running=message.beacon.is_running,
        is_stopped=message.beacon.is_stopped,
        is_started=message.beacon.is_started,
        is_serving=message.beacon.is_serving,
        chain=ChainStatus(is_empty=chain.is_empty, last_round=Round(chain.last_round), length=chain.length),
        connections=_connections(message.connections),
        other_chains=_other_chains(message.other_chains),
    )


def encode_remote_status_request(peers: Sequence[Peer], metadata: Metadata) -> control_pb2.RemoteStatusRequest:
    """Ask our daemon for the status of other nodes."""
    return control_pb2.RemoteStatusRequest(metadata=encode_metadata(metadata), addresses=_encode_peers(peers))


def decode_remote_status_request(message: control_pb2.RemoteStatusRequest | bytes) -> tuple[Peer, ...]:
    """The nodes to ask; raises Malformed."""
    return _decode_peers(parsed(control_pb2.RemoteStatusRequest, message).addresses)


def encode_remote_status(remote: RemoteStatus) -> control_pb2.RemoteStatusResponse:
    """The statuses of the nodes that answered, by address."""
    return control_pb2.RemoteStatusResponse(
        statuses={address: encode_status(status) for address, status in remote.statuses.items()}
    )


def decode_remote_status(message: control_pb2.RemoteStatusResponse | bytes) -> RemoteStatus:
    """The statuses in `message`; a node that did not answer is absent. Raises Malformed."""
    message = parsed(control_pb2.RemoteStatusResponse, message)
    at_most(message.statuses, MAX_GROUP_SIZE, "statuses")
    return RemoteStatus({address: decode_status(status) for address, status in sorted(message.statuses.items())})


def _state(kind: type[StateT], value: int, what: str) -> StateT:
    try:
        return kind(value)
    except ValueError as error:
        raise Malformed(f"unknown {what} status {value}") from error


def _connections(message: Mapping[str, bool]) -> dict[str, bool]:
    for address in message:
        at_most(address.encode(), MAX_ADDRESS_BYTES, "address of a connection")
    return dict(sorted(message.items()))


def _other_chains(message: Mapping[str, bytes]) -> dict[str, bytes]:
    for address, chain_hash in message.items():
        at_most(address.encode(), MAX_ADDRESS_BYTES, "address of another chain")
        exactly(chain_hash, HASH_BYTES, "hash of another chain")
    return dict(sorted(message.items()))


def _encode_peers(peers: Sequence[Peer]) -> list[drand_pb2.Address]:
    return [drand_pb2.Address(address=peer.address, tls=peer.tls) for peer in peers]


def _decode_peers(addresses: Sequence[drand_pb2.Address]) -> tuple[Peer, ...]:
    at_most(addresses, MAX_GROUP_SIZE, "addresses to check")
    for entry in addresses:
        split_host_port(entry.address)
    return tuple(Peer(entry.address, entry.tls) for entry in addresses)
