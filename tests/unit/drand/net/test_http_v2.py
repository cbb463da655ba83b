"""The v2 routes as a table: request and time in, answer out."""

import json

import pytest

from drand.errors import BeaconNotFound
from drand.model.chain import MAX_ROUND, Beacon, Round
from drand.net.http_chain import Contributions, Events, Gather, Hold
from drand.net.http_content import Answer, Request, http_date
from drand.net.http_routes import HttpRoutes
from drand.net.http_v2 import CHECKS_A_SECOND, PAGE_ROUNDS
from tests.support.committee import GENESIS_S, Committee
from tests.support.served import GENESIS, INFO, PERIOD, MemoryChain, beacon

HASH = INFO.hash().hex()
NOW = float(GENESIS + 2 * PERIOD + 10)  # round 3 is out for ten seconds
IMMUTABLE = "public, max-age=604800, immutable"
BOTH = [f"/v2/chains/{HASH}", f"/v2/chains/{HASH.upper()}", "/v2/beacons/default"]


@pytest.fixture
def chain() -> MemoryChain:
    return MemoryChain()


@pytest.fixture
def routes(chain: MemoryChain) -> HttpRoutes:
    made = HttpRoutes()
    made.register(chain)
    return made


def ask(routes: HttpRoutes, path: str, now: float = NOW, method: str = "GET", **headers: str):
    path, _, query = path.partition("?")
    sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return routes.answer(Request(method, path, sent, query), now)


def get(routes: HttpRoutes, path: str, now: float = NOW, **headers: str) -> Answer:
    answer = ask(routes, path, now, **headers)
    assert isinstance(answer, Answer)
    return answer


def test_chains_and_beacons_are_listed(routes: HttpRoutes):
    assert json.loads(get(routes, "/v2/chains").body) == [HASH]
    assert json.loads(get(routes, "/v2/beacons").body) == ["default"]


@pytest.mark.parametrize("prefix", BOTH)
def test_a_stored_round_has_no_randomness_and_never_changes(routes: HttpRoutes, prefix: str):
    answer = get(routes, f"{prefix}/rounds/2")
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"round": 2, "signature": beacon(2).signature.hex(), "previous_signature": beacon(1).signature.hex()},
    )
    assert answer.header("Cache-Control") == IMMUTABLE
    assert answer.header("Last-Modified") == http_date(GENESIS + PERIOD)
    assert answer.header("Access-Control-Allow-Origin") == "*"


@pytest.mark.parametrize("prefix", BOTH)
def test_the_chain_information_has_the_names_of_v2(routes: HttpRoutes, prefix: str):
    assert json.loads(get(routes, f"{prefix}/info").body) == {
        "public_key": INFO.public_key.hex(),
        "period": PERIOD,
        "genesis_time": GENESIS,
        "genesis_seed": INFO.genesis_seed.hex(),
        "chain_hash": HASH,
        "scheme": "pedersen-bls-chained",
        "beacon_id": "default",
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2", 404),
        ("/v2/", 404),
        ("/v2/chains/", 400),
        ("/v2/chains/zz/info", 400),
        (f"/v2/chains/{'0' * 64}/info", 404),
        ("/v2/beacons/nobody/info", 404),
        ("/v2/beacons/default", 404),
        ("/v2/beacons/default/rounds/abc", 400),
        ("/v2/beacons/default/rounds/-1", 400),
        ("/v2/beacons/default/rounds/٣", 400),
        (f"/v2/beacons/default/rounds/{2**64}", 400),
        ("/v2/beacons/default/rounds/0/check", 400),
        ("/v2/beacons/default/rounds?from=3&to=2", 400),
        ("/v2/beacons/default/rounds?from=x", 400),
        ("/v2/beacons/default/events?from=x", 400),
        ("/v2/beacons/default/signers", 404),
    ],
)
def test_what_cannot_be_served_is_refused_in_json(routes: HttpRoutes, path: str, status: int):
    answer = get(routes, path)
    assert (answer.status, list(json.loads(answer.body))) == (status, ["error"])
    assert answer.header("Content-Type") == "application/json"


def test_other_methods_are_refused_and_a_preflight_is_answered(routes: HttpRoutes):
    assert ask(routes, "/v2/chains", method="POST").status == 405
    answer = ask(routes, "/v2/chains", method="OPTIONS")
    assert (answer.status, answer.header("Access-Control-Allow-Origin")) == (204, "*")
    assert "Last-Event-ID" in (answer.header("Access-Control-Allow-Headers") or "")


def test_a_round_whose_time_has_not_come_is_too_early_and_not_cached(routes: HttpRoutes):
    answer = get(routes, "/v2/beacons/default/rounds/5")
    assert (answer.status, answer.header("Cache-Control")) == (425, "no-cache")
    assert answer.header("Retry-After") == "51"


