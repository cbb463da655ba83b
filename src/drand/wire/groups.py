"""Groups and chain information <-> protobuf."""

from collective.errors import Malformed
from drand.errors import InvalidChainInfo, InvalidGroup
from drand.model.chain import ChainInfo, Index, canonical_beacon_id
from drand.model.group import MAX_GROUP_SIZE, NANOSECONDS, Group, Node
from drand.model.packets import OUR_VERSION, Metadata
from drand.model.schemes import SCHEME_NAMES, Scheme, scheme_named, scheme_or_default
from drand.wire.gen import drand_pb2
from drand.wire.identities import decode_identity, encode_identity
from drand.wire.metadata import decode_metadata, encode_metadata
from drand.wire.protobuf import HASH_BYTES, INT64_MAX, at_most, exactly, parsed

MAX_INDEX = 2**16 - 1  # a partial signature carries its index in 16 bits
MAX_PERIOD_S = 2**32 - 1  # the wire and the chain hash carry it in 32


def decode_coefficients(encoded: tuple[bytes, ...], scheme: Scheme) -> tuple[bytes, ...]:
    """`encoded`, each one checked to be a point of the key group; raises Malformed.

    None of them may be the identity, which v1.5.11 accepts everywhere (docs/decisions/0007-identity-points.md).
    """
    for position, point in enumerate(encoded):
        try:
            scheme.key_group.decode(point)
        except Malformed as error:
            raise Malformed(f"invalid distributed key coefficients: number {position}: {error}") from error
    return encoded


