"""Moments as people write and read them: "3M10d", "2026-12-31T23:00:00Z", "opens in 3 h 12 m"."""

import re
from datetime import UTC, datetime, timedelta

from collective.errors import BadSetting

_DURATION = re.compile(r"(?:[0-9]+[smhdwMy])+")
_PART = re.compile(r"([0-9]+)([smhdwMy])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_FORMS = 'a duration is written as numbers with the units y, M (months), w, d, h, m (minutes), s: "1y6M", "36h", "90s"'


def moment_after(now_unix_s: float, duration: str) -> float:
    """The moment `duration` after another, unix seconds.

    Every unit is counted from `now_unix_s` by itself and the results are added, months and years by the calendar (in
    UTC), as tle does. raises BadSetting for another form, a unit given twice, nothing at all, or a year after 9999.
    Source: tlock v1.3.0 (Go), cmd/tle/commands/encrypt.go.
    """
    parts = _PART.findall(duration)
    units = [unit for _, unit in parts]
    if not _DURATION.fullmatch(duration) or len(set(units)) != len(units):
        raise BadSetting(f"{duration!r} is no duration", hint=_FORMS + ", each unit once")
    try:
        start = datetime.fromtimestamp(now_unix_s, UTC)
        total = sum((_later(start, int(count), unit) - start for count, unit in parts), timedelta())
        moment = start + total
    except (OverflowError, ValueError) as error:
        raise BadSetting(f"{duration!r} ends after the year 9999", hint=_FORMS) from error
    if not total:
        raise BadSetting(f"{duration!r} is no time at all", hint=_FORMS)
    return moment.timestamp()


def _later(start: datetime, count: int, unit: str) -> datetime:
    if unit in _UNIT_S:
        return start + timedelta(seconds=count * _UNIT_S[unit])
    months = start.year * 12 + start.month - 1 + (count if unit == "M" else 12 * count)
    first = start.replace(year=months // 12, month=months % 12 + 1, day=1)
    return first + timedelta(days=start.day - 1)  # the 31st of a short month is a day of the next, as in Go


def moment_written(text: str) -> float:
    """The moment that `text` names in ISO 8601 ("2026-12-31T23:00:00Z"), unix seconds; UTC unless it says otherwise.

    raises  BadSetting
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadSetting(
            f"{text!r} is no moment", hint='a moment is written as "2026-12-31T23:00:00Z" or "2026-12-31 23:00+01:00"'
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def shown_moment(unix_s: float) -> str:
    """ISO 8601 in UTC, or the bare number after the year 9999."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"unix time {unix_s:.0f}"
