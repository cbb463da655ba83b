"""The HTTP API as a table: request and time in, answer out. Bodies and headers are those of drand v1.5.11."""

import hashlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collective.errors import Unavailable
from drand.net.http_content import Answer, Request, http_date
from drand.net.http_routes import MOST_TOLD, RENDERED_ROUNDS, Hold, HttpRoutes
from tests.support.served import GENESIS, INFO, PERIOD, MemoryChain, beacon

HASH = INFO.hash().hex()
NOW = float(GENESIS + 2 * PERIOD + 10)  # round 3 is out for ten seconds
WEEK = 604_800
IMMUTABLE = "public, max-age=604800, immutable"


@pytest.fixture
def chain() -> MemoryChain:
    return MemoryChain()


@pytest.fixture
def routes(chain: MemoryChain) -> HttpRoutes:
    made = HttpRoutes()
    made.register(chain, default=True)
    return made


def get(routes: HttpRoutes, path: str, now: float = NOW) -> Answer:
    answer = routes.answer(Request("GET", path), now)
    assert isinstance(answer, Answer)
    return answer


def test_a_stored_round_is_served_as_go_serves_it(routes: HttpRoutes):
    answer = get(routes, "/public/2")
    signature, previous = beacon(2).signature, beacon(1).signature
    assert answer.status == 200
    assert (
        answer.body
        == (
            f'{{"round":2,"randomness":"{hashlib.sha256(signature).hexdigest()}","signature":"{signature.hex()}",'
            f'"previous_signature":"{previous.hex()}"}}'
        ).encode()
    )
    assert dict(answer.headers) == {
        "Server": "drand/1.5.11 (pydrand)",
        "Content-Type": "application/json",
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": IMMUTABLE,
        "Expires": http_date(int(NOW) + WEEK),
        "Last-Modified": http_date(GENESIS + PERIOD),
        "Accept-Ranges": "bytes",
    }


@pytest.mark.parametrize("path", ["/public/0002", f"/{HASH}/public/2", f"/{HASH.upper()}/public/2"])
def test_leading_zeros_and_the_chain_hash_lead_to_the_same_round(routes: HttpRoutes, path: str):
    assert get(routes, path).body == get(routes, "/public/2").body


@pytest.mark.parametrize("path", ["/info", "/health", "/public/2", "/public/latest", "/public/abc"])
def test_a_server_written_with_a_slash_at_its_end_is_the_same_server(routes: HttpRoutes, path: str):
    assert get(routes, f"/{path}") == get(routes, path)


@pytest.mark.parametrize("path", ["/public/latest", "/public/0", f"/{HASH}/public/latest"])
def test_the_latest_round_is_good_until_the_next_one(routes: HttpRoutes, path: str):
    answer = get(routes, path)
    assert json.loads(answer.body)["round"] == 3
    assert dict(answer.headers) == {
        "Server": "drand/1.5.11 (pydrand)",
        "Content-Type": "application/json",
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": "max-age=20, public",
        "Expires": http_date(GENESIS + 3 * PERIOD),
        "Last-Modified": http_date(GENESIS + 2 * PERIOD),
    }


def test_a_part_of_a_second_to_the_next_round_counts_as_a_whole_one(routes: HttpRoutes):
    assert get(routes, "/public/latest", NOW + 19.5).header("Cache-Control") == "max-age=1, public"


def test_the_latest_round_of_a_halted_chain_is_good_for_half_a_period(routes: HttpRoutes):
    late = NOW + 1000
    answer = get(routes, "/public/latest", late)
    assert answer.header("Cache-Control") == "max-age=15, public"
    assert answer.header("Expires") == http_date(int(late) + 15)


def test_a_latest_round_ahead_of_its_time_is_not_cached(routes: HttpRoutes):
    assert get(routes, "/public/latest", float(GENESIS)).header("Cache-Control") is None


def test_the_genesis_seed_is_never_served_as_randomness(routes: HttpRoutes, chain: MemoryChain):
    chain.last_round = 0
    answer = get(routes, "/public/latest", float(GENESIS - 5))
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize(
    "text", ["+2", "-1", "abc", "1.0", "0x1", " 1", "18446744073709551616", "9" * 500, "health", "٣", "1_0"]
)
def test_a_round_that_is_no_number_of_64_bits_is_refused_without_a_body(routes: HttpRoutes, text: str):
    answer = get(routes, f"/public/{text}")
    assert (answer.status, answer.body) == (400, b"")
    assert answer.header("Content-Type") == "application/json"


