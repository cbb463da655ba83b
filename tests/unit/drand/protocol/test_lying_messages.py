"""Messages whose fields hold what nobody sends are refused, at every stage of a node's life, and all goes on.

From bytes through the decoders of the wire into the machine of a node, as the peer port does it. Seeds are fixed, so a
failure is repeated by its name.
"""

from collections.abc import Callable
from random import Random

import pytest
from google.protobuf.message import Message as Protobuf

from collective.errors import CollectiveError
from drand.model.packets import DkgPacket, GroupPush, Message, Metadata, Origin, PartialPacket, SignalPacket
from drand.model.records import Phase
from drand.model.schemes import scheme_named
from drand.protocol.ceremony_view import State
from drand.protocol.steps import Call, Received, Send
from drand.wire.bundles import decode_dkg_packet, encode_dkg_packet
from drand.wire.metadata import metadata_of
from drand.wire.packets import (
    decode_group_push,
    decode_partial,
    decode_signal,
    encode_group_push,
    encode_partial,
    encode_signal,
)
from tests.support.network import Network
from tests.support.protobuf_damage import damaged_message

SCHEME = scheme_named("bls-unchained-g1-rfc9380")
SIZE, THRESHOLD = 3, 2
EACH = 150  # lies of each kind of message
STAGES: dict[str, Callable[[Network], bool]] = {
    "collecting": lambda network: network.nodes[0].state is State.LEADING,
    "joining": lambda network: network.nodes[1].state is State.JOINING,
    "dealing": lambda network: network.states() == [State.GENERATING] * SIZE,
    "responding": lambda network: network.nodes[0].ceremony.phase is Phase.RESPONDING,
    "running": lambda network: all(network.rounds(number) >= 2 for number in range(SIZE)),
}


def encoded(message: Message) -> Protobuf:
    """The message as its call carries it."""
    metadata = Metadata(beacon_id="default")
    match message:
        case PartialPacket():
            return encode_partial(message, metadata)
        case DkgPacket():
            return encode_dkg_packet(message, metadata)
        case SignalPacket():
            return encode_signal(message, metadata)
        case GroupPush():
            return encode_group_push(message, metadata)


def decoded(kind: type, data: bytes) -> Message:
    """What the peer port makes of the bytes; raises Malformed."""
    if kind is PartialPacket:
        return decode_partial(data)
    if kind is DkgPacket:
        return decode_dkg_packet(data, SCHEME)
    return decode_signal(data, SCHEME) if kind is SignalPacket else decode_group_push(data, SCHEME)


def spoken(network: Network) -> dict[type, list[Message]]:
    """The messages that the nodes have sent, by kind."""
    said: dict[type, list[Message]] = {PartialPacket: [], DkgPacket: [], SignalPacket: [], GroupPush: []}
    for _, effect in network.log:
        message = effect.message if isinstance(effect, Send) else effect.question if isinstance(effect, Call) else None
        if type(message) in said:
            said[type(message)].append(message)  # type: ignore[arg-type,index]
    return said


def at_stage(stage: str) -> Network:
    """A ceremony of three that has come so far."""
    network = Network(SIZE, scheme=SCHEME)
    network.ceremony(threshold=THRESHOLD)
    network.run_until(lambda: STAGES[stage](network), 60)
    assert STAGES[stage](network)
    return network


@pytest.fixture(scope="module")
def everything_said() -> dict[type, list[Message]]:
    """Honest messages of every kind, out of a ceremony that went on to make rounds."""
    said = spoken(at_stage("running"))
    assert all(said.values())
    return said


@pytest.mark.parametrize("stage", STAGES)
def test_lies_are_refused_and_the_ceremony_goes_on(stage: str, everything_said: dict[type, list[Message]]):
    random = Random(f"lies while {stage}")
    network = at_stage(stage)
    said = spoken(network)
    for kind, others in everything_said.items():
        templates = [encoded(message) for message in (said[kind] or others)[:12]]
        for _ in range(EACH):
            template = random.choice(templates)
            data = damaged_message(template, random)
            number = random.randrange(SIZE)
            try:
                metadata_of(type(template).FromString(data))  # type: ignore[arg-type]
                lie = decoded(kind, data)
                network.step(number, Received("10.9.9.9:1", lie, Origin("10.9.9.9", "10.9.9.9:1")))
            except CollectiveError as error:
                assert str(error)  # noqa: PT017  # refused in words; any other exception fails the test
    if stage in ("collecting", "joining"):
        return  # the liar knows the secret here, and v1.5 signs neither addresses nor TLS flags: SECURITY.md
    rounds = network.rounds(0)
    network.run_until(lambda: all(network.rounds(number) > max(rounds, 2) for number in range(SIZE)), 120)
    assert all(network.rounds(number) > max(rounds, 2) for number in range(SIZE))
    assert len({network.disks[number].beacons[2] for number in range(SIZE)}) == 1
