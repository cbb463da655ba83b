"""Multi-scalar multiplication by buckets, over plain integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.groups import pippenger

scalars = st.integers(min_value=0, max_value=2**128)
terms = st.lists(st.tuples(st.integers(min_value=-(2**40), max_value=2**40), scalars), max_size=60)


def total(points: list[int], weights: list[int], multiplication_additions: int) -> int:
    return pippenger.sum_of_products(
        points,
        weights,
        identity=0,
        multiply=lambda point, scalar: point * scalar,
        multiplication_additions=multiplication_additions,
    )


@given(terms=terms)
@pytest.mark.parametrize("multiplication_additions", [1, 90, 10**9], ids=["one by one", "cheaper way", "buckets"])
def test_the_sum_is_the_same_whichever_way_it_is_computed(
    terms: list[tuple[int, int]], multiplication_additions: int
) -> None:
    points, weights = [point for point, _ in terms], [weight for _, weight in terms]
    expected = sum(point * weight for point, weight in terms)
    assert total(points, weights, multiplication_additions) == expected


@pytest.mark.parametrize("width", range(2, 15))
@pytest.mark.parametrize("bits", [1, 7, 8, 9, 16, 128])
def test_every_digit_width_gives_the_same_sum(width: int, bits: int) -> None:
    top = (1 << bits) - 1
    weights = [0, 1, top, top >> 1, (top >> 1) + 1, 0x5A5A5A & top]
    points = [3, 5, 7, 11, 13, 17]
    found = pippenger._by_buckets(points, weights, 0, bits, width)
    assert found == sum(point * weight for point, weight in zip(points, weights, strict=True))


def test_many_terms_choose_wider_digits() -> None:
    widths = [pippenger._best_width(count, 128)[0] for count in (10, 100, 1000, 10000)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="1 points but 2 scalars"):
        total([1], [1, 2], 90)