def checked_group(group: Group, *, dated: bool = True) -> Group:
    """`group` from the outside with its nodes in index order; raises InvalidGroup where fields contradict each other.

    dated   as in Group.check

    Adds to Group.check the bounds that its encodings need. A missing genesis seed is filled in as v1.5.11 does: the
    hash of the group as it stands.
    """
    if group.catchup_period_ns < 0 or group.transition_unix_s < 0:
        raise InvalidGroup("a group with a negative catch-up period or transition time")
    if max(group.period_s, group.catchup_period_ns // NANOSECONDS) > MAX_PERIOD_S:
        raise InvalidGroup(f"periods are at most {MAX_PERIOD_S} seconds")
    if max(group.genesis_unix_s, group.transition_unix_s) > INT64_MAX:
        raise InvalidGroup("a genesis or transition time beyond the end of time")
    for node in group.nodes:
        if not 0 <= node.index <= MAX_INDEX:
            raise InvalidGroup(f"node index {node.index}; partial signatures can carry 0 to {MAX_INDEX}")
    group.check(dated=dated)
    if not group.genesis_seed:
        return group.with_seed()
    exactly(group.genesis_seed, HASH_BYTES, "genesis seed")
    return group


def encode_group(group: Group) -> drand_pb2.GroupPacket:
    """The group as nodes exchange it. Periods are truncated to whole seconds, the beacon id is made canonical.

    Source: drand v1.5.11, key/group.go, Group.ToProto; vectors group/*.
    """
    return drand_pb2.GroupPacket(
        nodes=[drand_pb2.Node(public=encode_identity(node.identity), index=node.index) for node in group.nodes],
        threshold=group.threshold,
        period=group.period_s,
        genesis_time=group.genesis_unix_s,
        transition_time=group.transition_unix_s,
        genesis_seed=group.genesis_seed,
        dist_key=group.public_key,
        catchup_period=group.catchup_period_ns // NANOSECONDS,
        schemeID=group.scheme.name,
        metadata=encode_metadata(Metadata(OUR_VERSION, canonical_beacon_id(group.beacon_id))),
    )


def decode_group(
    message: drand_pb2.GroupPacket | bytes, scheme: Scheme | None = None, *, check_points: bool = True
) -> Group:
    """The group in `message`; `scheme` is the one it must use, None accepts any known one.

    check_points  False: keys are only measured, coefficients not looked at; for a message whose sender nobody has
                  checked yet, since two thousand points take seconds to decode on the slowest curve
    raises  UnknownScheme (an empty name is unknown here); InvalidGroup for another scheme, a node that does not
            decode (named by its place), or fields that contradict each other; Malformed for the rest
    Source: drand v1.5.11, key/group.go, GroupFromProto; Group.check adds what it forgets.
    """
    message = parsed(drand_pb2.GroupPacket, message)
    if scheme is not None and message.schemeID in SCHEME_NAMES and message.schemeID != scheme.name:
        raise InvalidGroup(  # by its name: the other scheme's curve stays unloaded
            f"mismatch in Scheme name in GroupPacket: {scheme.name} != {message.schemeID}",
            hint="our key was generated with another scheme than the group's",
        )
    named = scheme_named(message.schemeID)
    at_most(message.nodes, MAX_GROUP_SIZE, "nodes of a group")
    at_most(message.dist_key, MAX_GROUP_SIZE, "coefficients of a group")
    nodes = [
        Node(decode_identity(node.public, named, check_key=check_points), Index(node.index)) for node in message.nodes
    ]
    coefficients = tuple(message.dist_key)
    return checked_group(
        Group(
            nodes=tuple(sorted(nodes, key=lambda node: node.index)),
            threshold=message.threshold,
            period_ns=message.period * NANOSECONDS,
            catchup_period_ns=message.catchup_period * NANOSECONDS,
            genesis_unix_s=message.genesis_time,
            transition_unix_s=message.transition_time,
            genesis_seed=message.genesis_seed,
            public_key=decode_coefficients(coefficients, named) if check_points else coefficients,
            scheme=named,
            beacon_id=canonical_beacon_id(decode_metadata(message.metadata).beacon_id),
        )
    )


def checked_chain_info(info: ChainInfo, claimed_hash: bytes) -> ChainInfo:
    """`info` from the outside; `claimed_hash` is what came with it, b"" where nothing did.

    raises  MalformedPoint for the key; Malformed for seed, period and genesis; InvalidChainInfo when the hash is not
            the one these fields have
    """
    info.scheme.decode_key(info.public_key)
    exactly(info.genesis_seed, HASH_BYTES, "genesis seed")
    if not 1 <= info.period_s <= MAX_PERIOD_S:
        raise Malformed(f"a period of {info.period_s} seconds; it must be 1 to {MAX_PERIOD_S}")
    if not 0 < info.genesis_unix_s <= INT64_MAX:
        raise Malformed(f"genesis time {info.genesis_unix_s} is no unix time of a chain")
    if claimed_hash and claimed_hash != info.hash():
        raise InvalidChainInfo(f"chain hash {claimed_hash.hex()} claimed, but the fields hash to {info.hash().hex()}")
    return info


def encode_chain_info(info: ChainInfo, metadata: Metadata) -> drand_pb2.ChainInfoPacket:
    """The chain information as Public.ChainInfo and Control.ChainInfo answer it."""
    return drand_pb2.ChainInfoPacket(
        public_key=info.public_key,
        period=info.period_s,
        genesis_time=info.genesis_unix_s,
        hash=info.hash(),
        groupHash=info.genesis_seed,
        schemeID=info.scheme.name,
        metadata=encode_metadata(metadata),
    )


def decode_chain_info(message: drand_pb2.ChainInfoPacket | bytes) -> ChainInfo:
    """The chain information in `message`. An empty scheme name is the default one, an empty hash is not compared.

    raises  UnknownScheme; as `checked_chain_info` does
    Source: drand v1.5.11, chain/convert.go, InfoFromProto, which compares no hash.
    """
    message = parsed(drand_pb2.ChainInfoPacket, message)
    info = ChainInfo(
        public_key=message.public_key,
        period_s=message.period,
        genesis_unix_s=message.genesis_time,
        genesis_seed=message.groupHash,
        scheme=scheme_or_default(message.schemeID),
        beacon_id=canonical_beacon_id(decode_metadata(message.metadata).beacon_id),
    )
    return checked_chain_info(info, message.hash)
