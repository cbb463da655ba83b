"""Which chains a relay finds at its upstreams when none is named."""

import errno
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from collective.clock import SystemClock
from collective.errors import BadSetting
from drand.errors import EXIT_FAILURE, UnknownBeacon
from drand.model.chain import ChainInfo
from drand.model.packets import OUR_VERSION, Metadata
from drand.net.addresses import HostPort
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.peer_server import PeerServer
from drand.relay import discovery
from drand.relay.discovery import listed, named_chain
from drand.wire.gen import control_pb2, drand_pb2
from drand.wire.groups import encode_chain_info
from tests.support.command_line import drand
from tests.support.living_chain import LivingChain
from tests.support.relaying import next_round, relaying, upstream
from tests.support.served import INFO, ToldNode

QUICK = replace(INFO, beacon_id="quicknet", genesis_seed=b"q" * 32)
OTHER = replace(INFO, beacon_id="of its own", genesis_seed=b"o" * 32)
CHAINS = {info.beacon_id: info for info in (INFO, QUICK, OTHER)}


class ManyChains(ToldNode):
    """A v1.5 node: it answers for each of its beacon ids, and lists none."""

    async def chain_info(self, metadata: Metadata) -> ChainInfo:
        if metadata.beacon_id not in CHAINS:
            raise UnknownBeacon(metadata.beacon_id)
        return CHAINS[metadata.beacon_id]

    def reply_metadata(self, metadata: Metadata) -> Metadata:
        return about(metadata.beacon_id)


def about(beacon_id: str) -> Metadata:
    """What a node says beside its answer about a chain."""
    return Metadata(OUR_VERSION, beacon_id, CHAINS[beacon_id].hash())


async def test_of_a_v1_node_the_default_chain_and_those_with_known_names_are_found():
    server = PeerServer(ManyChains())
    address = await server.start(HostPort("127.0.0.1", 0))
    assert await listed([f"grpc://{address}"]) == [INFO.hash(), QUICK.hash()]
    await server.stop(0)


Call = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]


@asynccontextmanager
async def v2_node(ids: tuple[str, ...]) -> AsyncIterator[str]:
    """The two calls of a v2 node that matter here."""

    async def list_ids(request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        assert request == b""
        return control_pb2.ListBeaconIDsResponse(ids=ids).SerializeToString()

    async def chain_info(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        wanted = drand_pb2.ChainInfoRequest.FromString(request).metadata.beaconID
        if wanted not in CHAINS:
            await context.abort(grpc.StatusCode.UNKNOWN, "no such beacon")
        return encode_chain_info(CHAINS[wanted], about(wanted)).SerializeToString()

    calls = {"ListBeaconIDs": list_ids, "ChainInfo": chain_info}
    server = grpc.aio.server()
    handlers = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("drand.Public", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"grpc://127.0.0.1:{port}"
    await server.stop(0)


async def test_of_a_v2_node_all_listed_chains_are_found():
    async with v2_node(("default", "of its own", "not begun")) as address:
        assert await listed([address]) == [INFO.hash(), OTHER.hash()]


async def test_a_list_without_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(discovery, "MAX_CHAINS", 1)
    async with v2_node(("default", "quicknet")) as address:
        with pytest.raises(BadSetting, match="2 chains"):
            await listed([address])


def test_a_chain_file_that_is_none_is_named_with_what_to_give_instead(tmp_path: Path):
    path = tmp_path / "group.toml"
    path.write_bytes(b"Threshold = 2\n")
    ended = drand("relay", "export", "--url", "http://127.0.0.1:1", "--chain", path, "--out", tmp_path / "out")
    assert (ended.code, ended.hints) == (EXIT_FAILURE, True)
    assert f"{path}: chain information" in ended.err
    assert "what /info answers" in ended.err


def test_a_chain_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, _mode: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    path = tmp_path / "chain.json"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)  # whoever runs tests as root may read everything
    with pytest.raises(BadSetting, match=f"cannot read {path}: Permission denied"):
        named_chain(str(path))


PASSWORDS = ("secret", "se@cret", "s:e@c@ret")


@pytest.mark.parametrize("password", PASSWORDS)
async def test_the_password_of_an_upstream_is_in_no_line_of_the_log(password: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with upstream(LivingChain()) as url:
        secret = url.replace("http://", f"http://user:{password}@")
        gone = f"http://user:{password}@127.0.0.1:9"
        async with relaying(secret, gone) as (relay, client):
            assert await next_round(client)
            assert secret in relay.settings.sources
    assert f"{url} has chains" in caplog.text
    assert "http://127.0.0.1:9 does not say which chains it has" in caplog.text
    assert "cret@" not in caplog.text
    assert "user:" not in caplog.text


@pytest.mark.parametrize("address", ["http://user:se/cret@x", "http://user:se@cret@:8080", "http://user:cret@x:99999"])
async def test_the_password_of_an_upstream_that_cannot_be_is_in_no_line_of_the_log(
    address: str, caplog: pytest.LogCaptureFixture
):
    assert await listed([address]) == []
    assert "does not say which chains it has" in caplog.text
    assert "cret@" not in caplog.text
    assert "user" not in caplog.text


async def test_a_chain_that_is_listed_and_cannot_be_read_does_not_keep_the_others_from_being_served(
    caplog: pytest.LogCaptureFixture,
):
    good, bad = LivingChain(), LivingChain(beacon_id="bad")
    routes = HttpRoutes()
    routes.register(good, default=True)
    routes.register(bad)
    first, second = sorted(routes.chains, key=lambda chain: chain.backend is bad)
    second.info, second.info_body = first.info, first.info_body  # of another hash than that which is asked for
    server = HttpServer(routes, SystemClock())
    address = await server.start(HostPort("127.0.0.1", 0))
    async with relaying(f"http://{address}") as (_, client), client.get("/chains") as answer:
        assert await answer.json() == [good.info().hash().hex()]
    await server.stop()
    assert f"chain {bad.info().hash().hex()} is not served" in caplog.text
