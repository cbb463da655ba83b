"""The checks are checked: each bug is planted into otherwise correct nodes, and has to be found within a few seeds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from collective.machine import Persist
from collective.sharing.threshold import PartialSignature
from collective.sim.world import SafetyViolated
from drand.model.group import Peer
from drand.model.packets import DkgPacket, PartialPacket
from drand.model.records import BeaconStored
from drand.model.vault_messages import PartialSigned, SignPartial, VaultReply, VaultRequest
from drand.protocol.node import BeaconProcess
from drand.protocol.steps import Effect, Event, Publish, Received, Send
from drand.sim.checks import scalar_bytes, state_of
from drand.sim.drand_world import DrandWorld
from drand.sim.node import SimulatedNode
from drand.sim.scenario import Lie, Scenario, scenario_of
from drand.sim.toy_schemes import toy_scheme

SEEDS = 10
QUIET = Scenario(nodes=4, threshold=3, scheme=toy_scheme(chained=True), rounds=20, calm_rounds=6)


def with_process(process: type[BeaconProcess]) -> type[SimulatedNode]:
    return type("Planted", (SimulatedNode,), {"process_type": process})


def found(node_type: type[SimulatedNode], scenario: Callable[[int], Scenario] = lambda seed: QUIET) -> SafetyViolated:
    """What the checks say about the first of a few seeds in which they say anything."""
    for seed in range(SEEDS):
        try:
            DrandWorld(seed, scenario(seed), node_type=node_type).run()
        except SafetyViolated as error:
            return error
    pytest.fail(f"{SEEDS} seeds did not show the bug")


class EchoesBeforePersisting(BeaconProcess):
    def handle(self, event: Event, now: float) -> list[Effect]:
        effects = super().handle(event, now)
        sends = [effect for effect in effects if isinstance(effect, Send) and isinstance(effect.message, DkgPacket)]
        return sends + [effect for effect in effects if effect not in sends]


class PublishesBeforePersisting(BeaconProcess):
    def handle(self, event: Event, now: float) -> list[Effect]:
        effects = super().handle(event, now)
        published = [effect for effect in effects if isinstance(effect, Publish)]
        return published + [effect for effect in effects if effect not in published]


class NeverPersistsBundles(BeaconProcess):
    def handle(self, event: Event, now: float) -> list[Effect]:
        return [
            effect
            for effect in super().handle(event, now)
            if not (isinstance(effect, Persist) and type(effect.record).__name__ == "BundleKept")
        ]


class SkipsARound(BeaconProcess):
    def handle(self, event: Event, now: float) -> list[Effect]:
        return [
            effect
            for effect in super().handle(event, now)
            if not (isinstance(effect, Persist | Publish) and self._is_round_seven(effect))
        ]

    @staticmethod
    def _is_round_seven(effect: Persist | Publish) -> bool:
        if isinstance(effect, Publish):
            return effect.beacon.round == 7
        return isinstance(effect.record, BeaconStored) and effect.record.beacon.round == 7


class _Credulous:
    """A signature scheme that believes everything."""

    def __init__(self, bls: object) -> None:
        self._bls = bls

    def __getattr__(self, name: str) -> object:
        return getattr(self._bls, name)

    def holds(self, *_: object) -> bool:
        return True


class AggregatesWithoutVerifying(BeaconProcess):
    def handle(self, event: Event, now: float) -> list[Effect]:
        if self.running is not None and not isinstance(self.running._aggregation._bls, _Credulous):
            self.running._aggregation._bls = _Credulous(self.running._aggregation._bls)
        return super().handle(event, now)


class SignsOnItsOwn(SimulatedNode):
    """Signs a second message of every round, past the vault."""

    def _send(self, peers: tuple[Peer, ...], message: PartialPacket | DkgPacket) -> None:
        super()._send(peers, message)
        if isinstance(message, PartialPacket):
            share = state_of(self).epochs[-1].share
            other = bytes(len(message.previous_signature))
            scheme = self.around.scheme
            signature = scheme.bls.sign(share, scheme.digest(message.round, other))
            index = PartialSignature.decode(message.partial, scheme.signature_bytes).index
            super()._send(peers, PartialPacket(message.round, other, PartialSignature(index, signature).encode()))


class VaultForgets(SimulatedNode):
    """Its vault signs without writing down what, as one that answers before its file is replaced."""

    def _answer(self, request: VaultRequest) -> VaultReply:
        if not isinstance(request, SignPartial):
            return super()._answer(request)
        share = self.vault._state.epochs[-1]
        digest = self.around.scheme.digest(request.round, request.previous_signature)
        partial = PartialSignature(share.index, self.around.scheme.bls.sign(share.share, digest)).encode()
        reply = PartialSigned(request.request_id, request.round, request.previous_signature, partial)
        self.around.checks.vault_answered(self, request, reply)
        return reply


class SignsEarly(SimulatedNode):
    """A vault without a clock."""

    def _answer(self, request: VaultRequest) -> VaultReply:
        if isinstance(request, SignPartial):
            self.around.checks.vault_answered(
                self, request, PartialSigned(request.request_id, request.round + 1, request.previous_signature, b"")
            )
        return super()._answer(request)


class LeaksItsKey(SimulatedNode):
    """Puts its long-term key into a field that nobody looks at."""

    def _send(self, peers: tuple[Peer, ...], message: PartialPacket | DkgPacket) -> None:
        if isinstance(message, PartialPacket):
            key = scalar_bytes(self.keys.secret, self.around.scheme.key_group.order)
            message = replace(message, previous_signature=message.previous_signature[:-1] + key)
        super()._send(peers, message)


class DeafToOneNode(BeaconProcess):
    """Drops what node 0 says in the key generation."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        if isinstance(event, Received) and isinstance(event.message, DkgPacket) and event.message.bundle.author == 0:
            return []
        return super().handle(event, now)


