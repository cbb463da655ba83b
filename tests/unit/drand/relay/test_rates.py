"""The limit that all workers of a relay share."""

from hypothesis import given
from hypothesis import strategies as st

from drand.net.http_watch import RateLimiter
from drand.relay.rates import WAYS, SharedRates


def test_an_address_may_ask_in_bursts_and_then_at_its_rate():
    rates = SharedRates(2, 3)
    assert [rates.allows("a", 1000.0) for _ in range(4)] == [True, True, True, False]
    assert rates.allows("b", 1000.0)
    assert [rates.allows("a", 1000.5), rates.allows("a", 1000.5)] == [True, False]


def test_a_clock_that_steps_back_gives_no_tokens_and_takes_none_for_longer_than_a_burst():
    rates = SharedRates(1, 1)
    assert rates.allows("a", 100.0)
    assert not rates.allows("a", 50.0)
    assert rates.allows("a", 51.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=80))
def test_it_decides_as_a_token_bucket_does(asked: list[tuple[str, int]]):
    shared, bucket, now = SharedRates(4, 6, slots=64), RateLimiter(4, 6), 1000.0
    for client, quarters in asked:
        now += quarters / 16  # of a token each: sums that both can hold without rounding
        assert shared.allows(client, now) == bucket.allows(client, now)


def test_in_a_full_table_the_address_nearest_to_a_full_bucket_is_forgotten():
    rates = SharedRates(1, 10, slots=WAYS)
    for _ in range(10):
        assert rates.allows("greedy", 0.0)
    for number in range(100):
        assert rates.allows(f"other {number}", 0.0)
    assert not rates.allows("greedy", 0.0)
