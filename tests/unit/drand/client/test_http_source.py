"""One HTTP server as a source, and what is sent to it."""

import pytest
from aiohttp import web

from collective.errors import BadSetting
from drand.client.errors import MalformedAnswer, RoundMissing
from drand.client.http_source import HttpSource, without_credentials
from drand.client.sources import open_source
from drand.model.chain import Round
from tests.support.http_chain import ROUNDS, Relay, chain, serving


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://relay.example", "https://relay.example"),
        ("https://relay.example:443/a@b", "https://relay.example:443/a@b"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("https://user:word@relay.example/v2", "https://relay.example/v2"),
        ("https://user:p@ss@relay.example/a@b", "https://relay.example/a@b"),
        ("https://user:p/ss@relay.example", "https://relay.example"),
        ("https://user:p#s?s@relay.example", "https://relay.example"),
        ("user:p@ss@relay.example", "relay.example"),
    ],
)
def test_an_address_is_shown_without_what_stands_before_the_last_at_of_its_authority(address: str, shown: str):
    assert without_credentials(address) == shown


@pytest.mark.parametrize(
    "address", ["https://u:p/cret@x", "https://u:p#cret@x", "https://u:cret@x:99999", "htps://u:cret@x"]
)
def test_what_is_said_of_an_address_that_cannot_be_repeats_no_password(address: str):
    with pytest.raises(BadSetting) as refused:
        open_source(address, timeout_s=1.0)
    assert "cret" not in str(refused.value) + refused.value.advice


@pytest.mark.parametrize(("headers", "refused"), [({"X-Token": "secret"}, MalformedAnswer), (None, RoundMissing)])
async def test_no_redirect_takes_headers_of_ones_own_to_somebody_else(
    headers: dict[str, str] | None, refused: type[Exception]
):
    seen: list[str | None] = []

    async def noted(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("X-Token"))
        return web.Response(status=404)

    async with serving(Relay(override={"*": noted})) as (elsewhere,):

        async def away(request: web.Request) -> web.StreamResponse:
            seen.append(request.headers.get("X-Token"))
            raise web.HTTPFound(elsewhere + request.path)

        async with serving(Relay(override={"7": away})) as (url,):
            source = HttpSource(url, api="v1", headers=headers)
            with pytest.raises(refused):
                await source.beacon(chain(), Round(7))
            await source.close()
    assert seen == (["secret"] if headers else [None, None]), "with headers only the server that was named is asked"


async def test_a_server_that_changes_its_api_is_found_out_again():
    relay = Relay(apis=("v2",))
    async with serving(relay) as (url,):
        source = HttpSource(url)
        assert (await source.beacon(chain(), None)).round == ROUNDS
        relay.apis = ("v1",)
        with pytest.raises(RoundMissing):
            await source.beacon(chain(), None)
        assert (await source.beacon(chain(), None)).round == ROUNDS
        await source.close()