@pytest.mark.parametrize("path", ["rounds/4", "rounds/next"])
def test_the_next_round_is_held_and_answered_when_it_is_there(routes: HttpRoutes, path: str):
    held = ask(routes, f"/v2/beacons/default/{path}")
    assert isinstance(held, Hold)
    assert (held.round, held.until_unix_s) == (4, GENESIS + 4 * PERIOD)
    assert json.loads(held.released(Request("GET", "/"), beacon(4), NOW + 20).body)["round"] == 4
    assert held.expired.status == 504


def test_a_round_that_failed_to_come_is_held_when_it_is_the_next_and_missing_otherwise(routes: HttpRoutes):
    late = NOW + 3 * PERIOD
    held = ask(routes, "/v2/beacons/default/rounds/4", late)
    assert isinstance(held, Hold)
    assert held.until_unix_s == late + PERIOD
    assert isinstance(ask(routes, "/v2/beacons/default/rounds/5", late), Hold)
    assert get(routes, "/v2/beacons/default/rounds/6", late).status == 404


def test_the_round_of_zero_minus_one_has_a_constant_answer_that_caches_keep(routes: HttpRoutes):
    answer = get(routes, f"/v2/beacons/default/rounds/{MAX_ROUND}")
    assert (answer.status, answer.header("Cache-Control")) == (404, IMMUTABLE)
    assert get(routes, f"/v2/beacons/default/rounds/{MAX_ROUND}") is answer


def test_the_latest_round_is_good_until_the_next_is_due(routes: HttpRoutes):
    answer = get(routes, "/v2/beacons/default/rounds/latest", NOW + 0.5)
    assert json.loads(answer.body)["round"] == 3
    assert answer.header("Cache-Control") == "public, max-age=19, must-revalidate"
    overdue = get(routes, "/v2/beacons/default/rounds/latest", NOW + PERIOD)
    assert overdue.header("Cache-Control") == "no-cache"


@pytest.mark.parametrize("path", ["rounds/2", "rounds/latest", "info", "rounds?from=1&to=2"])
def test_a_client_that_has_the_body_is_told_so(routes: HttpRoutes, path: str):
    first = get(routes, f"/v2/beacons/default/{path}")
    etag = first.header("ETag")
    assert etag is not None
    assert get(routes, f"/v2/beacons/default/{path}", if_none_match=f'"x", W/{etag}').status == 304
    assert get(routes, f"/v2/beacons/default/{path}", if_none_match='"x"').status == 200
    assert get(routes, f"/v2/beacons/default/{path}", if_match='"x"').status == 412


def test_the_health_is_that_of_v1(routes: HttpRoutes):
    good, bad = get(routes, "/v2/beacons/default/health"), get(routes, "/v2/beacons/default/health", NOW + 2 * PERIOD)
    assert (good.status, good.body) == (200, b'{"current":3,"expected":3}')
    assert (bad.status, bad.body) == (503, b'{"current":3,"expected":5}')


# ---------------------------------------------------------------- many rounds


def rounds_of(answer: Answer) -> list[int]:
    return [json.loads(line)["round"] for line in answer.body.splitlines()]


def test_pages_of_rounds_end_where_all_pages_end_and_name_the_next(routes: HttpRoutes, chain: MemoryChain):
    chain.last_round = 2500
    answer = get(routes, "/v2/beacons/default/rounds?from=990&to=2000")
    assert (answer.status, rounds_of(answer)) == (200, list(range(990, PAGE_ROUNDS)))
    assert answer.header("Link") == '<?from=1000&to=1999>; rel="next"'
    assert answer.header("Cache-Control") == IMMUTABLE
    assert answer.header("Content-Type") == "application/x-ndjson"
    whole = get(routes, "/v2/beacons/default/rounds?from=1000&to=1999")
    assert (rounds_of(whole), whole.header("Cache-Control")) == (list(range(1000, 2000)), IMMUTABLE)


def test_a_page_that_grows_is_not_kept(routes: HttpRoutes, chain: MemoryChain):
    answer = get(routes, "/v2/beacons/default/rounds")
    assert (rounds_of(answer), answer.header("Cache-Control"), answer.header("Link")) == ([1, 2, 3], "no-cache", None)
    chain.last_round = 4
    assert rounds_of(get(routes, "/v2/beacons/default/rounds")) == [1, 2, 3, 4]


@pytest.mark.parametrize("query", ["from=1", "from=1&to=999", "from=1&to=5"])
def test_an_answer_is_kept_once_the_next_page_has_begun_and_its_link_is_there(
    query: str, routes: HttpRoutes, chain: MemoryChain
):
    path = f"/v2/beacons/default/rounds?{query}"
    chain.last_round = PAGE_ROUNDS - 1
    before = get(routes, path)
    assert (before.header("Cache-Control"), before.header("Link")) == ("no-cache", None)
    chain.last_round = PAGE_ROUNDS
    after = get(routes, path)
    assert (after.header("Cache-Control"), after.header("Link")) == (IMMUTABLE, '<?from=1000&to=1999>; rel="next"')
    assert after.body == before.body


def test_a_page_of_the_future_is_too_early(routes: HttpRoutes):
    assert get(routes, "/v2/beacons/default/rounds?from=9").status == 425


