"""BLS signatures, with keys in one group of a pairing suite and signatures in the other."""

from dataclasses import dataclass

from collective.errors import InvalidSignature
from collective.groups.group import HashableGroup, PairingSuite, Point
from collective.secret import SecretScalar


@dataclass(frozen=True, slots=True)
class BlsScheme:
    """sigma = secret * H(message); valid when e(H(message), key) == e(sigma, generator of the key group).

    suite       the two groups
    keys_on_g1  True: keys in G1 and signatures in G2; False: the other way round
    domain      the hash-to-curve tag
    Source: Boneh, Lynn, Shacham, ASIACRYPT 2001; draft-irtf-cfrg-bls-signature-05 for the tags.
    """

    suite: PairingSuite
    keys_on_g1: bool
    domain: bytes

    @property
    def key_group(self) -> HashableGroup:
        """Where public keys and commitments live."""
        return self.suite.g1 if self.keys_on_g1 else self.suite.g2

    @property
    def signature_group(self) -> HashableGroup:
        """Where messages are hashed to and signatures live."""
        return self.suite.g2 if self.keys_on_g1 else self.suite.g1

    def public_key(self, secret: SecretScalar) -> Point:
        """secret * generator of the key group."""
        return self.key_group.multiply(self.key_group.generator(), secret.expose())

    def hash_to_point(self, message: bytes) -> Point:
        """H(message) in the signature group."""
        return self.signature_group.hash_to_point(message, self.domain)

    def sign(self, secret: SecretScalar, message: bytes) -> bytes:
        """The encoded signature on `message`; deterministic."""
        return self.sign_point(secret, self.hash_to_point(message))

    def sign_point(self, secret: SecretScalar, hashed: Point) -> bytes:
        """The encoded signature on a message already hashed by `hash_to_point`."""
        return self.signature_group.encode(self.signature_group.multiply(hashed, secret.expose()))

    def verify(self, public_key: Point, message: bytes, signature: bytes) -> None:
        """Check the encoded signature on `message`.

        raises  MalformedPoint when `signature` is no point of the signature group or is the identity;
                InvalidSignature when it does not verify, or when the public key is the identity
        """
        decoded = self.signature_group.decode(signature)  # before the hash: garbage is refused at no cost
        self.verify_point(public_key, self.hash_to_point(message), decoded)

    def verify_encoded(self, public_key: Point, hashed: Point, signature: bytes) -> None:
        """Like `verify`, for a message already hashed by `hash_to_point`."""
        self.verify_point(public_key, hashed, self.signature_group.decode(signature))

    def verify_point(self, public_key: Point, hashed: Point, signature: Point) -> None:
        """Like `verify`, for a message already hashed and a signature already decoded; raises InvalidSignature."""
        if self.key_group.is_identity(public_key):
            raise InvalidSignature("the identity is no public key")
        if not self.holds(hashed, public_key, signature):
            raise InvalidSignature("the signature does not verify under this key")

    def holds(self, hashed: Point, public_key: Point, signature: Point) -> bool:
        """Whether e(hashed, public_key) == e(signature, generator of the key group)."""
        generator = self.key_group.generator()
        if self.keys_on_g1:
            return self.suite.pairings_equal(public_key, hashed, generator, signature)
        return self.suite.pairings_equal(hashed, public_key, signature, generator)
