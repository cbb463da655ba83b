"""The only reader of the operating system's randomness."""

import os
from typing import Protocol


class Entropy(Protocol):
    """A source of random bytes. Real nodes use the operating system; the simulated world passes a seeded one."""

    def bytes(self, count: int) -> bytes:
        """`count` fresh random bytes."""
        ...


class SystemEntropy:
    """The operating system's randomness (getrandom)."""

    def bytes(self, count: int) -> bytes:
        """`count` fresh random bytes from the operating system."""
        return os.urandom(count)


def random_scalar(entropy: Entropy, order: int) -> int:
    """A scalar between 1 and order - 1; its distance from uniform is below 2**-128.

    Sixteen bytes more than the order has are reduced, which makes rejection loops needless (FIPS 186-5, A.2.1).
    """
    wide = int.from_bytes(entropy.bytes((order.bit_length() + 7) // 8 + 16), "big")
    return wide % (order - 1) + 1
