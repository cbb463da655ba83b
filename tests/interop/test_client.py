"""The client against real nodes: Go's v1.5.11 over HTTP and gRPC, ours over both and from its store."""

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest

from bench.contestants import GO_VARIABLE, Contestant, contestants, hold, network
from drand.cli.local_network import LocalNode
from drand.client import Client
from drand.client.errors import RoundTooEarly, WrongChain
from drand.model.chain import ChainInfo

Live = tuple[ChainInfo, LocalNode]


@pytest.fixture(scope="module", params=["ours", "go"])
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """A network of three with a round every second, and one of its nodes."""
    if request.param == "go" and not os.environ.get(GO_VARIABLE):
        pytest.skip(f"{GO_VARIABLE} does not name a Go binary")
    who: Contestant = next(one for one in contestants() if one.name == request.param)
    with network(who, 3) as made:
        group, _ = hold(made, period_s=1, genesis_in_s=1, phase_s=3)
        yield group.chain_info(), made.nodes[0]


def addresses(node: LocalNode) -> dict[str, str]:
    known = {"http": f"http://{node.public}", "grpc": f"grpc://{node.private}"}
    store = next(node.folder.rglob("drand.sqlite"), None)
    return known if store is None else known | {"store": str(store)}


@pytest.mark.parametrize("kind", ["http", "grpc", "store"])
def test_rounds_arrive_verify_and_are_read_again_in_bulk(live: Live, kind: str):
    info, node = live
    address = addresses(node).get(kind)
    if address is None:
        pytest.skip("Go keeps its beacons in another kind of file")
    with Client(info, [address]) as client, closing(client.watch(1)) as rounds:
        watched = list(islice(rounds, 4))
        assert [one.round for one in watched] == [1, 2, 3, 4]
        assert list(client.rounds(1, 4)) == watched
        assert client.latest().round >= 4
        with pytest.raises(RoundTooEarly):
            client.get(10**6)


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_the_chain_hash_alone_is_enough(live: Live, kind: str):
    info, node = live
    with (
        Client(info.hash().hex(), [addresses(node)[kind]]) as client,
        closing(Client(info, [addresses(node)[kind]])) as told,
    ):
        assert next(told.watch(1)).round == 1
        assert client.info() == info
        assert client.get(1).chain_hash == info.hash()


def test_a_store_of_another_chain_is_named(live: Live):
    _, node = live
    if "store" not in addresses(node):
        pytest.skip("Go keeps its beacons in another kind of file")
    with Client("quicknet", [addresses(node)["store"]]) as client, pytest.raises(WrongChain):
        client.latest()