def test_a_round_of_the_far_future_may_be_cached_until_it_is_due(routes: HttpRoutes):
    answer = get(routes, "/public/6", NOW)
    assert (answer.status, answer.body) == (404, b"")
    assert answer.header("Cache-Control") == "public, must-revalidate, max-age=80"


def test_a_round_beyond_the_end_of_time_gets_the_longest_time_that_go_can_say(routes: HttpRoutes):
    answer = get(routes, f"/public/{2**64 - 1}")
    assert answer.header("Cache-Control") == "public, must-revalidate, max-age=9223372036"


def test_the_next_round_is_held_until_it_exists(routes: HttpRoutes, chain: MemoryChain):
    outcome = routes.answer(Request("GET", "/public/4"), NOW)
    assert isinstance(outcome, Hold)
    assert outcome.round == 4
    assert NOW < outcome.until_unix_s <= NOW + 2 * PERIOD
    chain.last_round = 4
    released = outcome.released(Request("GET", "/public/4"), beacon(4), NOW + 20)
    assert released == get(routes, "/public/4", NOW + 20)
    assert released.body


def test_a_late_next_round_is_held_too(routes: HttpRoutes):
    assert isinstance(routes.answer(Request("GET", "/public/4"), NOW + 500), Hold)


def test_who_asks_by_the_clock_waits_although_the_round_before_is_late(routes: HttpRoutes, chain: MemoryChain):
    due = GENESIS + 4 * PERIOD  # of round 5; the last one here is 3
    outcome = routes.answer(Request("GET", "/public/5"), due)
    assert isinstance(outcome, Hold)
    assert (outcome.round, outcome.until_unix_s) == (5, due + PERIOD)


@pytest.mark.parametrize(("round_", "now"), [(6, NOW + 3 * PERIOD), (9, NOW + 1000)])
def test_a_round_that_is_neither_stored_nor_next_is_not_there_yet_and_not_cached(
    routes: HttpRoutes, round_: int, now: float
):
    answer = get(routes, f"/public/{round_}", now)
    assert (answer.status, answer.body) == (404, b"")
    assert answer.header("Cache-Control") == "must-revalidate, no-cache, max-age=0"


def test_the_chain_information_ends_with_a_newline(routes: HttpRoutes):
    answer = get(routes, "/info")
    assert (
        answer.body
        == (
            f'{{"public_key":"{INFO.public_key.hex()}","period":30,"genesis_time":{GENESIS},"hash":"{HASH}",'
            f'"groupHash":"{INFO.genesis_seed.hex()}","schemeID":"pedersen-bls-chained","metadata":{{"beaconID":"default"}}}}\n'
        ).encode()
    )
    assert answer.header("Cache-Control") == IMMUTABLE
    assert answer.header("Last-Modified") == http_date(GENESIS)


@pytest.mark.parametrize(
    ("last", "seconds_late", "status", "body"),
    [
        (3, 0, 200, b'{"current":3,"expected":3}'),
        (3, PERIOD, 200, b'{"current":3,"expected":4}'),
        (3, 2 * PERIOD, 503, b'{"current":3,"expected":5}'),
        (4, 0, 503, b'{"current":4,"expected":3}'),
        (-1, 0, 503, b'{"current":0,"expected":3}'),
    ],
)
def test_health_compares_the_last_stored_round_with_the_one_due(
    routes: HttpRoutes, chain: MemoryChain, last: int, seconds_late: int, status: int, body: bytes
):
    chain.last_round = last
    answer = get(routes, "/health", NOW + seconds_late)
    assert (answer.status, answer.body, answer.header("Cache-Control")) == (status, body, "no-cache")


def test_the_chains_are_listed_without_the_default_alias(routes: HttpRoutes):
    answer = get(routes, "/chains")
    assert (answer.body, answer.header("Cache-Control")) == (f'["{HASH}"]'.encode(), "max-age=300")
    assert get(HttpRoutes(), "/chains").body == b"[]"


@pytest.mark.parametrize(
    "path", ["", "/", "/info/", "/public", "/public/", "/public/1/", "//chains", "///info", "/x/chains", "/favicon.ico"]
)
def test_a_path_without_a_route_is_a_plain_404(routes: HttpRoutes, path: str):
    answer = get(routes, path)
    assert (answer.status, answer.body) == (404, b"404 page not found\n")
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert answer.header("Access-Control-Allow-Origin") is answer.header("Server") is None