@pytest.mark.parametrize(
    ("process", "says"),
    [
        (EchoesBeforePersisting, "that is not on its disk"),
        (NeverPersistsBundles, "that is not on its disk"),
        (PublishesBeforePersisting, "publishes round"),
        (SkipsARound, "stores round 8 after round 6"),
    ],
)
def test_a_machine_in_the_wrong_order_is_found(process: type[BeaconProcess], says: str):
    assert says in str(found(with_process(process)))


def test_aggregation_without_verification_is_found_once_somebody_signs_wrongly():
    planted = with_process(AggregatesWithoutVerifying)
    error = found(planted, lambda seed: replace(QUIET, lie=Lie.WRONG_PARTIALS))
    assert "does not verify" in str(error)


def test_a_failure_names_the_seed_that_repeats_it():
    error = found(with_process(EchoesBeforePersisting))
    assert f"seed {error.seed}" in str(error)
    with pytest.raises(SafetyViolated, match=f"seed {error.seed}"):
        DrandWorld(error.seed, QUIET, node_type=with_process(EchoesBeforePersisting)).run()


@pytest.mark.parametrize(
    ("node_type", "says"),
    [
        (SignsOnItsOwn, "a second message signed for round"),
        (VaultForgets, "and forgets it"),
        (SignsEarly, "before it is due"),
        (LeaksItsKey, "bytes that hold a secret"),
    ],
)
def test_a_vault_that_does_not_hold_its_promise_is_found(node_type: type[SimulatedNode], says: str):
    assert says in str(found(node_type))


def test_a_node_that_never_catches_up_is_found():
    class NeverSyncs(SimulatedNode):
        def _perform(self, effect: Effect) -> None:
            if type(effect).__name__ != "FetchBeacons":
                super()._perform(effect)

    error = found(NeverSyncs, lambda seed: replace(QUIET, rounds=30, calm_rounds=8, crashes=4, down_s=30.0))
    assert "still at" in str(error)


def test_a_ceremony_that_too_few_finish_is_found():
    error = found(with_process(DeafToOneNode), lambda seed: replace(QUIET, threshold=4))
    assert "0 honest nodes finished the ceremony" in str(error)


def test_without_a_bug_the_same_worlds_are_in_order():
    for seed in range(3):
        assert DrandWorld(seed, QUIET).run().finished == 4
        assert DrandWorld(seed, scenario_of(seed)).run().rounds == 50
