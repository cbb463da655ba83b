"""How simulated nodes reach each other: bytes of the production wire over links that lose, delay and double.

Messages that nobody acknowledges (partials, bundles) are lost for good when a link loses them. Calls and streams have
answers, so they are sent again a few times, as a transport below them would, and arrive once.
"""

from collections.abc import Callable

from collective.sim.network import Network
from collective.sim.world import World
from drand.model.packets import (
    OUR_VERSION,
    Answer,
    DkgPacket,
    GroupPush,
    Message,
    Metadata,
    PartialPacket,
    SignalPacket,
)
from drand.model.schemes import Scheme
from drand.wire.bundles import decode_dkg_packet, encode_dkg_packet
from drand.wire.identities import encode_identity
from drand.wire.packets import (
    decode_partial,
    decode_signal,
    encode_group_push,
    encode_partial,
    encode_signal,
)

TRIES = 6  # how often a message with an answer is sent before the connection counts as broken
RETRY_S = 0.4  # between two tries


class Links:
    """The world's network, and which messages are worth a second try."""

    def __init__(self, world: World, network: Network, *, ordered: bool) -> None:
        """`ordered`: what one node sends to another does not overtake what it sent before, as on one connection."""
        self._world = world
        self._ordered = ordered
        self._last_s: dict[tuple[str, str], float] = {}
        self.network = network

    def once(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        """Send; it may arrive once, twice or not at all."""
        if not self._ordered:
            self.network.carry(source, target, deliver)
            return
        self.network.sent += 1
        if not self.network.passes(source, target):
            self.network.lost += 1
            return
        arrival_s = max(self._last_s.get((source, target), 0.0), self._world.now + self.network.delay_s())
        self._last_s[source, target] = arrival_s
        self._world.at(arrival_s, deliver)

    def surely(self, source: str, target: str, deliver: Callable[[], None], *, not_before_s: float = 0.0) -> float:
        """Send until it arrives, once; returns when that is (true time), or infinity when the connection breaks."""
        for tries in range(TRIES):
            if self.network.passes(source, target):
                arrival_s = max(not_before_s, self._world.now + tries * RETRY_S + self.network.delay_s())
                self._world.at(arrival_s, deliver)
                return arrival_s
        return float("inf")


def encoded(message: Message, beacon_id: str) -> bytes:
    """The bytes that `message` has on the wire."""
    metadata = Metadata(OUR_VERSION, beacon_id)
    match message:
        case PartialPacket():
            return encode_partial(message, metadata).SerializeToString()
        case DkgPacket():
            return encode_dkg_packet(message, metadata).SerializeToString()
        case SignalPacket():
            return encode_signal(message, metadata).SerializeToString()
        case GroupPush():
            return encode_group_push(message, metadata).SerializeToString()


def decoded(message: Message, data: bytes, scheme: Scheme) -> Message:
    """What a peer makes of the bytes of `message`; raises Malformed.

    A group is handed over as it is: the wire knows no toy scheme, and groups over real ones have vectors of their own.
    """
    match message:
        case PartialPacket():
            return decode_partial(data)
        case DkgPacket():
            return decode_dkg_packet(data, scheme)
        case SignalPacket():
            return decode_signal(data, scheme)
        case GroupPush():
            return message


def encoded_answer(answer: Answer) -> bytes:
    """The bytes of an answer."""
    return b"" if answer is None else encode_identity(answer).SerializeToString()
