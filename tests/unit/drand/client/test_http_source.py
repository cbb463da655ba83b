"""One HTTP server as a source, and what is sent to it."""

import pytest
from aiohttp import web

from drand.client.errors import MalformedAnswer, RoundMissing
from drand.client.http_source import HttpSource
from drand.model.chain import Round
from tests.support.http_chain import ROUNDS, Relay, chain, serving


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
