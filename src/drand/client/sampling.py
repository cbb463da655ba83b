"""Choosing with a beacon, bit by bit so that anybody can repeat it. The specification: docs/spec/sampling.md.

    key      = SHA-256("drand-sampling-v1" || randomness || purpose in UTF-8)
    block i  = SHA-256(key || u64BE i), i = 0, 1, ...; the stream is block 0 || block 1 || ...

A number below n takes the next ceil(b / 8) bytes of the stream, b the bits of n - 1, as a big-endian number, keeps its
low b bits, and tries again when that is n or more. So every value is equally likely, exactly.
"""

from collections.abc import MutableSequence, Sequence
from hashlib import sha256
from operator import index
from typing import TypeVar

from collective.errors import BadSetting

T = TypeVar("T")

DOMAIN = b"drand-sampling-v1"
RANDOMNESS_BYTES = 32
_BLOCK_BYTES = 32


class Sampler:
    """A stream of choices that follows from 32 bytes of randomness and a purpose. One purpose, one stream.

    randomness   32 bytes, usually `beacon.randomness`
    purpose      any text; two streams of one beacon with different purposes are independent
    raises       BadSetting for randomness of another length
    """

    def __init__(self, randomness: bytes, purpose: str = "") -> None:
        if len(randomness) != RANDOMNESS_BYTES:
            raise BadSetting(f"randomness has {RANDOMNESS_BYTES} bytes, these are {len(randomness)}")
        self._key = sha256(DOMAIN + randomness + purpose.encode()).digest()
        self._counter = 0
        self._rest = b""

    def randbytes(self, count: int) -> bytes:
        """The next `count` bytes of the stream."""
        if count < 0:
            raise BadSetting("a number of bytes is not negative")
        parts, have = [self._rest], len(self._rest)
        while have < count:
            parts.append(sha256(self._key + self._counter.to_bytes(8, "big")).digest())
            self._counter += 1
            have += _BLOCK_BYTES
        stream = b"".join(parts)
        self._rest = stream[count:]
        return stream[:count]

    def randbelow(self, bound: int) -> int:
        """A number from 0 to bound - 1, each equally likely; `bound` is at least 1, and 1 takes nothing.

        >>> Sampler(bytes(32)).randbelow(1)
        0
        """
        if index(bound) < 1:
            raise BadSetting(f"there is no number below {bound}")
        bits = (bound - 1).bit_length()
        mask = (1 << bits) - 1
        while True:
            value = int.from_bytes(self.randbytes((bits + 7) // 8), "big") & mask
            if value < bound:
                return value

    def choice(self, population: Sequence[T]) -> T:
        """One of `population`: the one at randbelow(len(population))."""
        if not population:
            raise BadSetting("nothing to choose from")
        return population[self.randbelow(len(population))]

    def sample_positions(self, size: int, count: int) -> list[int]:
        """`count` different positions below `size`, in the order drawn.

        The first steps of a Fisher-Yates shuffle of 0 ... size - 1: step i swaps place i with place
        i + randbelow(size - i). Only places touched are kept, so a large population costs nothing.
        """
        if not 0 <= count <= size:
            raise BadSetting(f"cannot draw {count} different ones of {size}")
        moved: dict[int, int] = {}
        drawn = []
        for step in range(count):
            other = step + self.randbelow(size - step)
            drawn.append(moved.get(other, other))
            moved[other] = moved.get(step, step)
        return drawn

    def sample(self, population: Sequence[T], count: int) -> list[T]:
        """`count` different members of `population`, in the order drawn."""
        return [population[place] for place in self.sample_positions(len(population), count)]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Put `items` into random order, in place: what `sample` of all of them gives."""
        items[:] = self.sample(list(items), len(items))
