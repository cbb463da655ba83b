"""Identities <-> protobuf."""

from collective.errors import Malformed, MalformedPoint
from drand.model.group import Identity
from drand.model.packets import Metadata
from drand.model.schemes import Scheme, scheme_or_default
from drand.wire.addresses import split_host_port
from drand.wire.gen import drand_pb2, protocol_pb2
from drand.wire.metadata import encode_metadata
from drand.wire.protobuf import MAX_SIGNATURE_BYTES, at_most, exactly, parsed


def checked_identity(
    address: str, key: bytes, tls: bool, signature: bytes, scheme: Scheme, *, check_key: bool = True
) -> Identity:
    """An identity from the outside, its fields checked but not its self-signature.

    check_key  False: the key is only measured, not decoded; for a message whose sender nobody has checked yet
    raises  Malformed when the address does not split or the signature is absurdly long; MalformedPoint (with a hint
            at the scheme) when the key is no element of the scheme's key group, or is its identity
    Source: drand v1.5.11, key/keys.go, IdentityFromProto; refusing the identity element is ours.
    """
    split_host_port(address)
    at_most(signature, MAX_SIGNATURE_BYTES, f"self-signature of {address}")
    if not check_key:
        exactly(key, scheme.key_bytes, f"key of {address}")
        return Identity(address=address, key=key, tls=tls, signature=signature, scheme=scheme)
    try:
        scheme.decode_key(key)
    except MalformedPoint as error:
        raise MalformedPoint(
            f"{address}: could not unmarshal key - the key's scheme may not match the beacon's scheme: {error}",
            hint=f"is {address} running {scheme.name}? compare the SchemeName of both key files",
        ) from error
    return Identity(address=address, key=key, tls=tls, signature=signature, scheme=scheme)


def encode_identity(identity: Identity) -> drand_pb2.Identity:
    """The identity as groups and signals carry it: without its scheme."""
    return drand_pb2.Identity(
        address=identity.address, key=identity.key, tls=identity.tls, signature=identity.signature
    )


def decode_identity(message: drand_pb2.Identity | bytes, scheme: Scheme, *, check_key: bool = True) -> Identity:
    """The identity in `message`, its key one of `scheme`; raises as `checked_identity` does."""
    message = parsed(drand_pb2.Identity, message)
    return checked_identity(message.address, message.key, message.tls, message.signature, scheme, check_key=check_key)


def encode_identity_response(identity: Identity, metadata: Metadata) -> protocol_pb2.IdentityResponse:
    """The answer to GetIdentity."""
    return protocol_pb2.IdentityResponse(
        address=identity.address,
        key=identity.key,
        tls=identity.tls,
        signature=identity.signature,
        metadata=encode_metadata(metadata),
        schemeName=identity.scheme.name,
    )


def decode_identity_response(message: protocol_pb2.IdentityResponse | bytes, scheme: Scheme | None = None) -> Identity:
    """The identity in an answer to GetIdentity.

    scheme  the one we need the peer to use; None takes the peer's word (the default scheme where it names none)
    raises  UnknownScheme; Malformed when the peer names another scheme than `scheme`; as `checked_identity` does
    """
    message = parsed(protocol_pb2.IdentityResponse, message)
    named = scheme_or_default(message.schemeName)
    if scheme is not None and message.schemeName and named != scheme:
        raise Malformed(
            f"{message.address} uses scheme {named.name}, we use {scheme.name}",
            hint="all keys of a group are generated with one scheme",
        )
    return checked_identity(message.address, message.key, message.tls, message.signature, scheme or named)
