"""Commanding a daemon: the blocking client that the command line uses."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import grpc
from google.protobuf.message import Message

from collective.errors import CollectiveError, Malformed
from drand.model.chain import ChainInfo
from drand.model.group import Group, Peer
from drand.model.packets import Metadata, Version
from drand.model.status import NodeStatus
from drand.net.addresses import ControlAddress, UnixPath, parse_control
from drand.net.channels import CHANNEL_OPTIONS
from drand.net.control_codec import (
    decode_progress,
    decode_sync_progress,
    encode_follow,
    encode_init_dkg,
    encode_init_reshare,
)
from drand.net.errors import DaemonAbsent, RefusedByDaemon
from drand.net.grpc_reasons import plain_reason
from drand.net.grpc_service import hint_in
from drand.net.handlers import CeremonyProgress, FollowOrder, SetupOrder, SyncProgress
from drand.wire.gen import control_pb2, drand_pb2, watch_pb2
from drand.wire.groups import decode_chain_info, decode_group
from drand.wire.metadata import encode_metadata, metadata_of
from drand.wire.protobuf import parsed
from drand.wire.status import decode_remote_status, decode_status, encode_remote_status_request, encode_status_request

DEADLINE_S = 30.0
LONG_DEADLINE_S = 3600.0  # backups, loading a beacon, and asking many nodes in turn
CEREMONY_DEADLINE_S = 14 * 24 * 3600.0  # how long v1.5.11 waits for participants


class ControlClient:
    """A connection to a daemon's control socket; use it with `with`.

    Every method raises DaemonAbsent when nobody listens, RefusedByDaemon with the daemon's own words and hint,
    and Malformed when the answer does not decode.
    """

    def __init__(self, address: ControlAddress | str) -> None:
        self.address = parse_control(address) if isinstance(address, str) else address
        target = self.address.target if isinstance(self.address, UnixPath) else self.address.dial_target
        # On a Unix socket the default authority would be its path, which Go's server refuses.
        options = (*CHANNEL_OPTIONS, ("grpc.default_authority", "localhost"))
        self._channel = grpc.insecure_channel(target, options=options)

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def ping(self) -> Version:
        """The daemon's version, if it is alive."""
        answer = parsed(control_pb2.Pong, self._call("PingPong", control_pb2.Ping()))
        version = metadata_of(answer).version
        if version is None:
            raise Malformed(f"what answers at {self.address} names no version")
        return version

    def status(self, metadata: Metadata, check: Sequence[Peer] = ()) -> NodeStatus:
        """Where a beacon stands, and which of `check` (none: its group) answer the daemon."""
        return decode_status(self._call("Status", encode_status_request(check, metadata), LONG_DEADLINE_S))

    def list_schemes(self) -> tuple[str, ...]:
        """Names of the schemes that the daemon knows."""
        raw = self._call("ListSchemes", control_pb2.ListSchemesRequest())
        return tuple(parsed(control_pb2.ListSchemesResponse, raw).ids)

    def list_beacon_ids(self) -> tuple[str, ...]:
        """Ids of the beacons that are loaded."""
        raw = self._call("ListBeaconIDs", control_pb2.ListBeaconIDsRequest())
        return tuple(parsed(control_pb2.ListBeaconIDsResponse, raw).ids)

    def init_dkg(self, metadata: Metadata, order: SetupOrder) -> Group:
        """Hold a fresh ceremony; returns when it is over. It goes on in the daemon when this process ends."""
        return decode_group(self._call("InitDKG", encode_init_dkg(order, metadata), CEREMONY_DEADLINE_S))

    def init_reshare(self, metadata: Metadata, order: SetupOrder) -> Group:
        """Hold a resharing; returns when it is over."""
        return decode_group(self._call("InitReshare", encode_init_reshare(order, metadata), CEREMONY_DEADLINE_S))

    def public_key(self, metadata: Metadata) -> bytes:
        """The encoded long-term public key."""
        raw = self._call("PublicKey", control_pb2.PublicKeyRequest(metadata=encode_metadata(metadata)))
        return parsed(control_pb2.PublicKeyResponse, raw).pubKey

    def chain_info(self, metadata: Metadata) -> ChainInfo:
        """What clients verify with."""
        request = drand_pb2.ChainInfoRequest(metadata=encode_metadata(metadata))
        return decode_chain_info(self._call("ChainInfo", request))

    def group_file(self, metadata: Metadata) -> Group:
        """The current group."""
        return decode_group(self._call("GroupFile", drand_pb2.GroupRequest(metadata=encode_metadata(metadata))))

    def shutdown(self, metadata: Metadata) -> None:
        """Stop one beacon, or the whole daemon when the beacon id is empty."""
        self._call("Shutdown", control_pb2.ShutdownRequest(metadata=encode_metadata(metadata)))

    def load_beacon(self, metadata: Metadata) -> None:
        """Start a beacon from its files."""
        request = control_pb2.LoadBeaconRequest(metadata=encode_metadata(metadata))
        self._call("LoadBeacon", request, LONG_DEADLINE_S)

    def backup(self, metadata: Metadata, output: Path) -> None:
        """Have the daemon write a copy of a beacon's store; a relative path would mean the daemon's folder."""
        request = control_pb2.BackupDBRequest(output_file=str(output.absolute()), metadata=encode_metadata(metadata))
        self._call("BackupDatabase", request, LONG_DEADLINE_S)

    def remote_status(self, metadata: Metadata, peers: Sequence[Peer]) -> Mapping[str, NodeStatus]:
        """The status of other nodes by address; those that do not answer the daemon are absent."""
        raw = self._call("RemoteStatus", encode_remote_status_request(peers, metadata), LONG_DEADLINE_S)
        return decode_remote_status(raw).statuses

    def follow(self, metadata: Metadata, order: FollowOrder) -> Iterator[SyncProgress]:
        """Follow a chain; ends at `order.up_to`."""
        return map(decode_sync_progress, self._stream("drand.Control/StartFollowChain", encode_follow(order, metadata)))

    def check(self, metadata: Metadata, order: FollowOrder) -> Iterator[SyncProgress]:
        """Verify the stored chain and repair it."""
        return map(decode_sync_progress, self._stream("drand.Control/StartCheckChain", encode_follow(order, metadata)))

    def ceremony(self, beacon_id: str) -> Iterator[CeremonyProgress]:
        """The running ceremony's state now and after every change, until it is over. Only our own daemon knows this."""
        return map(decode_progress, self._stream("pydrand.Watch/Ceremony", watch_pb2.WatchRequest(beacon_id=beacon_id)))

    def abandon(self, beacon_id: str, reason: str) -> None:
        """End the running ceremony without a key. Only our own daemon knows this."""
        request = watch_pb2.AbandonRequest(beacon_id=beacon_id, reason=reason)
        self._call("Abandon", request, service="pydrand.Watch")

    def _call(
        self, method: str, request: Message, deadline_s: float = DEADLINE_S, *, service: str = "drand.Control"
    ) -> bytes:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"/{service}/{method}")
        try:
            return call(request.SerializeToString(), timeout=deadline_s)
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def _stream(self, path: str, request: Message) -> Iterator[bytes]:
        call: grpc.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(f"/{path}")
        answers = call(request.SerializeToString())
        try:
            yield from answers
        except grpc.RpcError as error:
            raise self._translated(error) from error
        finally:
            answers.cancel()

    def _translated(self, error: grpc.RpcError) -> CollectiveError:
        if not isinstance(error, grpc.Call):
            return RefusedByDaemon(str(error))
        text = error.details() or error.code().name
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                reason, hint = plain_reason(text)
                return DaemonAbsent(f"no daemon answers at {self.address}: {reason}", hint=hint)
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return DaemonAbsent(f"the daemon at {self.address} did not answer in time")
            case grpc.StatusCode.UNIMPLEMENTED:
                return RefusedByDaemon(
                    f"what listens at {self.address} does not know this command",
                    hint="name the daemon's own --control port; the peers' and the HTTP port are others",
                )
            case _:
                return RefusedByDaemon(text, hint=hint_in(error.trailing_metadata() or ()) or None)
