"""A small world for the key generation: machines, plain vaults, disks, slow links and crashes, all from one seed."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from collective.errors import CollectiveError
from collective.machine import Persist, WakeAt
from collective.secret import SecretScalar
from collective.sharing.lagrange import coefficients_at_zero
from collective.sharing.polynomial import SecretPolynomial
from drand.model.bundles import Bundle, DealBundle, DkgTerms, OldSharing, Participant, session_id
from drand.model.chain import Index
from drand.model.group import Peer
from drand.model.records import Record
from drand.model.schemes import Scheme
from drand.model.vault_messages import VaultReply
from drand.protocol.dkg import PHASE_ALARM, KeyGenerated, KeyGeneration
from drand.protocol.steps import AskVault, Effect, Fact, Ids, Report, Send
from tests.support.dkg_vault import PlainVault
from tests.support.entropy import SeededEntropy
from tests.support.people import TOY_CHAINED

PHASE_S = 10.0
Watcher = Callable[[float, str, Any], None]


def vaults(count_: int, *, seed: int = 0, scheme: Scheme = TOY_CHAINED) -> list[PlainVault]:
    """Vaults in the order that a group gives their nodes: by encoded key."""
    made = []
    for number in range(count_):
        entropy = SeededEntropy(1000 * seed + number)
        secret = SecretScalar(int.from_bytes(entropy.bytes(7), "big") + 1)
        made.append(PlainVault(scheme, secret, entropy))
    return sorted(made, key=lambda vault: vault.key)


def participants(members: list[PlainVault]) -> tuple[Participant, ...]:
    return tuple(Participant(Index(place), vault.key) for place, vault in enumerate(members))


def fresh_terms(members: list[PlainVault], threshold: int) -> DkgTerms:
    everybody = participants(members)
    return DkgTerms(
        session_id=session_id(1_700_000_010),
        scheme=members[0].scheme,
        threshold=threshold,
        dealers=everybody,
        holders=everybody,
    )


def resharing_terms(old: list[PlainVault], new: list[PlainVault], old_threshold: int, threshold: int) -> DkgTerms:
    """Deal an old sharing straight from a polynomial, and give the terms that hand it on."""
    group = old[0].scheme.key_group
    polynomial = SecretPolynomial.random(old_threshold, group.order, SeededEntropy(99))
    for place, vault in enumerate(old):
        vault.old_share = polynomial.evaluate(place)
    return DkgTerms(
        session_id=session_id(1_700_003_610),
        scheme=old[0].scheme,
        threshold=threshold,
        dealers=participants(old),
        holders=participants(new),
        old=OldSharing(threshold=old_threshold, commits=tuple(polynomial.commit(group).encode()), epoch_id=b"old"),
    )


@dataclass
class Node:
    """A node of the world: what survives a crash is `vault` and `journal`."""

    name: str
    vault: PlainVault
    machine: KeyGeneration
    leader: bool
    journal: list[Record] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    refused: list[CollectiveError] = field(default_factory=list)
    sent: list[Bundle] = field(default_factory=list)
    outcome: Any = None
    alive: bool = True
    boot: int = 0
    alarm: float | None = None


class World:
    """Nodes named "0", "1", ... in the order of `members`. `delay_s` gives each message its time on the way."""

    def __init__(self, members: list[PlainVault], terms: DkgTerms, *, seed: int = 0, jitter: bool = False) -> None:
        self.terms = terms
        self.now = 0.0
        self.random = random.Random(seed)
        self.jitter = jitter
        self.watch: Watcher = lambda now, node, what: None
        self.silent: set[str] = set()  # nodes whose messages nobody gets
        self.second_deals: dict[str, DealBundle] = {}  # of two-faced dealers
        self._queue: list[tuple[float, int, str, str, Any]] = []
        self._sequence = count()
        self.nodes: dict[str, Node] = {}
        self.peers = {str(place): Peer(f"node{place}:4000", tls=False) for place in range(len(members))}
        self._keys = {str(place): vault.key for place, vault in enumerate(members)}
        self._names = {peer: name for name, peer in self.peers.items()}
        for place, vault in enumerate(members):
            name = str(place)
            self.nodes[name] = Node(name, vault, self._machine(name, vault, place == 0, 0), leader=place == 0)

    def _machine(self, name: str, vault: PlainVault, leader: bool, boot: int) -> KeyGeneration:
        others = {self._keys[other]: peer for other, peer in self.peers.items() if other != name}
        ids = Ids(boot=f"{name}.{boot}")
        return KeyGeneration(self.terms, vault.key, others, phase_s=PHASE_S, leader=leader, ids=ids)

    # ------------------------------------------------------------ time

    def at(self, when: float, node: str, kind: str, what: Any = None) -> None:
        heapq.heappush(self._queue, (when, next(self._sequence), node, kind, what))

    def run(self, until: float = 1000.0) -> None:
        """Start everybody who has not been started, and let things happen."""
        for name in self.nodes:
            self.at(self.now, name, "start")
        while self._queue and self._queue[0][0] <= until:
            self.now, _, name, kind, what = heapq.heappop(self._queue)
            self._happen(self.nodes[name], kind, what)

    def _happen(self, node: Node, kind: str, what: Any) -> None:
        if kind == "restart":
            return self._restart(node)
        if not node.alive:
            return None
        machine = node.machine
        match kind:
            case "start":
                self.perform(node, machine.start(self.now))
            case "bundle":
                self._deliver(node, what)
            case "reply":
                boot, reply = what
                if boot == node.boot:
                    self.perform(node, machine.on_vault_reply(reply, self.now))
            case "alarm":
                if node.alarm == self.now:
                    node.alarm = None
                    self.perform(node, machine.on_due(PHASE_ALARM, self.now))
            case "crash":
                node.alive, node.alarm, node.outcome = False, None, None
                self.watch(self.now, node.name, "crashes")
        return None

    def _deliver(self, node: Node, bundle: Bundle) -> None:
        try:
            effects = node.machine.on_bundle(bundle, self.now)
        except CollectiveError as error:
            node.refused.append(error)
            self.watch(self.now, node.name, error)
        else:
            self.perform(node, effects)

    def _restart(self, node: Node) -> None:
        node.alive, node.boot = True, node.boot + 1
        node.machine = self._machine(node.name, node.vault, node.leader, node.boot)
        self.watch(self.now, node.name, f"restarts with {len(node.journal)} records")
        self.perform(node, node.machine.replay(node.journal, self.now))

    # ------------------------------------------------------------ effects

    def perform(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist(record):
                    node.journal.append(record)
                case Send(peers, message):
                    self._send(node, peers, message.bundle)
                case AskVault(request):
                    self.at(self.now, node.name, "reply", (node.boot, self.ask(node, request)))
                case WakeAt(_, unix_s):
                    node.alarm = max(unix_s, self.now)
                    self.at(node.alarm, node.name, "alarm")
                case Report(fact):
                    node.facts.append(fact)
                    self.watch(self.now, node.name, fact)
                case _:
                    raise AssertionError(f"a key generation does not ask for {effect}")
        if node.outcome != node.machine.outcome:
            assert node.outcome is None, "an outcome is final"
            node.outcome = node.machine.outcome
            self.watch(self.now, node.name, node.outcome)

    def ask(self, node: Node, request: Any) -> VaultReply:
        return node.vault.answer(request)

    def _send(self, node: Node, peers: tuple[Peer, ...], bundle: Bundle) -> None:
        assert any(getattr(record, "bundle", None) == bundle for record in node.journal), "sent before it was kept"
        node.sent.append(bundle)
        if node.sent.count(bundle) == 1:
            self.watch(self.now, node.name, bundle)
        two_faced = bundle == node.vault.dealt and node.name in self.second_deals
        for number, peer in enumerate(peers):
            if node.name not in self.silent:
                other = two_faced and number >= len(peers) // 2
                self.post(self._names[peer], self.second_deals[node.name] if other else bundle)

    def post(self, to: str, bundle: Bundle) -> None:
        """Put a bundle on its way; without jitter, links keep the order."""
        delay = self.random.uniform(0.01, 1.0) if self.jitter else 0.1
        self.at(self.now + delay, to, "bundle", bundle)

    # ------------------------------------------------------------ what came out

    def generated(self) -> dict[str, KeyGenerated]:
        """The results of all nodes that have one."""
        results = {name: node.outcome for name, node in self.nodes.items()}
        return {name: result for name, result in results.items() if isinstance(result, KeyGenerated)}

    def secret(self, names: list[str]) -> int:
        """The secret that the shares of these nodes determine."""
        order = self.terms.scheme.key_group.order
        shares = {}
        for name in names:
            result, share = self.nodes[name].outcome, self.nodes[name].vault.share
            assert share is not None
            shares[result.index] = share.expose()
        weights = coefficients_at_zero(shares, order)
        return sum(weights[index] * share for index, share in shares.items()) % order

    def equivocate(self, name: str) -> None:
        """Let a dealer draw two polynomials: the first half of the others gets one, the second half the other."""
        vault = self.nodes[name].vault
        second = replace(vault, polynomial=None, dealt=None, entropy=SeededEntropy(4711)).deal(self.terms)
        assert second is not None
        self.second_deals[name] = second
