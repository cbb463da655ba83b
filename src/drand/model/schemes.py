"""The five signature schemes: which group holds keys, which holds signatures, what is signed for a round.

Source: drand v1.5.11, crypto/schemes.go; the bn254 scheme from drand v2, crypto/schemes.go.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

from collective.groups.bls12381 import bls12381
from collective.groups.group import HashableGroup, PairingSuite, Point, PrimeGroup
from collective.signatures.bls import BlsScheme
from drand.errors import UnknownScheme

G1_DOMAIN = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
G2_DOMAIN = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
BN254_DOMAIN = b"BLS_SIG_BN254G1_XMD:KECCAK-256_SVDW_RO_NUL_"

MAX_KNOWN_KEYS = 512  # decoded ones

DEFAULT_SCHEME = "pedersen-bls-chained"


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass(frozen=True, eq=False)
class Scheme:
    """How one chain signs its rounds. Two schemes are equal when their names are."""

    name: str
    bls: BlsScheme
    chained: bool  # the previous signature is part of the signed message
    digest_hash: Callable[[bytes], bytes]  # 32 bytes out

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scheme) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Scheme({self.name!r})"

    @property
    def suite(self) -> PairingSuite:
        """The pair of groups."""
        return self.bls.suite

    @property
    def key_group(self) -> PrimeGroup:
        """Where public keys and commitments live."""
        return self.bls.key_group

    @property
    def signature_group(self) -> HashableGroup:
        """Where signatures live."""
        return self.bls.signature_group

    @property
    def key_bytes(self) -> int:
        """Length of an encoded public key or commitment."""
        return self.key_group.point_bytes

    @property
    def signature_bytes(self) -> int:
        """Length of a beacon's signature."""
        return self.signature_group.point_bytes

    def digest(self, round_: int, previous_signature: bytes) -> bytes:
        """The 32-byte message that the group signs for `round_`.

        H(previous_signature || u64BE round) in a chained scheme (the first part is left out when empty), else
        H(u64BE round); H is SHA-256, legacy Keccak-256 for bn254.
        """
        prefix = previous_signature if self.chained else b""
        return self.digest_hash(prefix + round_.to_bytes(8, "big"))

    def decode_key(self, data: bytes) -> Point:
        """Strictly decode a public key or a commitment; raises MalformedPoint (the identity is refused)."""
        return _decoded_key(self.key_group, data)


@lru_cache(maxsize=MAX_KNOWN_KEYS)
def _decoded_key(group: PrimeGroup, data: bytes) -> Point:
    """A ceremony meets each key four times, and the check of its subgroup costs 80 us. Refusals are not remembered.

    By group and not by scheme: schemes of one name may have two backends, whose points do not mix.
    """
    return group.decode(data)


# Order of drand's own listing (`util list-schemes`), bn254 last as in v2.
SCHEME_NAMES: tuple[str, ...] = (
    "pedersen-bls-chained",
    "pedersen-bls-unchained",
    "bls-unchained-g1-rfc9380",
    "bls-unchained-on-g1",
    "bls-bn254-unchained-on-g1",
)


@cache
def _build(name: str) -> Scheme:
    match name:
        case "pedersen-bls-chained":
            return Scheme(name, BlsScheme(bls12381(), keys_on_g1=True, domain=G2_DOMAIN), True, _sha256)
        case "pedersen-bls-unchained":
            return Scheme(name, BlsScheme(bls12381(), keys_on_g1=True, domain=G2_DOMAIN), False, _sha256)
        case "bls-unchained-g1-rfc9380":
            return Scheme(name, BlsScheme(bls12381(), keys_on_g1=False, domain=G1_DOMAIN), False, _sha256)
        case "bls-unchained-on-g1":  # deprecated: hashes to G1 under G2's tag, a mistake kept for its chains
            return Scheme(name, BlsScheme(bls12381(), keys_on_g1=False, domain=G2_DOMAIN), False, _sha256)
        case "bls-bn254-unchained-on-g1":
            # Imported here: only its own chains pay for the curve and for pycryptodome.
            from collective.groups.bn import bn254
            from collective.keccak import keccak256

            return Scheme(name, BlsScheme(bn254(), keys_on_g1=False, domain=BN254_DOMAIN), False, keccak256)
        case _:
            raise UnknownScheme(f"unknown scheme {name!r}")


def scheme_named(name: str) -> Scheme:
    """The scheme called `name`; raises UnknownScheme. An empty name is an error here (v1.5.11, SchemeFromName)."""
    return _build(name)


def scheme_or_default(name: str) -> Scheme:
    """The scheme called `name`, the default one for an empty name (v1.5.11, GetSchemeByIDWithDefault)."""
    return _build(name or DEFAULT_SCHEME)
