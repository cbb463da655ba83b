"""Go's textual durations, as group files carry periods: "30s", "1m0s", "1.5s". Values are integer nanoseconds."""

import re

from collective.errors import Malformed

_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign: what Go writes
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_SECOND_NS = _UNIT_NS["s"]
_MOST = 2**63  # the magnitude of the least int64
_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_MAX_CHARACTERS = 256


def format_duration(ns: int) -> str:
    """The text Go writes for `ns` nanoseconds. Source: Go 1.20, time.Duration.String.

    >>> format_duration(90_000_000_000), format_duration(1_500_000_000), format_duration(0)
    ('1m30s', '1.5s', '0s')
    """
    sign, left = ("-", -ns) if ns < 0 else ("", ns)
    if left < _SECOND_NS:
        return sign + _below_a_second(left)
    minutes, left = divmod(left, _UNIT_NS["m"])
    hours, minutes = divmod(minutes, 60)
    text = _decimal(left, _SECOND_NS) + "s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _below_a_second(ns: int) -> str:
    if ns == 0:
        return "0s"
    unit = "ns" if ns < _UNIT_NS["us"] else "\u00b5s" if ns < _UNIT_NS["ms"] else "ms"
    return _decimal(ns, _UNIT_NS[unit]) + unit


def _decimal(value: int, unit: int) -> str:
    """value / unit with as many decimals as it needs; `unit` is a power of ten."""
    whole, rest = divmod(value, unit)
    decimals = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{decimals}" if decimals else str(whole)


def parse_duration(text: str) -> int:
    """The nanoseconds that `text` says: a sign, then decimal numbers with units ns us µs ms s m h, or "0" alone.

    raises  Malformed for anything else, and for what does not fit 64 bits
    Source: Go 1.20, time.ParseDuration; fractions are truncated in the same double arithmetic.

    >>> parse_duration("1m30s"), parse_duration("-1.5h"), parse_duration("0")
    (90000000000, -5400000000000, 0)
    """
    negative, body = text.startswith("-"), text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    if not body or len(text) > _MAX_CHARACTERS:
        raise _refused(text)
    total, position = 0, 0
    while position < len(body):
        term = _TERM.match(body, position)
        assert term is not None  # it matches the empty string
        total += _term_ns(term, text)
        position = term.end()
        if total > _MOST:
            raise _refused(text)
    if total == _MOST and not negative:
        raise _refused(text)
    return -total if negative else total


def _term_ns(term: re.Match[str], text: str) -> int:
    whole, fraction, unit = term[1], term[2], term[3]
    if not whole and not fraction:
        raise _refused(text)
    if unit not in _UNIT_NS:
        raise _refused(text, f"missing or unknown unit {unit!r}")
    value = int(whole or "0") * _UNIT_NS[unit]
    if fraction:
        digits, scale = _significant(fraction)
        value += int(digits * (_UNIT_NS[unit] / scale))
    return value


def _significant(fraction: str) -> tuple[int, float]:
    """The leading digits of a fraction that fit 63 bits, and the power of ten they are over."""
    digits, scale = 0, 1.0
    for digit in fraction:
        if digits > (_MOST - 1) // 10 or digits * 10 + int(digit) > _MOST:
            break
        digits, scale = digits * 10 + int(digit), scale * 10
    return digits, scale


def _refused(text: str, why: str = "not a duration that fits 64 bits") -> Malformed:
    shown = text if len(text) <= 40 else text[:40] + "..."
    return Malformed(f"invalid duration {shown!r}: {why}", hint='durations look like "30s", "1m30s" or "500ms"')
