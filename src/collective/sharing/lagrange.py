"""Lagrange interpolation at zero."""

from collections.abc import Iterable
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
    ordered = tuple(sorted(indices))
    if not ordered:
        raise BadSetting("interpolation needs at least one index")
    if len(set(ordered)) != len(ordered):
        raise BadSetting("an index may be used only once in an interpolation")
    return dict(zip(ordered, _coefficients(ordered, order), strict=True))


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
