"""Durations as tle has them, moments, and the words for what is left."""

from datetime import UTC, datetime

import pytest

from collective.errors import BadSetting
from drand.cli.moments import moment_after, moment_written, shown_moment
from drand.model.spans import shown_span


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2026-01-31 12:00", "30s", "2026-01-31 12:00:30"),
        ("2026-01-31 12:00", "90m", "2026-01-31 13:30"),
        ("2026-01-31 12:00", "1d2h", "2026-02-01 14:00"),
        ("2026-01-31 12:00", "2w", "2026-02-14 12:00"),
        ("2026-01-31 12:00", "1M", "2026-03-03 12:00"),  # the 31st of February, as Go counts
        ("2028-02-29 12:00", "1y", "2029-03-01 12:00"),
        ("2026-11-20 12:00", "1y6M", "2028-05-19 12:00"),  # 365 days and 181 days, each from the start
        ("2026-12-15 12:00", "1M", "2027-01-15 12:00"),
        ("2026-12-15 12:00", "0s1h", "2026-12-15 13:00"),
    ],
)
def test_a_duration_is_counted_as_tle_counts_it(start: str, duration: str, end: str):
    assert moment_after(unix(start), duration) == unix(end)


@pytest.mark.parametrize(
    "duration", ["", "1", "d", "1D", "1h1h", "-1h", "1.5h", "1h ", "0s", "10000y", "9" * 30 + "s", "1ms"]
)
def test_what_is_no_duration_is_refused_with_the_units(duration: str):
    with pytest.raises(BadSetting) as refusal:
        moment_after(unix("2026-01-01"), duration)
    assert "y, M" in refusal.value.advice


@pytest.mark.parametrize(
    "text", ["2026-12-31T23:00:00Z", "2026-12-31 23:00", "2027-01-01T00:00+01:00", "2026-12-31T23"]
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(text: str):
    assert moment_written(text) == unix("2026-12-31 23:00")


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "1795177143"])
def test_what_is_no_moment_is_refused(text: str):
    with pytest.raises(BadSetting):
        moment_written(text)


def test_a_span_is_shown_in_its_two_largest_units():
    shown = [shown_span(span_s) for span_s in (0, 0.2, 59, 60, 3599, 3600, 11531, 259205, 86400 * 400 + 7200, -9)]
    assert shown == ["0 s", "1 s", "59 s", "1 m", "59 m 59 s", "1 h", "3 h 12 m", "3 d", "400 d 2 h", "0 s"]


def test_a_moment_beyond_the_calendar_is_still_shown():
    assert shown_moment(unix("2026-12-31 23:00")) == "2026-12-31T23:00:00Z"
    assert shown_moment(10**15) == "unix time 1000000000000000"
