"""Nodes that tests can talk about: identities with their keys, in the toy group, from a seed."""

import hashlib
from dataclasses import dataclass

from collective.secret import SecretScalar
from collective.signatures import schnorr
from drand.model.group import Identity
from drand.model.schemes import Scheme
from tests.support.committee import TOY_CHAINED
from tests.support.entropy import SeededEntropy


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass(frozen=True)
class Person:
    """A node's identity together with the secret that a real node leaves in its vault."""

    identity: Identity
    secret: SecretScalar

    def schnorr(self, message: bytes) -> bytes:
        return schnorr.sign(self.identity.scheme.key_group, self.secret, message, SeededEntropy(1))


def person(name: str, *, scheme: Scheme = TOY_CHAINED, address: str | None = None, signed: bool = True) -> Person:
    secret = SecretScalar(int.from_bytes(_sha256(f"{scheme.name}/{name}".encode())[:7], "big") + 1)
    key = scheme.key_group.encode(scheme.bls.public_key(secret))
    unsigned = Identity(address=address or f"{name}:4000", key=key, tls=False, signature=b"", scheme=scheme)
    signature = scheme.bls.sign(secret, unsigned.hash()) if signed else b""
    return Person(Identity(address=unsigned.address, key=key, tls=False, signature=signature, scheme=scheme), secret)


def people(count: int, scheme: Scheme = TOY_CHAINED) -> list[Person]:
    return [person(f"node{number}", scheme=scheme) for number in range(count)]
