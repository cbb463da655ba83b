"""A secret drawn from the operator's own readers."""

import hashlib

import pytest

from collective.blake2x import blake2xb
from collective.errors import BadSetting, Unavailable
from collective.groups.bls12381_arkworks import ORDER
from collective.groups.toy import ORDER as TOY_ORDER
from collective.user_entropy import MAX_ATTEMPTS, READ_BYTES, NoEntropy, pick_scalar


class Counting:
    """A reader whose n-th answer is SHA-256 of its name and n."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[int] = []

    def __call__(self, count: int) -> bytes:
        self.asked.append(count)
        return hashlib.sha256(f"{self.name}/{len(self.asked)}".encode()).digest()


def failing(count: int) -> bytes:
    raise OSError("the script died")


def test_the_same_readers_give_the_same_secret() -> None:
    assert pick_scalar([Counting("a")], ORDER) == pick_scalar([Counting("a")], ORDER)
    assert pick_scalar([Counting("a")], ORDER) != pick_scalar([Counting("b")], ORDER)


def test_every_reader_and_their_order_count() -> None:
    answers = [
        pick_scalar([Counting(name) for name in names], ORDER).expose() for names in ("a", "b", "ab", "ba", "abc")
    ]
    assert len(set(answers)) == 5


def test_a_refused_value_reads_all_readers_again() -> None:
    """Of 2**255 values only 0.91 * 2**254 are below the order, so some of these names need a second attempt."""
    attempts = set()
    for number in range(20):
        first, second = Counting(f"x{number}"), Counting(f"y{number}")
        assert 0 < pick_scalar([first, second], ORDER).expose() < ORDER
        assert first.asked == second.asked == [READ_BYTES] * len(first.asked)
        attempts.add(len(first.asked))
    assert len(attempts) > 1


def test_an_order_of_61_bits_takes_eight_bytes() -> None:
    value = pick_scalar([Counting("t")], TOY_ORDER).expose()
    stream = blake2xb(hashlib.sha256(Counting("t")(32)).digest(), 8)
    assert value == int.from_bytes(stream, "big") % 2**61


def test_a_reader_that_falls_short_is_tolerated_beside_a_good_one() -> None:
    def short(count: int) -> bytes:
        return b"only this"

    alone = pick_scalar([Counting("a")], ORDER)
    assert pick_scalar([Counting("a"), failing], ORDER) == alone
    assert pick_scalar([Counting("a"), short], ORDER) != alone


def test_when_all_readers_fail_there_is_no_secret() -> None:
    def unavailable(count: int) -> bytes:
        raise Unavailable("gone")

    with pytest.raises(NoEntropy, match=r"error picking secret: the script died; only 3 of 32 bytes; gone"):
        pick_scalar([failing, lambda count: b"abc", unavailable], ORDER)


def test_a_reader_that_gives_too_much_is_cut() -> None:
    assert pick_scalar([lambda count: bytes(31) + b"\1" + b"more"], TOY_ORDER) == pick_scalar(
        [lambda count: bytes(31) + b"\1"], TOY_ORDER
    )


def test_a_reader_stuck_on_a_refused_value_is_given_up() -> None:
    def value_of(answer: bytes) -> int:
        return int.from_bytes(blake2xb(hashlib.sha256(answer).digest(), 32), "big") % 2**255

    refused = next(bytes([byte]) * 32 for byte in range(256) if value_of(bytes([byte]) * 32) >= ORDER)
    asked = []

    def stuck(count: int) -> bytes:
        asked.append(count)
        return refused

    with pytest.raises(NoEntropy, match="attempts"):
        pick_scalar([stuck], ORDER)
    assert len(asked) == MAX_ATTEMPTS


def test_no_reader_is_a_bad_setting() -> None:
    with pytest.raises(BadSetting):
        pick_scalar([], ORDER)


def test_a_longer_output_starts_with_the_shorter_one() -> None:
    long = blake2xb(b"key", 200)
    assert len(long) == 200
    for count in (0, 1, 63, 64, 65, 128):
        assert blake2xb(b"key", count) == long[:count]
    assert blake2xb(b"yek", 64) != long[:64]
