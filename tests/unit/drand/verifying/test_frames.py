"""What goes through the pipes of a verification worker."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed
from drand.model.chain import Beacon, Round
from drand.verifying import frames
from drand.verifying.__main__ import verdict

ROUNDS = st.integers(0, 2**64 - 1).map(Round)
BEACONS = st.builds(Beacon, ROUNDS, st.binary(max_size=200), st.binary(max_size=200))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


@given(st.text(max_size=40), st.binary(max_size=200), st.lists(BEACONS, max_size=20))
def test_a_job_arrives_as_it_was_sent(scheme: str, key: bytes, beacons: list[Beacon]):
    assert frames.decode_job(frames.encode_job(scheme, key, beacons)) == (scheme, key, beacons)


@given(st.lists(ROUNDS, max_size=20))
def test_a_verdict_arrives_as_it_was_sent(bad: list[Round]):
    assert frames.decode_verdict(frames.encode_verdict(bad)) == frozenset(bad)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_job_are_refused_in_the_answer(job: bytes):
    with pytest.raises(frames.Refused):
        frames.decode_verdict(verdict(job + b"\xff"))


@pytest.mark.parametrize("wrong", [b"", b"\x02", b"\x00" + bytes(7)])
def test_a_verdict_that_is_none_is_malformed(wrong: bytes):
    with pytest.raises(Malformed):
        frames.decode_verdict(wrong)


@pytest.mark.parametrize(
    "beacon",
    [Beacon(Round(2**64), b""), Beacon(Round(-1), b""), Beacon(Round(1), bytes(2**16))],
    ids=["round beyond 64 bits", "round below zero", "long signature"],
)
def test_a_beacon_of_no_chain_is_not_sent(beacon: Beacon):
    with pytest.raises(frames.TooLong):
        frames.encode_job("scheme", b"key", [beacon])


def test_a_job_that_is_too_long_is_not_sent():
    with pytest.raises(frames.TooLong):
        frames.encode_job("scheme", b"key", [Beacon(Round(1), bytes(60_000))] * 20)


def test_a_frame_is_read_whole_and_no_further(pipe: tuple[int, int]):
    reading, writing = pipe
    frames.send(writing, b"one")
    frames.send(writing, b"")
    assert (frames.receive(reading), frames.receive(reading)) == (b"one", b"")


def test_a_frame_that_claims_too_much_is_not_read(pipe: tuple[int, int]):
    reading, writing = pipe
    os.write(writing, b"\xff\xff\xff\xff")
    with pytest.raises(Malformed):
        frames.receive(reading)


def test_a_frame_that_breaks_off_is_the_end(pipe: tuple[int, int]):
    reading, writing = pipe
    os.write(writing, b"\x00\x00\x00\x05abc")
    os.close(writing)
    with pytest.raises(EOFError):
        frames.receive(reading)
