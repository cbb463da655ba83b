"""A stranger forges partials over a real socket, at full speed, and a member behind the same address is heard."""

import logging
from pathlib import Path

import grpc
import pytest

from collective.sharing.threshold import PartialSignature
from drand.daemon.daemon import Daemon
from drand.model.chain import Beacon, Round
from drand.model.group import Peer
from drand.model.packets import Metadata, PartialPacket
from drand.net.peer_client import PeerClient, encode
from tests.support.daemons import Planted, beacon_of, settings
from tests.support.served import FixedClock

DEFAULT = Metadata(beacon_id="default")
FORGERIES = 300
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]  # channels of one process share connections by default
BURST = 20  # of one network, as in drand.protocol.forgeries; the clock stands, so that nothing comes back


def partial(planted: Planted, index: int, head: Beacon, rubbish: int | None = None) -> PartialPacket:
    """A member's partial after `head`, or somebody's signature of something else."""
    scheme = planted.scheme
    round_ = Round(head.round + 1)
    message = scheme.digest(round_, head.signature) if rubbish is None else b"rubbish %d" % rubbish
    signature = scheme.bls.sign(planted.secret.evaluate(index), message)
    return PartialPacket(round_, head.signature, PartialSignature(index, signature).encode())


async def test_forgeries_are_bounded_and_a_member_behind_the_same_address_is_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    planted = Planted(tmp_path, size=3, threshold=2)
    own = planted.order.index(0)
    honest, other = (index for index in range(3) if index != own)
    daemon = Daemon(settings(planted.node(0)), clock=FixedClock(planted.group.genesis_unix_s + 5.5))
    member = PeerClient()
    try:
        await daemon.start()
        assert daemon.peer_address is not None
        shell, peer = daemon.shell("default"), Peer(str(daemon.peer_address), tls=False)
        assert shell.head is not None
        await member.send(peer, partial(planted, honest, shell.head), DEFAULT)
        first = await beacon_of(shell, 1)

        async with grpc.aio.insecure_channel(peer.address, OWN_CONNECTION) as stranger:
            send = stranger.unary_unary("/drand.Protocol/PartialBeacon")
            forged = [partial(planted, (honest, other)[number % 2], first, number) for number in range(FORGERIES)]
            calls = [send(encode(packet, DEFAULT).payload) for packet in forged]
            answers = [await call.details() for call in calls]
        assert sum("does not verify" in answer for answer in answers) == BURST
        assert sum("too many partials" in answer for answer in answers) >= FORGERIES - BURST - 4

        await member.send(peer, partial(planted, honest, first), DEFAULT)
        assert (await beacon_of(shell, 2)).round == 2
        shell.on_minute()
        lines = [record for record in caplog.records if "forged partials were refused" in record.getMessage()]
        assert len(lines) == 1
        assert len(caplog.records) < 40, "one line for each forgery would fill a disk"
    finally:
        await member.close()
        await daemon.stop()
