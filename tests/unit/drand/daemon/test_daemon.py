import asyncio
from pathlib import Path

from drand.model.verification import ChainVerifier
from tests.support.daemons import beacon_of, network


async def test_two_daemons_generate_a_key_and_make_rounds_that_verify(tmp_path: Path):
    async with network(tmp_path) as net:
        first, second = net.shells
        assert first.group() == second.group() == net.group
        beacons = await asyncio.gather(beacon_of(first, 2), beacon_of(second, 2))
        assert beacons[0] == beacons[1]
        ChainVerifier(net.group.scheme, net.group.public_key[0]).check(beacons[0])
