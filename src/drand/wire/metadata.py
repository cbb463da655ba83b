"""Metadata and versions <-> protobuf (package `common` on the wire)."""

from typing import Protocol

from collective.errors import Malformed
from drand.model.packets import Metadata, Version
from drand.wire.gen import common_pb2, drand_pb2
from drand.wire.protobuf import HASH_BYTES, MAX_BEACON_ID_BYTES, at_most, parsed

MAX_PRERELEASE_BYTES = 64


class HasMetadata(Protocol):
    """A message with a metadata field: nearly all of them."""

    @property
    def metadata(self) -> common_pb2.Metadata:
        """The field."""
        ...


def encode_version(version: Version) -> common_pb2.NodeVersion:
    """The version as peers read it; an empty prerelease is left out."""
    return common_pb2.NodeVersion(
        major=version.major, minor=version.minor, patch=version.patch, prerelease=version.prerelease or None
    )


def decode_version(message: common_pb2.NodeVersion | bytes) -> Version:
    """The version in `message`; raises Malformed."""
    message = parsed(common_pb2.NodeVersion, message)
    at_most(message.prerelease.encode(), MAX_PRERELEASE_BYTES, "prerelease")
    return Version(message.major, message.minor, message.patch, message.prerelease)


def encode_metadata(metadata: Metadata) -> common_pb2.Metadata:
    """The metadata as it stands: nothing is filled in."""
    version = None if metadata.version is None else encode_version(metadata.version)
    return common_pb2.Metadata(node_version=version, beaconID=metadata.beacon_id, chain_hash=metadata.chain_hash)


def decode_metadata(message: common_pb2.Metadata | bytes) -> Metadata:
    """The metadata in `message`; the beacon id stays as sent ("" is not turned into "default"). Raises Malformed."""
    message = parsed(common_pb2.Metadata, message)
    at_most(message.beaconID.encode(), MAX_BEACON_ID_BYTES, "beacon id")
    if len(message.chain_hash) not in (0, HASH_BYTES):
        raise Malformed(f"chain hash: {len(message.chain_hash)} bytes instead of {HASH_BYTES}")
    version = decode_version(message.node_version) if message.HasField("node_version") else None
    return Metadata(version, message.beaconID, message.chain_hash)


def metadata_of(message: HasMetadata) -> Metadata:
    """The metadata that rides on `message`; an empty Metadata where it carries none. Raises Malformed."""
    return decode_metadata(message.metadata)


def encode_empty(metadata: Metadata | None) -> drand_pb2.Empty:
    """The answer "accepted, nothing to say"."""
    return drand_pb2.Empty(metadata=None if metadata is None else encode_metadata(metadata))
