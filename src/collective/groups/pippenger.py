"""Multi-scalar multiplication for groups whose library offers addition only.

Works on any value with `+` and unary `-`; the caller says what a full scalar multiplication costs in additions, and
whether buckets or plain multiplications win is decided from that.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Self, TypeVar


class Additive(Protocol):
    """A group element written with operators."""

    def __add__(self, other: Self, /) -> Self:
        """The sum."""
        ...

    def __neg__(self) -> Self:
        """The inverse."""
        ...


E = TypeVar("E", bound=Additive)


def sum_of_products(
    points: Sequence[E],
    scalars: Sequence[int],
    *,
    identity: E,
    multiply: Callable[[E, int], E],
    multiplication_additions: int,
) -> E:
    """sum scalars[i] * points[i] in variable time: for public values only.

    scalars                   not negative, already reduced; short ones cost less
    multiply                  one full scalar multiplication, used when the sum has few terms
    multiplication_additions  what one `multiply` costs, in additions
    raises                    ValueError on unequal lengths
    Source: Pippenger's bucket method with signed digits (Bernstein, Doumen, Lange, Oosterwijk, INDOCRYPT 2012).
    """
    if len(points) != len(scalars):
        raise ValueError(f"{len(points)} points but {len(scalars)} scalars")
    if not points:
        return identity
    bits = max(scalars).bit_length()
    width, cost = _best_width(len(points), bits)
    if len(points) * (multiplication_additions + 1) <= cost:
        total = identity
        for point, scalar in zip(points, scalars, strict=True):
            total = total + multiply(point, scalar)
        return total
    return _by_buckets(points, scalars, identity, bits, width)


def _best_width(terms: int, bits: int) -> tuple[int, int]:
    """The digit width with the fewest additions, and how many these are (see `_by_buckets`)."""

    def additions(width: int) -> int:
        signed_windows, top_bits = _windows(bits, width)
        return signed_windows * (terms + (1 << (width - 1)) + width) + terms + (1 << top_bits)

    best = min(range(2, 15), key=additions)
    return best, additions(best)


def _windows(bits: int, width: int) -> tuple[int, int]:
    """How many signed digits of `width` bits there are below the top one, and how many bits the top one has."""
    signed_windows = max(bits - 1, 0) // width
    return signed_windows, bits - signed_windows * width


def _by_buckets(points: Sequence[E], scalars: Sequence[int], identity: E, bits: int, width: int) -> E:
    """Horner's rule over digits of `width` bits, most significant first.

    Adding the constant whose digits are all `half` turns signed digits into plain ones: the digit d of
    `scalar + offset` stands for d - half, in [-half, half). The top digit stays unsigned and takes the carry.
    """
    half = 1 << (width - 1)
    signed_windows, top_bits = _windows(bits, width)
    offset = sum(half << (width * window) for window in range(signed_windows))
    shifted = [scalar + offset for scalar in scalars]
    top = signed_windows * width
    total = _weighted_sum(points, [value >> top for value in shifted], identity, middle=0, size=(1 << top_bits) + 1)
    for digits in _signed_digits(shifted, width, signed_windows):
        for _ in range(width):
            total = total + total
        total = total + _weighted_sum(points, digits, identity, middle=half, size=2 * half)
    return total


def _signed_digits(shifted: Sequence[int], width: int, windows: int) -> Iterator[Sequence[int]]:
    """For each window, most significant first, the digit of every value; as bytes when these are the digits."""
    if width == 8:
        low = (1 << (8 * windows)) - 1
        joined = b"".join([(value & low).to_bytes(windows, "big") for value in shifted])
        for window in range(windows):
            yield joined[window::windows]
        return
    mask = (1 << width) - 1
    for window in range(windows - 1, -1, -1):
        shift = window * width
        yield [(value >> shift) & mask for value in shifted]


def _weighted_sum(points: Sequence[E], digits: Sequence[int], identity: E, *, middle: int, size: int) -> E:
    """sum (digits[i] - middle) * points[i], with 0 <= digits[i] < size."""
    buckets: list[E | None] = [None] * size
    for point, digit in zip(points, digits, strict=True):
        held = buckets[digit]
        buckets[digit] = point if held is None else held + point
    running: E | None = None
    total: E | None = None
    for weight in range(max(size - 1 - middle, middle), 0, -1):
        positive = buckets[middle + weight] if middle + weight < size else None
        negative = buckets[middle - weight] if weight <= middle else None
        if positive is not None:
            running = positive if running is None else running + positive
        if negative is not None:
            running = -negative if running is None else running + -negative
        if running is not None:
            total = running if total is None else total + running
    return identity if total is None else total
