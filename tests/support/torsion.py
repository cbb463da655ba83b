"""Points of BLS12-381's curve that are not in G1, for tests of the subgroup check."""

from py_ecc.bls.point_compression import compress_G1, decompress_G1
from py_ecc.optimized_bls12_381 import add, curve_order, multiply


def shift_by_torsion(encoded: bytes) -> bytes:
    """Another point, 48 bytes compressed, with the pairings of `encoded`: it is shifted by one of cofactor order."""
    anywhere = decompress_G1((0b100 << 381) | 4)  # x = 4 is on the curve, and of full order
    torsion = multiply(anywhere, curve_order)
    return compress_G1(add(decompress_G1(int.from_bytes(encoded, "big")), torsion)).to_bytes(48, "big")
