"""What Go v1.5.11 refuses, we refuse, in the same words; and each kind tells the other why."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from drand.model.packets import Metadata, Version
from drand.wire.gen import drand_pb2, protocol_pb2, public_pb2
from drand.wire.metadata import encode_metadata
from tests.support.processes import OURS, Ceremony, Network, Node, Program

CURRENT = Version(1, 5, 11)


@pytest.fixture(scope="module")
def two(go: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One node of each kind, with a key pair and no group."""
    with Network(tmp_path_factory.mktemp("refusals"), [OURS, go]) as network:
        network.start()
        yield network


@pytest.mark.parametrize("leader", ["python", "go"])
def test_a_node_with_another_secret_is_refused_by_the_leader(go: Program, leader: str, tmp_path: Path):
    with Network(tmp_path, [OURS, go] if leader == "python" else [go, OURS]) as network:
        network.start()
        first, second = network.nodes
        leading = network.lead(Ceremony(threshold=2))
        assert "shared secret is incorrect" in wrong(network, second, first)
        network.join(second, first).succeed()  # the leader went on waiting: the right secret is still welcome
        leading.succeed()


def wrong(network: Network, node: Node, leader: Node) -> str:
    """What `share` says with a secret that is not the network's."""
    other = network.folder / "other secret"
    other.write_text("another secret, which is long enough too")
    flags = ["--control", node.control, "--secret-file", str(other), "--tls-disable", "--connect", leader.private]
    return node.refuses("share", *flags)


@pytest.mark.parametrize(
    "metadata",
    [
        Metadata(Version(1, 2, 0), "default"),
        Metadata(Version(1, 3, 9), "default"),
        Metadata(Version(1, 4, 0), "default"),
        Metadata(Version(1, 6, 0), "default"),
        Metadata(Version(1, 7, 0), "default"),
        Metadata(Version(2, 0, 0), "default"),
        Metadata(Version(2, 1, 0), "default"),
        Metadata(CURRENT, "elsewhere"),
        Metadata(CURRENT, ""),
        Metadata(None, "default"),
        Metadata(CURRENT, "elsewhere", bytes(32)),
    ],
    ids=str,
)
def test_versions_and_beacon_ids_are_accepted_or_refused_alike(two: Network, metadata: Metadata):
    request = protocol_pb2.IdentityRequest(metadata=encode_metadata(metadata))
    answers = {outcome(node, "drand.Protocol/GetIdentity", request) for node in two.nodes}
    assert len(answers) == 1, answers


def test_before_its_ceremony_a_node_of_either_kind_has_no_chain(two: Network):
    metadata = encode_metadata(Metadata(CURRENT, "default"))
    questions = {
        "drand.Public/ChainInfo": drand_pb2.ChainInfoRequest(metadata=metadata),
        "drand.Public/PublicRand": public_pb2.PublicRandRequest(round=1, metadata=metadata),
        "drand.Protocol/PartialBeacon": protocol_pb2.PartialBeaconPacket(round=1, metadata=metadata),
        "drand.Protocol/BroadcastDKG": protocol_pb2.DKGPacket(metadata=metadata),
        "drand.Protocol/PushDKGInfo": protocol_pb2.DKGInfoPacket(metadata=metadata),
    }
    for method, request in questions.items():
        codes = {outcome(node, method, request)[0] for node in two.nodes}
        assert len(codes) == 1, f"{method}: {codes}"
        assert codes != {"OK"}, method
    for node in two.nodes:
        assert {node.get(path).status for path in ("/public/1", "/public/latest", "/info")} == {404}
        assert node.body("/chains").strip() == b"[]"


def outcome(node: Node, method: str, request: Message) -> tuple[str, str]:
    """The gRPC status code and text of one call; the answer itself is not looked at."""
    with grpc.insecure_channel(node.private) as channel:
        future = channel.unary_unary(f"/{method}").future(request.SerializeToString(), timeout=10)
        return future.code().name, future.details() or ""
