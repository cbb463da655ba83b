"""Who is in a group, in which order, and the hashes that name it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from collective.errors import InvalidSignature, Malformed
from drand.errors import InvalidGroup
from drand.model.chain import DEFAULT_BEACON_ID, ChainInfo, Index, Schedule, hashed_beacon_id
from drand.model.schemes import Scheme

NANOSECONDS = 1_000_000_000
MAX_GROUP_SIZE = 1024  # ours: v1.5.11 has no bound; partial indices would allow 65536

MAX_KNOWN_SIGNATURES = 256  # self-signatures that verified; of a larger ceremony each is verified a few times


def _blake2b_256(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def minimum_threshold(group_size: int) -> int:
    """The least threshold allowed: n // 2 + 1 (v1.5.11, key.MinimumT)."""
    return group_size // 2 + 1


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """Where a node listens and whether it speaks TLS there. The address is dialled and compared as text."""

    address: str  # host:port
    tls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A node's long-term public key, its address, and its own signature of the key.

    The signature covers only the key: address and TLS flag are claims (v1.5.11, Identity.Hash).
    """

    address: str
    key: bytes  # encoded point of the scheme's key group
    tls: bool
    signature: bytes  # b"" where an old file carries none
    scheme: Scheme

    @property
    def peer(self) -> Peer:
        """Where to reach the node."""
        return Peer(self.address, self.tls)

    def hash(self) -> bytes:
        """BLAKE2b-256 of the encoded key, 32 bytes: what the self-signature signs."""
        return _blake2b_256(self.key)

    def check_self_signature(self) -> None:
        """Raise InvalidSignature (or MalformedPoint) unless the identity is signed by its own key."""
        if not self.signature:
            raise InvalidSignature(f"the identity of {self.address} is not self-signed")
        _verify_self_signature(self.scheme, self.key, self.signature)


@lru_cache(maxsize=MAX_KNOWN_SIGNATURES)
def _verify_self_signature(scheme: Scheme, key: bytes, signature: bytes) -> None:
    """Raises as BlsScheme.verify. One that verified is known from then on: in a ceremony it comes again and again.

    A pairing costs a millisecond; what failed is not remembered.
    """
    scheme.bls.verify(scheme.decode_key(key), _blake2b_256(key), signature)


@dataclass(frozen=True, slots=True)
class Node:
    """A member of a group."""

    identity: Identity
    index: Index

    def hash(self) -> bytes:
        """BLAKE2b-256(u32LE index || key), 32 bytes."""
        return _blake2b_256(self.index.to_bytes(4, "little") + self.identity.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group: the candidates of a ceremony (no public key yet) or the qualified nodes after it.

    nodes       in index order; indices may have gaps after a ceremony that disqualified somebody
    public_key  coefficients of the public polynomial, `threshold` encoded points, constant term first; () before
    """

    nodes: tuple[Node, ...]
    threshold: int
    period_ns: int
    catchup_period_ns: int
    genesis_unix_s: int
    genesis_seed: bytes  # 32 bytes; see `with_seed`
    scheme: Scheme
    transition_unix_s: int = 0  # 0 in a fresh group
    public_key: tuple[bytes, ...] = ()
    beacon_id: str = DEFAULT_BEACON_ID

    @property
    def period_s(self) -> int:
        """The period in whole seconds, as the wire and the chain hash carry it."""
        return self.period_ns // NANOSECONDS

    @property
    def catchup_period_s(self) -> float:
        """The pause between two rounds while catching up, in seconds."""
        return self.catchup_period_ns / NANOSECONDS

    @property
    def schedule(self) -> Schedule:
        """When each round is due."""
        return Schedule(genesis_unix_s=self.genesis_unix_s, period_s=self.period_s)

    def node(self, index: int) -> Node | None:
        """The member at `index`, None where nobody is."""
        return next((node for node in self.nodes if node.index == index), None)

    def find(self, identity: Identity) -> Node | None:
        """The member with this address, TLS flag and key (v1.5.11, Identity.Equal), None if absent."""
        for node in self.nodes:
            if node.identity.peer == identity.peer and node.identity.key == identity.key:
                return node
        return None

    def peers_but(self, identity: Identity) -> tuple[Peer, ...]:
        """Everybody's address but this node's, in index order."""
        return tuple(node.identity.peer for node in self.nodes_but(identity))

    def nodes_but(self, identity: Identity) -> tuple[Node, ...]:
        """Everybody but this node, in index order."""
        return tuple(node for node in self.nodes if node.identity.address != identity.address)

    def hash(self) -> bytes:
        """The group hash, 32 bytes. Period, catch-up period, scheme and addresses are not covered.

        BLAKE2b-256(node hashes || u32LE threshold || u64LE genesis || i64LE transition if not 0 ||
        BLAKE2b-256(coefficients) if there are any || beacon id unless default)
        Source: drand v1.5.11, key/group.go, Group.Hash; vectors group/*.
        """
        parts = [node.hash() for node in sorted(self.nodes, key=lambda node: node.index)]
        parts.append(self.threshold.to_bytes(4, "little"))
        parts.append(self.genesis_unix_s.to_bytes(8, "little"))
        if self.transition_unix_s:
            parts.append(self.transition_unix_s.to_bytes(8, "little", signed=True))
        if self.public_key:
            parts.append(_blake2b_256(b"".join(self.public_key)))
        parts.append(hashed_beacon_id(self.beacon_id))
        return _blake2b_256(b"".join(parts))

    def with_seed(self) -> "Group":
        """This candidate group with the genesis seed it determines: its own hash before the key is known."""
        return replace(self, genesis_seed=self.hash())

    def chain_info(self) -> ChainInfo:
        """What clients verify with; raises InvalidGroup before the ceremony has made a key."""
        if not self.public_key:
            raise InvalidGroup(f"the group of beacon {self.beacon_id!r} has no public key yet")
        return ChainInfo(
            public_key=self.public_key[0],
            period_s=self.period_s,
            genesis_unix_s=self.genesis_unix_s,
            genesis_seed=self.genesis_seed,
            scheme=self.scheme,
            beacon_id=self.beacon_id,
        )

    def check(self, *, dated: bool = True) -> None:
        """Raise InvalidGroup unless threshold, sizes, periods, addresses, keys and coefficients fit each other.

        dated   False: a list of candidates, whose genesis time (0) is still to be settled

        Stricter than v1.5.11, which checks neither duplicates nor (on the wire) the upper bound of the threshold.
        """
        size = len(self.nodes)
        if not 0 < size <= MAX_GROUP_SIZE:
            raise InvalidGroup(f"a group has 1 to {MAX_GROUP_SIZE} nodes, this one {size}")
        if self.threshold < minimum_threshold(size):
            raise InvalidGroup(
                f"threshold {self.threshold} is below the minimum {minimum_threshold(size)} of {size} nodes"
            )
        if self.threshold > size:
            raise InvalidGroup(f"threshold {self.threshold} is greater than the number of nodes, {size}")
        if self.period_s < 1:
            raise InvalidGroup(f"a period of {self.period_ns} ns; it must be at least one second")
        if self.genesis_unix_s < (1 if dated else 0):
            raise InvalidGroup("the genesis time is missing")
        for what, values in (
            ("index", [node.index for node in self.nodes]),
            ("address", [node.identity.address for node in self.nodes]),
            ("key", [node.identity.key for node in self.nodes]),
        ):
            if len(set(values)) != size:
                raise InvalidGroup(f"two nodes of the group share one {what}")
        if self.public_key and len(self.public_key) != self.threshold:
            raise InvalidGroup(f"{len(self.public_key)} public coefficients for threshold {self.threshold}")

    def check_self_signatures(self) -> None:
        """Raise InvalidGroup naming the first member whose identity is not signed by its own key."""
        for node in self.nodes:
            try:
                node.identity.check_self_signature()
            except (InvalidSignature, Malformed) as error:
                raise InvalidGroup(f"node {node.index} ({node.identity.address}): {error}") from error


def indexed(identities: Iterable[Identity]) -> tuple[Node, ...]:
    """Nodes in the order every ceremony uses: by encoded key ascending, index = position (v1.5.11, NewGroup)."""
    ordered = sorted(identities, key=lambda identity: identity.key)
    return tuple(Node(identity, Index(position)) for position, identity in enumerate(ordered))
