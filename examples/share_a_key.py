"""Threshold BLS with the library, in one process: deal a key, sign with some shares, verify with the group key."""

from collective.entropy import SystemEntropy
from collective.groups.bls12381 import bls12381
from collective.sharing.polynomial import SecretPolynomial
from collective.sharing.threshold import recover
from collective.signatures.bls import BlsScheme

THRESHOLD, HOLDERS = 3, 5
MESSAGE = b"any three of five"


def main() -> None:
    scheme = BlsScheme(bls12381(), keys_on_g1=False, domain=b"EXAMPLE-V01-CS01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_")
    secret = SecretPolynomial.random(THRESHOLD, scheme.key_group.order, SystemEntropy())
    public = secret.commit(scheme.key_group)
    print(f"the group's key: {scheme.key_group.encode(public.constant).hex()[:32]}...")

    hashed = scheme.hash_to_point(MESSAGE)
    partials = {}
    for index in (0, 2, 4):  # any three will do
        signature = scheme.sign(secret.evaluate(index), MESSAGE)
        scheme.verify_encoded(public.evaluate(index), hashed, signature)
        partials[index] = scheme.signature_group.decode(signature)

    whole = recover(scheme.signature_group, partials, THRESHOLD)
    scheme.verify_point(public.constant, hashed, whole)
    print(f"{len(partials)} of {HOLDERS} partial signatures make: {scheme.signature_group.encode(whole).hex()[:32]}...")


if __name__ == "__main__":
    main()
