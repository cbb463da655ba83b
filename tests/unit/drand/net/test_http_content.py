"""Conditional requests and ranges on one immutable body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drand.net.http_content import Answer, Request, http_date, parse_http_date, serve_content

FOUND = Answer(200, (("Content-Type", "application/json"), ("Cache-Control", "public")), b"0123456789")
MODIFIED = 1_795_164_285


def served(**headers: str) -> Answer:
    sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return serve_content(Request("GET", "/public/1", sent), FOUND, MODIFIED)


def test_a_plain_request_gets_the_whole_body_with_its_date():
    answer = served()
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert answer.header("Last-Modified") == "Fri, 20 Nov 2026 08:44:45 GMT"
    assert answer.header("Accept-Ranges") == "bytes"


def test_a_copy_that_is_still_good_is_answered_without_body_and_type():
    answer = served(if_modified_since=http_date(MODIFIED))
    assert (answer.status, answer.body, answer.header("Content-Type")) == (304, b"", None)
    assert answer.header("Cache-Control") == "public"
    assert served(if_none_match="*").status == 304


@pytest.mark.parametrize(
    "headers",
    [
        {"if_modified_since": http_date(MODIFIED - 1)},
        {"if_modified_since": "yesterday"},
        {"if_none_match": '"some-tag"', "if_modified_since": http_date(MODIFIED)},
        {"if_match": "*"},
        {"if_unmodified_since": http_date(MODIFIED)},
        {"range": "bytes=0-1,4-5"},
        {"range": "bytes=2-4", "if_range": http_date(MODIFIED - 1)},
        {"range": "bytes=2-4", "if_range": '"tag"'},
    ],
)
def test_conditions_that_do_not_hold_or_do_not_count_give_the_whole_body(headers: dict[str, str]):
    assert served(**headers).body == b"0123456789"


@pytest.mark.parametrize("headers", [{"if_match": '"tag"'}, {"if_unmodified_since": http_date(MODIFIED - 1)}])
def test_a_failed_precondition_is_412(headers: dict[str, str]):
    assert (served(**headers).status, served(**headers).body) == (412, b"")


@pytest.mark.parametrize(
    ("wanted", "body", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=8-1000000000000", b"89", "bytes 8-9/10"),
    ],
)
def test_a_range_is_cut_out(wanted: str, body: bytes, content_range: str):
    answer = served(range=wanted)
    assert (answer.status, answer.body, answer.header("Content-Range")) == (206, body, content_range)


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=4-2", "bytes=-", "bytes=a-b", "bytes=-0"])
def test_a_range_that_cannot_be_met_is_416(wanted: str):
    answer = served(range=wanted)
    assert (answer.status, answer.header("Content-Range")) == (416, "bytes */10")


def test_a_range_of_another_unit_counts_as_not_sent():
    assert (served(range="lines=1-2").status, served(range="lines=1-2").body) == (200, b"0123456789")


def test_head_tells_of_the_whole_body_whatever_range_is_asked_for():
    asked = Request("HEAD", "/public/1", (("range", "bytes=0-1"),))
    assert (serve_content(asked, FOUND, MODIFIED).status, asked.reads) == (200, True)


def test_only_reading_methods_have_conditions():
    posted = Request("POST", "/public/1", (("range", "bytes=0-1"), ("if-none-match", "*")))
    assert serve_content(posted, FOUND, MODIFIED).body == b"0123456789"


@given(st.text(max_size=60))
def test_no_range_and_no_date_makes_the_server_fail(text: str):
    assert served(range=text).status in (200, 206, 416)
    assert served(if_modified_since=text, if_range=text, range="bytes=1-2").status in (200, 206, 304)


@given(st.integers(0, 253_402_300_799))
def test_dates_survive_writing_and_reading(unix_s: int):
    assert parse_http_date(http_date(unix_s)) == unix_s