def test_a_page_with_a_hole_is_not_served(routes: HttpRoutes, chain: MemoryChain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chain, "range", lambda first, limit: [beacon(1), beacon(3)])
    assert get(routes, "/v2/beacons/default/rounds?from=1&to=3").status == 404


class Holed(MemoryChain):
    """A relay's chain that has stored nothing, and cannot fetch round 5."""

    def range(self, first: Round, limit: int) -> list[Beacon]:
        return []

    async def wait(self, round_: Round) -> Beacon:
        if round_ == 5:
            raise BeaconNotFound("nobody has round 5")
        return beacon(round_)


@pytest.mark.parametrize(
    ("query", "got", "caching", "link"),
    [
        ("from=1&to=3", range(1, 4), IMMUTABLE, '<?from=1000&to=1999>; rel="next"'),
        ("from=2", range(2, 5), "no-cache", '<?from=5&to=999>; rel="next"'),
        ("from=6&to=2000", range(6, 106), "no-cache", '<?from=106&to=999>; rel="next"'),
        ("from=1990", range(1990, 2000), IMMUTABLE, '<?from=2000&to=2999>; rel="next"'),
        ("from=2490", range(2490, 2501), "no-cache", None),
    ],
)
async def test_what_a_relay_lacks_of_a_page_is_fetched_a_part_at_a_time(
    query: str, got: range, caching: str, link: str | None
):
    routes, chain = HttpRoutes(), Holed(fetches=True, last_round=2500)
    routes.register(chain, default=True)
    held = ask(routes, f"/v2/beacons/default/rounds?{query}")
    assert isinstance(held, Gather)
    answer = await held.answer(Request("GET", "/"), lambda: NOW)
    assert (rounds_of(answer), answer.header("Cache-Control")) == (list(got), caching)
    assert answer.header("Link") == link


async def test_a_page_whose_first_round_nobody_has_is_missing():
    routes, chain = HttpRoutes(), Holed(fetches=True, last_round=2500)
    routes.register(chain, default=True)
    held = ask(routes, "/v2/beacons/default/rounds?from=5")
    assert isinstance(held, Gather)
    with pytest.raises(BeaconNotFound):
        await held.answer(Request("GET", "/"), lambda: NOW)
    assert held.expired.status == 404


# ---------------------------------------------------------------- events, signers, verification


@pytest.mark.parametrize(
    ("path", "headers", "first"),
    [
        ("events", {}, None),
        ("events?from=7", {}, 7),
        ("events?from=0", {}, 1),
        ("events?from=7", {"last_event_id": "11"}, 12),
        ("events", {"last_event_id": "not a number"}, None),
    ],
)
def test_a_stream_begins_where_the_reader_left_off(routes: HttpRoutes, path: str, headers: dict[str, str], first):
    events = ask(routes, f"/v2/beacons/default/{path}", **headers)
    assert isinstance(events, Events)
    assert events.first == first


def test_who_signed_is_told_where_it_is_known(routes: HttpRoutes, chain: MemoryChain):
    chain.known_signers = Contributions(2, ((0, "a:1"), (1, "b:1")), ((Round(3), (0, 1)),))
    assert json.loads(get(routes, "/v2/beacons/default/signers").body) == {
        "threshold": 2,
        "members": [{"index": 0, "address": "a:1"}, {"index": 1, "address": "b:1"}],
        "rounds": [{"round": 3, "signers": [0, 1]}],
    }


class Signed(MemoryChain):
    """A chain that a committee really signed; round 2 can be altered."""

    committee = Committee(size=3, threshold=2)
    forged = False

    def info(self):
        return self.committee.group.chain_info()

    def last(self) -> Beacon:
        return self.committee.beacon(3)

    def get(self, round_: Round) -> Beacon | None:
        if round_ > 3:
            return None
        found = self.committee.beacon(round_)
        if self.forged and round_ == 2:
            return Beacon(found.round, self.committee.beacon(1).signature, found.previous_signature)
        return found


@pytest.mark.parametrize("forged", [False, True])
def test_a_round_is_verified_again_at_request_and_the_verdict_says_what_was_signed(forged: bool):
    chain = Signed()
    chain.forged = forged
    routes = HttpRoutes()
    routes.register(chain)
    verdict = json.loads(get(routes, "/v2/beacons/default/rounds/2/check", float(GENESIS_S + 100)).body)
    assert verdict["valid"] is not forged
    assert ("error" in verdict) is forged
    found = chain.get(Round(2))
    assert found is not None
    assert (verdict["signature"], verdict["randomness"]) == (found.signature.hex(), found.randomness.hex())
    assert verdict["digest"] == chain.info().scheme.digest(2, found.previous_signature).hex()


def test_verifications_at_request_are_bounded(routes: HttpRoutes, chain: MemoryChain):
    chain.last_round = 1000
    statuses = [get(routes, f"/v2/beacons/default/rounds/{r}/check").status for r in range(1, CHECKS_A_SECOND + 3)]
    assert statuses == [200] * CHECKS_A_SECOND + [503] * 2
    assert get(routes, "/v2/beacons/default/rounds/1/check").status == 200  # remembered
