"""Barreto-Naehrig curves of our own: BN254 as drand's scheme bls-bn254-unchained-on-g1 needs it, and the older BN256.

Files, from the bottom up: integers, digits, parameters, fp2, fp12, jacobian, curve_fp, curve_fp2, functions, pairing,
hash_to_curve, groups, suite. docs/decisions/0003-own-bn-curves.md says why this is not a library's work.
"""

from collective.groups.bn.suite import bn254, bn256

__all__ = ["bn254", "bn256"]
