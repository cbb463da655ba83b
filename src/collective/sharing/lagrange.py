"""Lagrange interpolation at zero."""

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

from collective.errors import BadSetting


def abscissa(index: int, order: int) -> int:
    """Where the share of `index` sits: x = index + 1; raises BadSetting unless 0 < x < order."""
    if not 0 <= index < order - 1:
        raise BadSetting(f"a share index lies between 0 and the group order, got {index}")
    return index + 1


def coefficients_at_zero(indices: Iterable[int], order: int) -> dict[int, int]:
    """lambda_i = product over j != i of x_j / (x_j - x_i), so that f(0) = sum lambda_i f(x_i).

    returns  index -> lambda_i modulo `order`, sorted by index; exact when f has a degree below the number of indices
    raises   BadSetting on no index, a repeated or an impossible one
    Source: Shamir, "How to share a secret", CACM 22 (1979).
    """
    ordered = _in_order(indices)
    return dict(zip(ordered, _coefficients(ordered, order), strict=True))


def fractions_at_zero(indices: Iterable[int], order: int) -> tuple[dict[int, int], int]:
    """The same weights as integers over one denominator: f(0) = sum weight_i f(x_i) / denominator.

    Differences of indices are small, and so are these: for the n lowest indices they are the binomials of n, over 1.
    Multiplying points by them takes a fraction of the time.

    returns  index -> weight, of either sign, sorted by index; and the denominator, 0 < denominator < `order`. Where the
             weights would be no shorter than `order` (some dozens of scattered indices): lambda_i, over 1
    raises   as `coefficients_at_zero`
    """
    ordered = _in_order(indices)
    weights, denominator = _fractions(ordered, order)
    return dict(zip(ordered, weights, strict=True)), denominator


def _in_order(indices: Iterable[int]) -> tuple[int, ...]:
    ordered = tuple(sorted(indices))
    if not ordered:
        raise BadSetting("interpolation needs at least one index")
    if len(set(ordered)) != len(ordered):
        raise BadSetting("an index may be used only once in an interpolation")
    return ordered


@lru_cache(maxsize=256)
def _coefficients(ordered: tuple[int, ...], order: int) -> tuple[int, ...]:
    """The same sets of signers come back round after round, so they are remembered."""
    places = [abscissa(index, order) for index in ordered]
    found = []
    for own in places:
        numerator = denominator = 1
        for other in places:
            if other != own:
                numerator = numerator * other % order
                denominator = denominator * (other - own) % order
        found.append(numerator * pow(denominator, -1, order) % order)
    return tuple(found)


@lru_cache(maxsize=256)
def _fractions(ordered: tuple[int, ...], order: int) -> tuple[tuple[int, ...], int]:
    places = [abscissa(index, order) for index in ordered]
    found = []
    for own in places:
        numerator = math.prod(other for other in places if other != own)
        denominator = math.prod(other - own for other in places if other != own)
        found.append(Fraction(numerator, denominator))
    common = math.lcm(*(fraction.denominator for fraction in found))
    weights = tuple(int(fraction * common) for fraction in found)
    if max(common, *map(abs, weights)) < order:
        return weights, common
    return _coefficients(ordered, order), 1
