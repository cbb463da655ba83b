"""Sources that users write themselves: what they say is believed no more than what a server says."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from drand.client import errors
from drand.client.async_client import AsyncClient
from drand.model.chain import Beacon, ChainInfo, Round
from tests.support.http_chain import ROUNDS, FakeClock, chain, committee
from tests.support.http_clients import ROUND


@dataclass
class Shifted:
    """A source that gives valid rounds, but each as many below the one asked for as it was told."""

    shift: int = 0
    name: str = "shifted"
    clock_ahead_s: float | None = None

    async def info(self, chain_hash: bytes) -> ChainInfo:
        return chain()

    async def beacon(self, chain: ChainInfo, round_: Round | None) -> Beacon:
        return committee().beacon((round_ or ROUNDS) - self.shift)

    async def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        yield list(committee().beacons(first - self.shift, last - self.shift))

    def events(self, chain: ChainInfo) -> None:
        return None

    async def close(self) -> None:
        return None


async def test_a_valid_beacon_of_another_round_is_a_lie_and_is_not_kept():
    async with AsyncClient(chain(), [Shifted(1)], clock=FakeClock()) as client:
        with pytest.raises(errors.WrongRound, match="shifted: answered with round 6, asked for 7"):
            await client.get(ROUND)
        with pytest.raises(errors.WrongRound):
            _ = [beacon async for beacon in client.rounds(ROUND, ROUND + 2)]
        assert client.health()["shifted"].lies == 2


async def test_another_source_is_asked_when_one_gives_another_round():
    async with AsyncClient(chain(), [Shifted(1), Shifted(0, "honest")], clock=FakeClock()) as client:
        found = await client.get(ROUND)
        assert (found.round, found.provenance.source) == (ROUND, "honest")


@pytest.mark.parametrize("asked", [bytes(32), "0" * 64], ids=["bytes", "text"])
async def test_the_information_of_another_chain_is_a_lie(asked: str | bytes):
    async with AsyncClient(asked, [Shifted()], clock=FakeClock()) as client:
        with pytest.raises(errors.WrongChain, match=f"shifted: gave the information of chain {chain().hash().hex()}"):
            await client.get(ROUND)
