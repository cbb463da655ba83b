"""Signed digits of scalars and exponents: where -a is as cheap as a, they save a third of the additions."""

from collections.abc import Sequence


def non_adjacent_form(scalar: int, width: int) -> list[int]:
    """Digits of `scalar` >= 0 to the base 2, lowest first: each zero, or odd and below 2^(width - 1) in absolute value.

    Of any `width` digits in a row at most one is not zero; the highest is positive.

    >>> non_adjacent_form(7, 2)
    [-1, 0, 0, 1]
    """
    base = 1 << width
    digits = []
    while scalar:
        digit = 0
        if scalar & 1:
            digit = scalar & (base - 1)
            if digit >= base >> 1:
                digit -= base
            scalar -= digit
        digits.append(digit)
        scalar >>= 1
    return digits


def bucket_width(count: int) -> int:
    """Bits in one digit of `sum_of_products` for `count` points: near the minimum of (count + 2^width) / width."""
    return max(3, min(13, count.bit_length() - 2))


def signed_digits(scalars: Sequence[int], width: int) -> list[list[int]]:
    """Digits of all scalars to the base 2^width in (-2^(width-1), 2^(width-1)], lowest column first.

    >>> signed_digits([7, 3], 3)
    [[-1, 3], [1, 0]]
    """
    base, half = 1 << width, 1 << (width - 1)
    columns: list[list[int]] = []
    rest = [int(k) for k in scalars]
    while any(rest):
        digits = [k & (base - 1) for k in rest]
        digits = [d - base if d > half else d for d in digits]
        rest = [(k - d) >> width for k, d in zip(rest, digits, strict=True)]
        columns.append(digits)
    return columns