@pytest.mark.parametrize("path", ["/deadbeef/public/1", "/deadbeef/public/latest", "/deadbeef/health"])
def test_an_unknown_chain_is_named_and_no_pointer_is_shown(routes: HttpRoutes, path: str):
    answer = get(routes, path)
    assert answer.status == 404
    assert answer.body.decode() == (
        f"there is no BeaconHandler for beaconHash [deadbeef] in our beacons [map[{HASH}]]. "
        "Is the chain hash correct?. Please check it\n"
    )
    assert answer.header("X-Content-Type-Options") == "nosniff"


def test_the_information_of_an_unknown_chain_is_a_group_not_found(routes: HttpRoutes):
    assert (get(routes, "/deadbeef/info").status, get(routes, "/deadbeef/info").body) == (404, b"group not found\n")
    assert get(HttpRoutes(), "/info").body == b"group not found\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [("zz", "invalid byte: U+007A 'z'"), ("abc", "odd length hex string"), ("info", "invalid byte: U+0069 'i'")],
)
def test_a_chain_hash_that_is_no_hexadecimal_is_refused_in_gos_words(routes: HttpRoutes, text: str, why: str):
    answer = get(routes, f"/{text}/info")
    assert (answer.status, answer.body.decode()) == (400, f"unable to decode chain hash {text}: encoding/hex: {why}\n")


def test_without_a_default_chain_the_short_paths_answer_404(chain: MemoryChain):
    routes = HttpRoutes()
    routes.register(chain)
    assert get(routes, "/public/1").status == 404
    assert get(routes, f"/{HASH}/public/1").status == 200
    routes.remove(INFO.hash())
    assert get(routes, f"/{HASH}/public/1").status == 404


@pytest.mark.parametrize("path", ["/public/1", "/public/latest", "/health"])
def test_a_store_that_fails_is_an_empty_500(routes: HttpRoutes, chain: MemoryChain, path: str):
    chain.failure = Unavailable("disk on fire")
    assert (get(routes, path).status, get(routes, path).body) == (500, b"")


def test_the_rendered_bodies_are_bounded(routes: HttpRoutes, chain: MemoryChain):
    chain.last_round = RENDERED_ROUNDS + 50
    for round_ in range(1, chain.last_round + 1):
        assert get(routes, f"/public/{round_}").status == 200
    kept = routes._chains[HASH].rendered
    assert len(kept) == RENDERED_ROUNDS
    assert get(routes, "/public/1").status == 200


def test_a_round_is_told_again_within_its_second_and_anew_in_the_next(routes: HttpRoutes, chain: MemoryChain):
    first = get(routes, "/public/1", NOW)
    chain.failure = Unavailable("disk on fire")
    assert get(routes, "/public/1", NOW + 0.5) is first
    chain.failure = None
    later = get(routes, "/public/1", NOW + 1)
    assert (later.body, later.header("Last-Modified")) == (first.body, first.header("Last-Modified"))
    assert later.header("Expires") != first.header("Expires")
    unchanged = routes.answer(Request("GET", "/public/1", (("if-none-match", "*"),)), NOW + 1)
    assert unchanged.status == 304
    routes.remove(INFO.hash())
    assert get(routes, "/public/1", NOW + 1).status == 404


def test_what_is_told_again_is_bounded(routes: HttpRoutes):
    paths = [
        f"{prefix}/public/{'0' * zeros}{round_}"
        for prefix in ("", f"/{HASH}")
        for zeros in range(60)
        for round_ in (1, 2, 3)
    ]
    assert len(paths) > MOST_TOLD
    for path in paths:
        assert get(routes, path).status == 200
        assert 0 < len(routes._told) <= MOST_TOLD


@example(path="v2", method="", now=0.0)
@given(path=st.text(max_size=80), method=st.text(max_size=8), now=st.floats(0, 2**40))
def test_no_path_makes_the_routes_fail(path: str, method: str, now: float):
    routes = HttpRoutes()
    routes.register(MemoryChain(), default=True)
    outcome = routes.answer(Request(method, "/" + path), now)
    refused = () if method in ("GET", "HEAD", "OPTIONS") else (405,)
    assert isinstance(outcome, Hold) or outcome.status in (200, 400, 404, 503, *refused)
