"""Choices that anybody can repeat: against a second implementation of the page, and against its vectors."""

import hashlib
import json
import math
from collections import Counter
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import BadSetting
from drand.client.sampling import Sampler

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "sampling" / "sampling-v1.json"
RANDOMNESS = st.binary(min_size=32, max_size=32)


class ByThePage:
    """docs/spec/sampling.md, as plainly as it can be written."""

    def __init__(self, randomness: bytes, purpose: str) -> None:
        key = hashlib.sha256(b"drand-sampling-v1" + randomness + purpose.encode("utf-8")).digest()
        self.stream = b"".join(hashlib.sha256(key + i.to_bytes(8, "big")).digest() for i in range(400))

    def take(self, count: int) -> bytes:
        taken, self.stream = self.stream[:count], self.stream[count:]
        assert len(taken) == count
        return taken

    def below(self, n: int) -> int:
        bits = (n - 1).bit_length()
        if bits == 0:
            return 0
        while True:
            value = int.from_bytes(self.take(math.ceil(bits / 8)), "big") % 2**bits
            if value < n:
                return value

    def sample(self, m: int, k: int) -> list[int]:
        places = list(range(m))
        for i in range(k):
            j = i + self.below(m - i)
            places[i], places[j] = places[j], places[i]
        return places[:k]


@given(RANDOMNESS, st.text(max_size=20), st.lists(st.integers(1, 2**70), max_size=20))
def test_numbers_are_those_of_the_page(randomness: bytes, purpose: str, bounds: list[int]):
    ours, theirs = Sampler(randomness, purpose), ByThePage(randomness, purpose)
    assert [ours.randbelow(bound) for bound in bounds] == [theirs.below(bound) for bound in bounds]


@given(RANDOMNESS, st.integers(0, 300).flatmap(lambda m: st.tuples(st.just(m), st.integers(0, m))))
def test_samples_are_those_of_the_page(randomness: bytes, sizes: tuple[int, int]):
    size, count = sizes
    drawn = Sampler(randomness, "p").sample(range(size), count)
    assert drawn == ByThePage(randomness, "p").sample(size, count)
    assert len(set(drawn)) == count


@given(RANDOMNESS, st.lists(st.integers(), max_size=50))
def test_a_shuffle_loses_nothing(randomness: bytes, items: list[int]):
    shuffled = list(items)
    Sampler(randomness).shuffle(shuffled)
    assert Counter(shuffled) == Counter(items)
    assert shuffled == Sampler(randomness).sample(items, len(items))


@given(RANDOMNESS, st.lists(st.integers(0, 70), max_size=20))
def test_bytes_are_one_stream_however_they_are_taken(randomness: bytes, counts: list[int]):
    sampler = Sampler(randomness)
    assert b"".join(sampler.randbytes(count) for count in counts) == Sampler(randomness).randbytes(sum(counts))


@pytest.mark.parametrize("bound", [1, 2, 3, 5, 8, 255, 256, 257])
def test_every_number_below_the_bound_comes_up_about_equally_often(bound: int):
    sampler, tries = Sampler(bytes(32), "even"), 200 * bound
    seen = Counter(sampler.randbelow(bound) for _ in range(tries))
    assert set(seen) == set(range(bound))
    # Chi-square: about bound - 1; six standard deviations above would be a broken generator.
    assert sum((seen[v] - 200) ** 2 / 200 for v in range(bound)) < bound - 1 + 6 * math.sqrt(2 * bound)


def test_every_order_of_three_comes_up_about_equally_often():
    seen = Counter(tuple(Sampler(bytes(32), str(n)).sample("abc", 3)) for n in range(6000))
    assert set(seen) == set(permutations("abc"))
    assert all(850 < count < 1150 for count in seen.values())


def test_a_large_population_costs_nothing():
    assert len(set(Sampler(bytes(32)).sample_positions(2**80, 10))) == 10


def test_what_cannot_be_drawn_is_refused():
    sampler = Sampler(bytes(32))
    for attempt in (
        lambda: sampler.randbelow(0),
        lambda: sampler.choice([]),
        lambda: sampler.sample([1], 2),
        lambda: sampler.sample([1], -1),
        lambda: sampler.randbytes(-1),
        lambda: Sampler(bytes(31)),
    ):
        with pytest.raises(BadSetting):
            attempt()


def vectors() -> list[dict[str, object]]:
    return json.loads(VECTORS.read_text())["vectors"]


@pytest.mark.parametrize("vector", vectors(), ids=lambda one: one["about"])
def test_the_published_vectors(vector: dict):
    sampler = Sampler(bytes.fromhex(vector["randomness"]), vector["purpose"])
    match vector["call"]:
        case "randbytes":
            assert sampler.randbytes(vector["count"]).hex() == vector["expect"]
        case "randbelow":
            assert [sampler.randbelow(bound) for bound in vector["bounds"]] == vector["expect"]
        case "sample":
            assert sampler.sample_positions(vector["size"], vector["count"]) == vector["expect"]
        case _:
            pytest.fail("a vector of an unknown kind")


def test_no_vector_is_of_our_own_making_alone():
    """Each is also what the page, read plainly, gives."""
    for vector in vectors():
        page = ByThePage(bytes.fromhex(vector["randomness"]), vector["purpose"])
        if vector["call"] == "randbelow":
            assert [page.below(bound) for bound in vector["bounds"]] == vector["expect"]
        elif vector["call"] == "sample":
            assert page.sample(vector["size"], vector["count"]) == vector["expect"]
        else:
            assert page.take(vector["count"]).hex() == vector["expect"]
