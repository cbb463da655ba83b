"""A stranger forges bundles over a real socket while a key is made, and a member behind the same address is heard."""

import logging
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from drand.daemon.daemon import Daemon
from drand.daemon.folders import BeaconFolder
from drand.model.bundles import Response, ResponseBundle
from drand.model.group import NANOSECONDS, Group, Peer, indexed
from drand.model.packets import DkgPacket, Metadata
from drand.model.records import CeremonyStarted
from drand.model.schemes import scheme_named
from drand.net.peer_client import PeerClient, encode
from drand.protocol.transition import fresh_terms
from drand.store.sqlite import open_store
from drand.vault.folder import VaultFolder, make_key_pair
from tests.support.daemons import UNCHAINED, make_keys, settings
from tests.support.dkg_vault import PlainVault
from tests.support.entropy import SeededEntropy
from tests.support.ports import free_port
from tests.support.served import FixedClock

DEFAULT = Metadata(beacon_id="default")
FORGERIES = 300
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]  # channels of one process share connections by default
BURST = 40  # of one network, as in drand.protocol.forgeries; the clock stands, so that nothing comes back
NOW = 1_700_000_000


async def test_forged_bundles_are_bounded_and_a_member_behind_the_same_address_is_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    scheme = scheme_named(UNCHAINED)
    make_keys(tmp_path)
    folder = BeaconFolder(tmp_path, "default")
    keys = [
        make_key_pair(f"127.0.0.1:{free_port()}", tls=False, scheme=scheme, entropy=SeededEntropy(seed))
        for seed in (1, 2)
    ]
    group = Group(
        nodes=indexed([VaultFolder(folder.root).load_key_pair().identity, *(pair.identity for pair in keys)]),
        threshold=2,
        period_ns=NANOSECONDS,
        catchup_period_ns=0,
        genesis_unix_s=NOW + 1000,
        genesis_seed=b"",
        scheme=scheme,
        beacon_id="default",
    ).with_seed()
    terms = fresh_terms(group)
    first, second = (PlainVault(scheme, pair.secret, SeededEntropy(seed)) for seed, pair in enumerate(keys))
    deal, other_deal = first.deal(terms), second.deal(terms)
    assert deal is not None
    assert other_deal is not None
    response = first.signed(ResponseBundle(deal.dealer_index, (Response(deal.dealer_index, True),), terms.session_id))
    store = open_store(folder.store, chained=False)
    store.persist(CeremonyStarted(group=group, phase_s=100, leader=False, started_unix_s=NOW))
    store.close()

    daemon = Daemon(settings(tmp_path), clock=FixedClock(NOW))
    member = PeerClient()
    try:
        await daemon.start()
        assert daemon.peer_address is not None
        shell, peer = daemon.shell("default"), Peer(str(daemon.peer_address), tls=False)
        await member.send(peer, DkgPacket(deal), DEFAULT)

        async with grpc.aio.insecure_channel(peer.address, OWN_CONNECTION) as stranger:
            send = stranger.unary_unary("/drand.Protocol/BroadcastDKG")
            calls = []
            for number in range(FORGERIES):
                forged = replace(other_deal, signature=deal.signature[:-4] + number.to_bytes(4, "big"))
                calls.append(send(encode(DkgPacket(forged), DEFAULT).payload))
            answers = [await call.details() for call in calls]
            assert sum("does not verify" in answer for answer in answers) == BURST
            assert sum("too many bundles" in answer for answer in answers) == FORGERIES - BURST
            assert "too many bundles" in await send(encode(DkgPacket(other_deal), DEFAULT).payload).details()

        for bundle in (response, other_deal, deal):  # the last one is a copy
            await member.send(peer, DkgPacket(bundle), DEFAULT)
        shell.on_minute()
        lines = [record for record in caplog.records if "forged bundles were refused" in record.getMessage()]
        assert len(lines) == 1
        assert len(caplog.records) < 60, "one line for each forgery would fill a disk"
    finally:
        await member.close()
        await daemon.stop()
