"""Key generations of Go nodes, recorded packet by packet, lived again by our machine in the place of every node."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from collective.machine import Persist
from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.dealing import combine_fresh_commitments, combine_reshared_commitments
from collective.sharing.lagrange import coefficients_at_zero
from collective.sharing.share import Share, verify_share
from drand.model.bundles import (
    Bundle,
    DealBundle,
    DkgTerms,
    JustificationBundle,
    OldSharing,
    Participant,
    Response,
    ResponseBundle,
    session_id,
)
from drand.model.chain import Index
from drand.model.group import Peer
from drand.model.records import Phase, PhaseEntered
from drand.model.schemes import scheme_named
from drand.model.vault_messages import CombineShares, JudgeDeals, SharesCombined
from drand.protocol.dkg import PHASE_ALARM, HandedOver, KeyGenerated, KeyGeneration, KeyGenerationFailed
from drand.protocol.faults import WrongSession
from drand.protocol.steps import AskVault, Effect, Ids, Send
from drand.wire.bundles import decode_dkg_packet
from tests.support.dkg_vault import PlainVault
from tests.support.entropy import SeededEntropy
from tests.support.vectors import v1_cases

PEERS = (Peer("somewhere:1", tls=False),)
CASES = v1_cases("dkg", where=lambda vector: "packets" in vector["inputs"])


@dataclass(kw_only=True)
class RecordedVault(PlainVault):
    """Signs what the Go node signed, since its polynomial is not recorded; opens and judges shares by itself.

    strangers   dealers whose bundle was of another session: v1.5.11 evicts them unheard, for us they kept silent
    """

    expected_share: int
    recorded: list[Bundle] = field(default_factory=list)
    strangers: frozenset[Index] = frozenset()

    def deal(self, terms: DkgTerms) -> DealBundle | None:
        return self._recorded(DealBundle)

    def judge(self, request: JudgeDeals) -> ResponseBundle | None:
        ours, theirs = super().judge(request), self._recorded(ResponseBundle)
        assert ours is not None
        complaints = {Response(dealer, valid=False) for dealer in self.strangers}
        assert set(ours.responses) == set(theirs.responses) | complaints
        assert self.strangers or ours.hash() == theirs.hash()
        return theirs

    def show(self, terms: DkgTerms, holders: tuple[Index, ...]) -> JustificationBundle | None:
        if terms.holder(self.key) is None and not self._has(JustificationBundle):
            return None  # a leaving dealer of v1.5.11 has given up by now
        theirs = self._recorded(JustificationBundle)
        assert sorted(shown.share_index for shown in theirs.justifications) == sorted(holders)
        return theirs

    def _has(self, kind: type) -> bool:
        return any(isinstance(bundle, kind) for bundle in self.recorded)

    def _recorded(self, kind: type) -> Any:
        (bundle,) = (bundle for bundle in self.recorded if isinstance(bundle, kind))
        return bundle

    def combine(self, request: CombineShares) -> SharesCombined:
        """The shares that came in, and the one missing (our own of our own polynomial), make Go's share."""
        terms, group = request.terms, self.scheme.key_group
        me, dealer = terms.holder(self.key), terms.dealer(self.key)
        assert me is not None
        dealt = {deal.dealer_index: PublicPolynomial.decode(group, deal.commits) for deal in request.deals}
        dealt = {index: dealt[index] for index in request.dealers}
        fresh = terms.old is None
        weights = dict.fromkeys(dealt, 1) if fresh else coefficients_at_zero(dealt, group.order)
        public = combine_fresh_commitments(dealt) if fresh else combine_reshared_commitments(dealt)
        shares = {index: share.expose() for index, share in self.received.items()}
        shares |= {index: int.from_bytes(share, "big") for index, share in request.shown}
        others = [index for index in request.dealers if dealer is None or index != dealer.index]
        missing = (self.expected_share - sum(weights[index] * shares[index] for index in others)) % group.order
        if len(others) == len(request.dealers):
            assert missing == 0
        else:
            assert dealer is not None
            own = SecretScalar(missing * pow(weights[dealer.index], -1, group.order) % group.order)
            verify_share(dealt[dealer.index], Share(me.index, own))
        verify_share(public, Share(me.index, SecretScalar(self.expected_share)))
        return SharesCombined(request.request_id, b"epoch", me.index, tuple(public.encode()))


