"""Every pairing suite that is installed here, by name."""

from collective.groups.bls12381 import available_backends, bls12381
from collective.groups.group import HashableGroup, PairingSuite
from collective.groups.toy import toy
from collective.signatures.bls import BlsScheme

TAG = b"TESTS-V01-CS01-with-any-curve"


def _suites() -> dict[str, PairingSuite]:
    found = {f"bls12381-{backend}": bls12381(backend) for backend in available_backends()}
    found["toy"] = toy()
    try:
        from collective.groups.bn import bn254
    except ImportError:
        return found
    found["bn254"] = bn254()
    return found


def _schemes() -> dict[str, BlsScheme]:
    found = {}
    for name, suite in SUITES.items():
        found[f"{name}-signatures-on-g1"] = BlsScheme(suite, False, TAG)
        if name != "bn254":  # no hash to G2 is defined for it
            found[f"{name}-signatures-on-g2"] = BlsScheme(suite, True, TAG)
    return found


SUITES = _suites()
GROUPS: dict[str, HashableGroup] = {
    f"{name}-{side}": group for name, suite in SUITES.items() for side, group in (("g1", suite.g1), ("g2", suite.g2))
}
HASHABLE = {name: group for name, group in GROUPS.items() if name != "bn254-g2"}
SCHEMES = _schemes()
