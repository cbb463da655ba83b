"""Durations as Go writes and reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed
from drand.wire.go_duration import format_duration, parse_duration

INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (500_000_000, "500ms"),
        (1_500_000_000, "1.5s"),
        (3_300_000_000, "3.3s"),
        (30_000_000_000, "30s"),
        (60_000_000_000, "1m0s"),
        (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"),
        (3_600_000_000_000, "1h0m0s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (480_000_000_001, "8m0.000000001s"),
        (2**63 - 1, "2562047h47m16.854775807s"),
        (-(2**63), "-2562047h47m16.854775808s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(ns: int, text: str) -> None:
    assert format_duration(ns) == text
    assert parse_duration(text) == ns


@given(INT64)
def test_every_duration_survives_being_written_and_read(ns: int) -> None:
    assert parse_duration(format_duration(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("5s", 5_000_000_000),
        ("+5s", 5_000_000_000),
        ("-5s", -5_000_000_000),
        ("1478s", 1_478_000_000_000),
        ("5.0s", 5_000_000_000),
        ("5.s", 5_000_000_000),
        (".5s", 500_000_000),
        ("1.004s", 1_004_000_000),
        ("1.00400s", 1_004_000_000),
        ("100.00100s", 100_001_000_000),
        ("12us", 12_000),
        ("12µs", 12_000),
        ("12\u03bcs", 12_000),
        ("3h30m", 12_600_000_000_000),
        ("10.5s4m", 250_500_000_000),
        ("-2m3.4s", -123_400_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("39h9m14.425s", 140_954_425_000_000),
        ("52763797000ns", 52_763_797_000),
        ("0.3333333333333333333h", 1_200_000_000_000),
        ("0.100000000000000000000h", 360_000_000_000),
        ("0.830103483285477580700h", 2_988_372_539_827),
        ("9007199254740993ns", 2**53 + 1),
        ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
    ],
)
def test_the_whole_grammar_of_go_is_read(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


REFUSED = ["", "3", "-", "s", ".", "-.", ".s", "+.s", "1d", "1 s", " 1s", "1s ", "1S", "1.2.3s", "--1s", "1e3s", "٣s"]
TOO_LONG = ["9223372036854775808ns", "9223372036854775.808us", "3000000h", "9" * 300 + "s", "-9223372036854775809ns"]


@pytest.mark.parametrize("text", [*REFUSED, *TOO_LONG])
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="invalid duration"):
        parse_duration(text)


@given(st.text(alphabet="0123456789.hmsuµn+- x", max_size=30))
def test_any_other_text_is_read_or_refused_and_never_both(text: str) -> None:
    try:
        ns = parse_duration(text)
    except Malformed:
        return
    assert -(2**63) <= ns < 2**63
