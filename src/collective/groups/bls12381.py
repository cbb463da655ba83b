"""The BLS12-381 suite: picks the fastest backend that is installed and tries it before anybody relies on it.

pyblst where it has a wheel (verifies about twice as fast), py-arkworks-bls12381 otherwise and for target-group bytes.
The environment variable DRAND_BLS_BACKEND (`blst` or `arkworks`) forces one.
"""

import hashlib
import importlib.util
import os
from functools import cache

from collective.errors import BadSetting, CollectiveError
from collective.groups.group import PairingSuite

BACKEND_VARIABLE = "DRAND_BLS_BACKEND"
_MODULE_OF = {"blst": "pyblst", "arkworks": "py_arkworks_bls12381"}  # fastest first

# RFC 9380, J.9.1 and J.10.1: the message "abc"; x coordinates with the flag bits of the compressed form.
_HASHED_ABC_G1 = "83567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903"
_HASHED_ABC_G2 = (
    "939cddbccdc5e91b9623efd38c49f81a6f83f175e80b06fc374de9eb4b41dfe4ca3a230ed250fbe3a2acf73a41177fd8"
    "02c2d18e033b960562aae3cab37a27ce00d80ccd5ba4b7fe0e7a210245129dbec7780ccc7954725f4168aff2787776e6"
)
# SHA-256 of the 576 bytes of e(G1, G2); tests compute it with py_ecc.
_TARGET_DIGEST = "300e47c99502f3af33ad2080847d528cabd90365a90ab98bc174565c27928591"


class BrokenBackend(CollectiveError):
    """A native library answers known questions wrongly. Nothing may be signed or verified with it."""

    hint = f"reinstall the library, or set {BACKEND_VARIABLE} to the other backend"


@cache
def available_backends() -> tuple[str, ...]:
    """The names that `bls12381` accepts here, fastest first."""
    return tuple(name for name, module in _MODULE_OF.items() if importlib.util.find_spec(module) is not None)


def bls12381(backend: str | None = None) -> PairingSuite:
    """The suite on `backend`, or on the one DRAND_BLS_BACKEND names, or on the fastest installed; made once and tested.

    Points of two suites never mix: their objects belong to different libraries.
    raises  BadSetting when the named backend is unknown or not installed; BrokenBackend when it fails its self-test.
    """
    name = backend or os.environ.get(BACKEND_VARIABLE) or next(iter(available_backends()), "arkworks")
    if name not in _MODULE_OF:
        known = ", ".join(_MODULE_OF)
        raise BadSetting(f"unknown BLS12-381 backend {name!r}", hint=f"{BACKEND_VARIABLE} is one of {known}")
    if name not in available_backends():
        raise BadSetting(f"the BLS12-381 backend {name!r} is not installed", hint=f"install {_MODULE_OF[name]}")
    return _tested(name)


@cache
def _tested(name: str) -> PairingSuite:
    suite = _load(name)
    # The target bytes of blst are arkworks', which are tested when they are first asked for: a node never asks, and
    # need not load a second library.
    self_test(suite, target=name != "blst")
    return suite


def _load(name: str) -> PairingSuite:
    if name == "blst":
        from collective.groups.bls12381_blst import BlstSuite

        return BlstSuite(_target_by_arkworks)
    from collective.groups.bls12381_arkworks import ArkworksSuite

    return ArkworksSuite()


def _target_by_arkworks(p1: bytes, p2: bytes) -> bytes:
    """e(p1, p2) for compressed points; the identity is allowed."""
    other = bls12381("arkworks")
    return other.target_bytes(other.g1.decode(p1, allow_identity=True), other.g2.decode(p2, allow_identity=True))


def self_test(suite: PairingSuite, *, target: bool = True) -> None:
    """Ask the library what is known already: two hashes, a pairing, with `target` its bytes; raises BrokenBackend."""
    g1, g2 = suite.g1, suite.g2
    tag = b"QUUX-V01-CS02-with-BLS12381G%d_XMD:SHA-256_SSWU_RO_"
    double1, double2 = g1.multiply(g1.generator(), 2), g2.multiply(g2.generator(), 2)
    passed = (
        g1.encode(g1.hash_to_point(b"abc", tag % 1)).hex() == _HASHED_ABC_G1
        and g2.encode(g2.hash_to_point(b"abc", tag % 2)).hex() == _HASHED_ABC_G2
        and suite.pairings_equal(double1, g2.generator(), g1.generator(), double2)
        and not suite.pairings_equal(double1, double2, g1.generator(), double2)
        and (not target or _digest_of_target(suite) == _TARGET_DIGEST)
    )
    if not passed:
        raise BrokenBackend(f"{suite.name} fails its self-test")


def _digest_of_target(suite: PairingSuite) -> str:
    return hashlib.sha256(suite.target_bytes(suite.g1.generator(), suite.g2.generator())).hexdigest()
