"""Schemes over the toy groups: every equation of the real ones, at a thousandth of their cost."""

import hashlib
from functools import cache

from collective.groups.toy import toy
from collective.signatures.bls import BlsScheme
from drand.model.schemes import Scheme


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@cache
def toy_scheme(*, chained: bool) -> Scheme:
    """A chained scheme with keys in the toy G1, or an unchained one with keys in the toy G2. Never for a real chain."""
    name = "toy-chained" if chained else "toy-unchained"
    return Scheme(name, BlsScheme(toy(), keys_on_g1=chained, domain=b"toy"), chained, _sha256)
