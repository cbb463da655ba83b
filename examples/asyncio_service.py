"""A service that answers HTTP requests with dice, each roll tied to a round that the caller can check.

It watches a chain in the background and rolls with the newest round. Here the chain is a stub on loopback with five
rounds of a key made on the spot; with `AsyncClient("quicknet")` the rest stays the same.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from aiohttp import ClientSession, web

from collective.entropy import SystemEntropy, random_scalar
from collective.secret import SecretScalar
from drand.client import AsyncClient, VerifiedBeacon
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import scheme_named
from drand.wire.http_json import beacon_json, chain_info_json


class Dice:
    """What the service knows: the newest round."""

    def __init__(self) -> None:
        self.newest: VerifiedBeacon | None = None
        self.ready = asyncio.Event()

    async def follow(self, client: AsyncClient) -> None:
        async with aclosing(client.watch(1)) as rounds:
            async for beacon in rounds:
                self.newest = beacon
                self.ready.set()

    async def roll(self, request: web.Request) -> web.Response:
        await self.ready.wait()
        assert self.newest is not None
        player = request.query.get("player", "")
        return web.json_response(
            {"round": self.newest.round, "die": 1 + self.newest.randbelow(6, purpose=f"dice/{player}")}
        )


@asynccontextmanager
async def listening(handler: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(handler)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def stub() -> tuple[ChainInfo, web.Application]:
    """A chain that began five periods ago, and a server of it."""
    scheme = scheme_named("bls-unchained-g1-rfc9380")
    secret = SecretScalar(random_scalar(SystemEntropy(), scheme.key_group.order))
    info = ChainInfo(
        public_key=scheme.key_group.encode(scheme.bls.public_key(secret)),
        period_s=3600,
        genesis_unix_s=int(time.time()) - 4 * 3600 - 60,
        genesis_seed=bytes(32),
        scheme=scheme,
        beacon_id="example",
    )

    async def serve(request: web.Request) -> web.Response:
        asked = request.path.rsplit("/", 1)[1]
        if asked == "info":
            return web.Response(body=chain_info_json(info), content_type="application/json")
        round_ = 5 if asked == "latest" else int(asked)
        if round_ > 5:
            raise web.HTTPNotFound
        signature = scheme.bls.sign(secret, scheme.digest(round_, b""))
        return web.Response(body=beacon_json(Beacon(Round(round_), signature)), content_type="application/json")

    app = web.Application()
    for path in ("info", "public/latest", "public/{round:[0-9]+}"):
        app.router.add_get(f"/{info.hash().hex()}/{path}", serve)
    return info, app


async def main() -> None:
    info, chain_server = stub()
    dice = Dice()
    service = web.Application()
    service.router.add_get("/roll", dice.roll)
    async with (
        listening(chain_server) as chain_url,
        AsyncClient(info, [chain_url]) as client,
        listening(service) as url,
        ClientSession() as caller,
    ):
        following = asyncio.create_task(dice.follow(client))
        for player in ("Ada", "Bob"):
            async with caller.get(f"{url}/roll", params={"player": player}) as response:
                said = await response.json()
            print(f"{player} rolls a {said['die']} with round {said['round']}")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
