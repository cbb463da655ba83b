"""Rounds and moments, against the vectors of the Go implementation."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import BadSetting
from drand.client import round_at, time_of
from drand.client.chains import public_chain
from drand.client.errors import BeforeGenesis
from drand.model.chain import ChainInfo
from tests.support.vectors import v1_cases

SEED = bytes(32)


def chain(genesis: int, period_s: int) -> ChainInfo:
    known = public_chain("quicknet")
    assert known is not None
    return ChainInfo(
        public_key=known.public_key,
        period_s=period_s,
        genesis_unix_s=genesis,
        genesis_seed=SEED,
        scheme=known.scheme,
    )


@pytest.mark.parametrize("vector", v1_cases("time"))
def test_the_vectors_of_go(vector: dict[str, Any]):
    table = vector["expected"]["table"]
    assert table
    for row in table if vector["name"] == "time/rounds" else []:
        info = chain(row["genesis"], row["period_s"])
        assert time_of(info, row["next_round"]) == datetime.fromtimestamp(row["next_time"], UTC)
        if row["now"] < row["genesis"]:
            with pytest.raises(BeforeGenesis):
                round_at(info, row["now"])
        else:
            assert round_at(info, row["now"]) == row["current_round"]


@given(
    genesis=st.integers(0, 2**32),
    period_s=st.integers(1, 10**6),
    round_=st.integers(1, 10**4),
    part=st.floats(0, 0.999),
)
def test_a_round_is_the_latest_from_its_time_until_the_next(genesis: int, period_s: int, round_: int, part: float):
    info = chain(genesis, period_s)
    due = time_of(info, round_)
    assert round_at(info, due) == round_
    assert round_at(info, due + timedelta(seconds=int(part * period_s))) == round_
    assert round_at(info, due + timedelta(seconds=period_s)) == round_ + 1


def test_a_time_zone_does_not_matter_but_there_must_be_one():
    info = chain(1_000, 30)
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert round_at(info, moment) == round_at(info, moment.astimezone(timezone(timedelta(hours=9))))
    with pytest.raises(BadSetting, match="time zone"):
        round_at(info, datetime(2026, 5, 1, 12))


@pytest.mark.parametrize("round_", [0, -1, 10**12, 2**64, 1.5, "1", None])
def test_rounds_that_have_no_date_are_refused(round_: Any):
    with pytest.raises(BadSetting):
        time_of(chain(1_000, 30), round_)


@pytest.mark.parametrize("when", ["2025-01-01", b"1700000000", date(2025, 1, 1), None, float("nan"), 10**400, [1]])
def test_what_names_no_moment_is_refused(when: Any):
    with pytest.raises(BadSetting, match="names no moment"):
        round_at(chain(1_000, 30), when)
