"""One beacon machine by itself; the test is the network, the vault and the clock."""

from collective.machine import Due
from drand.model.packets import PartialPacket
from drand.model.vault_messages import PartialSigned, SignPartial, VaultRefused
from drand.protocol.beacon_node import BeaconNode
from drand.protocol.steps import (
    AskVault,
    Effect,
    Ids,
    Received,
    VaultReplied,
)
from tests.support.committee import GENESIS_S, Committee
from tests.support.stage import words

COMMITTEE = Committee(size=4, threshold=3)


class Alone:
    """Node 0 by itself; the test is the network, the vault and the clock."""

    def __init__(self, committee: Committee = COMMITTEE, head: int | None = 0, now: float = GENESIS_S - 5) -> None:
        self.committee = committee
        last = None if head is None else committee.beacon(head)
        self.node = BeaconNode(committee.epoch(0), committee.peer(0), last, Ids())
        self.asked: list[SignPartial] = []
        self.stream = 0
        self.check = 0
        self.began = self.noticed(self.node.start(now))

    def noticed(self, effects: list[Effect]) -> list[str]:
        for effect in effects:
            if isinstance(effect, AskVault) and isinstance(effect.request, SignPartial):
                self.asked.append(effect.request)
            self.stream = getattr(effect, "call_id", self.stream)
            self.check = getattr(effect, "check_id", self.check)
        return words(effects)

    def due(self, alarm: str, now: float) -> list[str]:
        return self.noticed(self.node.handle(Due(alarm), now))

    def tick(self, round_: int) -> list[str]:
        return self.due("round", self.committee.due(round_))

    def hear(self, packet: PartialPacket, now: float) -> list[str]:
        return self.noticed(self.node.handle(Received("10.0.0.9", packet), now))

    def signed(self, now: float, index: int = 0) -> list[str]:
        """The vault answers the last request."""
        asked = self.asked[-1]
        packet = self.committee.partial(index, asked.round, asked.previous_signature)
        reply = PartialSigned(asked.request_id, asked.round, asked.previous_signature, packet.partial)
        return self.noticed(self.node.handle(VaultReplied(reply), now))

    def refused(self, now: float, retry: bool) -> list[str]:
        reply = VaultRefused(self.asked[-1].request_id, "out of contact", retry)
        return self.noticed(self.node.handle(VaultReplied(reply), now))