@dataclass
class Recording:
    """One vector: the terms, the packets, and each node's long-term secret."""

    vector: Any

    def __post_init__(self) -> None:
        given = self.vector["inputs"]
        self.scheme = scheme_named(given["scheme"])
        self.bundles = [
            decode_dkg_packet(bytes.fromhex(packet["dkg_packet_proto"]), self.scheme).bundle
            for packet in given["packets"]
        ]
        assert [bundle.hash().hex() for bundle in self.bundles] == [packet["hash"] for packet in given["packets"]]
        secrets = given.get("secrets", given.get("nodes"))
        self.secrets = {one["public"]: int(one["longterm"], 16) for one in secrets}
        old, new = given.get("old_nodes", given.get("nodes")), given.get("new_nodes", given.get("nodes"))
        sharing = None
        if "old_nodes" in given:
            commits = tuple(map(bytes.fromhex, given["old_commits"]))
            sharing = OldSharing(threshold=given["old_threshold"], commits=commits, epoch_id=b"old")
        self.terms = DkgTerms(
            session_id=session_id(given.get("transition_time") or given["genesis_time"]),
            scheme=self.scheme,
            threshold=given["threshold"],
            dealers=self._participants(old),
            holders=self._participants(new),
            old=sharing,
        )
        assert self.terms.session_id.hex() == given["nonce"]

    @staticmethod
    def _participants(nodes: list[Any]) -> tuple[Participant, ...]:
        return tuple(Participant(Index(node["index"]), bytes.fromhex(node["public"])) for node in nodes)

    def own(self, bundle: Bundle, key: bytes) -> bool:
        place = self.terms.holder(key) if isinstance(bundle, ResponseBundle) else self.terms.dealer(key)
        return place is not None and place.index == bundle.author

    def strangers(self) -> frozenset[Index]:
        deals = [bundle for bundle in self.bundles if isinstance(bundle, DealBundle)]
        return frozenset(deal.author for deal in deals if deal.session_id != self.terms.session_id)

    def in_order(self, order: int) -> list[Bundle]:
        """All bundles, forwards or backwards; whoever has two faces shows both before a phase can end without them."""
        kinds = Counter((type(bundle), bundle.author) for bundle in self.bundles)
        return sorted(self.bundles[::order], key=lambda bundle: kinds[type(bundle), bundle.author] == 1)

    def vault(self, result: Any) -> RecordedVault:
        secret = SecretScalar(self.secrets[result["public"]])
        share = int(result.get("share", "0"), 16)
        vault = RecordedVault(self.scheme, secret, SeededEntropy(1), expected_share=share)
        vault.recorded = [bundle for bundle in self.bundles if self.own(bundle, vault.key)]
        vault.strangers = self.strangers()
        return vault


@dataclass
class Life:
    """One node's life through a recording."""

    recording: Recording
    vault: RecordedVault
    phases: list[Phase] = field(default_factory=list)

    def run(self, order: int) -> KeyGeneration:
        ids = Ids()
        machine = KeyGeneration(self.recording.terms, self.vault.key, {b"": PEERS[0]}, phase_s=10, leader=True, ids=ids)
        self.perform(machine, machine.start(0))
        for bundle in self.recording.in_order(order):
            if bundle in self.vault.recorded:
                continue
            if bundle.session_id == self.recording.terms.session_id:
                self.perform(machine, machine.on_bundle(bundle, 1))
            else:
                with pytest.raises(WrongSession):
                    machine.on_bundle(bundle, 1)
        for now in (10, 20, 30):
            self.perform(machine, machine.on_due(PHASE_ALARM, now))
        return machine

    def perform(self, machine: KeyGeneration, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case AskVault(request):
                    self.perform(machine, machine.on_vault_reply(self.vault.answer(request), 1))
                case Persist(PhaseEntered(phase)):
                    self.phases.append(phase)
                case Send(peers, message):
                    assert peers == PEERS
                    assert message.bundle in self.recording.bundles, "Go sent no such bundle"


@pytest.mark.parametrize("order", [1, -1], ids=["in-order", "reversed"])
@pytest.mark.parametrize("vector", CASES)
def test_every_node_of_a_recorded_session_ends_where_the_go_node_ended(vector: Any, order: int) -> None:
    recording = Recording(vector)
    results = vector["expected"]["results"]
    assert results
    assert not vector["expected"]["process_errors"], "what Go refused to process is not replayed"
    for result in results:
        life = Life(recording, recording.vault(result))
        machine = life.run(order)
        if "leaving node" in result.get("error", ""):
            assert machine.outcome == HandedOver()
            continue
        if "error" in result:
            assert isinstance(machine.outcome, KeyGenerationFailed), result["error"]
            continue
        assert isinstance(machine.outcome, KeyGenerated)
        assert list(machine.outcome.qualified) == result["qual"]
        assert machine.outcome.index == result["share_index"]
        assert [commit.hex() for commit in machine.outcome.commits] == result["commits"]
        assert (Phase.JUSTIFYING in life.phases) == (result["phase"] == "justification")
