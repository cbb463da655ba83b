"""One key generation machine on a workbench: the test plays the vault, the peers and the clock."""

from collective.machine import Persist, WakeAt
from drand.model.group import Peer
from drand.model.vault_messages import (
    JudgeDeals,
)
from drand.protocol.dkg import PHASE_ALARM, KeyGeneration
from drand.protocol.steps import AskVault, Ids, Report, Send
from tests.support.dkg_world import fresh_terms, vaults

PEERS = tuple(Peer(f"node{place}:4000", tls=False) for place in (1, 2, 3))
START = 1000.0


class Bench:
    """Node 0 of four on a workbench: the test plays the vault, the peers and the clock."""

    def __init__(self, *, leader=True, phase_s=10.0, entropy=None, seed=0):
        self.vaults = vaults(4, seed=seed)
        self.terms = fresh_terms(self.vaults, 3)
        self.leader, self.phase_s, self.entropy = leader, phase_s, entropy
        self.machine = self.fresh("first")
        self.journal = []

    def fresh(self, boot):
        ids = Ids(boot=boot)
        key = self.vaults[0].key
        others = {vault.key: peer for vault, peer in zip(self.vaults[1:], PEERS, strict=True)}
        return KeyGeneration(
            self.terms, key, others, phase_s=self.phase_s, leader=self.leader, ids=ids, entropy=self.entropy
        )

    def keep(self, effects):
        self.journal += [effect.record for effect in effects if isinstance(effect, Persist)]
        return effects

    def start(self):
        return self.keep(self.machine.start(START))

    def answer(self, effects, now=START):
        """Let the vault answer what was asked."""
        (request,) = asked(effects)
        return self.keep(self.machine.on_vault_reply(self.vaults[0].answer(request), now))

    def hear(self, bundle, now=START):
        return self.keep(self.machine.on_bundle(bundle, now))

    def due(self, now):
        return self.keep(self.machine.on_due(PHASE_ALARM, now))

    def deal(self, *places):
        """The deals of others arrive; answers with the effects of the last."""
        effects = []
        for place in places:
            effects = self.hear(self.vaults[place].deal(self.terms))
        return effects

    def respond(self, *places):
        effects = []
        for place in places:
            effects = self.hear(self.verdicts(place))
        return effects

    def verdicts(self, place):
        deals = tuple(vault.deal(self.terms) for vault in self.vaults)
        return self.vaults[place].judge(JudgeDeals("-", self.terms, deals, (0, 1, 2, 3)))

    def copies(self, *, responses=True):
        """Everybody's deals and responses arrive, passed on by everybody."""
        effects = []
        for _ in range(3):
            for place, vault in enumerate(self.vaults):
                effects = self.hear(vault.deal(self.terms)) or effects
                if responses:
                    effects = self.hear(self.verdicts(place)) or effects
        return effects

    def to_judging(self):
        self.answer(self.start())
        return self.deal(1, 2, 3)

    def to_responding(self):
        return self.answer(self.to_judging())

    def to_finished(self):
        self.to_responding()
        self.respond(1, 2, 3)
        return self.copies()


def asked(effects):
    return [effect.request for effect in effects if isinstance(effect, AskVault)]


def sent(effects):
    return [effect.message.bundle for effect in effects if isinstance(effect, Send)]


def facts(effects, kind):
    return [effect.fact for effect in effects if isinstance(effect, Report) and isinstance(effect.fact, kind)]


def wake(effects):
    return [effect.unix_s for effect in effects if isinstance(effect, WakeAt) and effect.alarm == PHASE_ALARM]
