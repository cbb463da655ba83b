"""Distributed key generation: from agreed terms to a share of a key that nobody knows.

Phases: everybody deals, everybody judges the deals, dealers answer complaints in public, the key is put together. A
phase ends at once when all its bundles are in, at the latest when its time is over; all times count from the start of
the first one. Nodes that deal well, or not at all, end with the same qualified set (complaints.py); bundles travel by
echo broadcast (echo.py). The vault does what needs a secret: it draws the polynomial, opens shares, signs, combines.

Fresh: Pedersen's distributed key generation (EUROCRYPT 1991) with the complaints of Gennaro, Jarecki, Krawczyk and
Rabin (J. Cryptology 2007). Resharing: Desmedt and Jajodia (1997).
Source of what goes over the wire: drand v1.5.11 with kyber v1.2.0, share/dkg/{dkg,protocol}.go.
"""

from collections.abc import Iterable, Mapping

from collective.errors import BadSetting, NotEnoughShares
from collective.machine import Persist, WakeAt
from drand.model.bundles import Bundle, DkgTerms, ResponseBundle
from drand.model.chain import Index
from drand.model.group import Peer
from drand.model.packets import DkgPacket, Origin
from drand.model.records import BundleKept, CeremonyStarted, Phase, PhaseEntered, Record
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    DealsJudged,
    JudgeDeals,
    SharesCombined,
    SharesDealt,
    SharesShown,
    ShowShares,
    UserEntropy,
    VaultRefused,
    VaultReply,
    VaultRequest,
)
from drand.protocol.complaints import Complaints, Culprit, Qualified
from drand.protocol.dkg_clock import PhaseClock
from drand.protocol.dkg_outcome import HandedOver, KeyGenerated, KeyGenerationFailed, Outcome
from drand.protocol.echo import EchoBroadcast
from drand.protocol.faults import OurselvesEvicted
from drand.protocol.steps import AskVault, CulpritNamed, Effect, Ids, PhaseChanged, Report, Send

__all__ = ["PHASE_ALARM", "HandedOver", "KeyGenerated", "KeyGeneration", "KeyGenerationFailed", "Outcome"]

PHASE_ALARM = "dkg-phase"
RETRIES_PER_PHASE = 8  # how often a vault that refused for now is asked again


class KeyGeneration:
    """One session, fresh or resharing, as the node with the long-term key `key` lives it.

    terms            what everybody agreed on
    key              our long-term public key, encoded: a dealer's, a holder's, or both
    others           all other nodes (in a resharing: of both groups), by their keys
    phase_s          length of a phase, more than 0
    leader           starts its clock at once; the others at the first bundle, or after one phase without any

    Every method answers with effects, to be carried out in order. Keep the machine for a while after its end: until the
    last phase would be over, its alarm makes it send its bundles again, for a node that was down when they came.
    """

    def __init__(
        self,
        terms: DkgTerms,
        key: bytes,
        others: Mapping[bytes, Peer],
        *,
        phase_s: float,
        leader: bool,
        ids: Ids,
        entropy: UserEntropy | None = None,
    ) -> None:
        self.terms = terms
        self.leader = leader
        self.phase = Phase.DEALING
        self._clock = PhaseClock(phase_s)
        self._ids = ids
        self._entropy = entropy
        self._complaints = Complaints(terms, key)
        if self._complaints.dealer is None and self._complaints.holder is None:
            raise BadSetting("our key is in neither list of the session: we are no dealer and no holder")
        self._echo = EchoBroadcast(terms, others, dealer=self._complaints.dealer)
        self._asked: VaultRequest | None = None  # nothing moves while the vault owes an answer
        self._ahead = ""  # the id of the question that only a final refusal answers
        self._refused = False  # it refused for now: ask again
        self._own: list[Bundle] = []  # what we sent, in order
        self._owed: tuple[Index, ...] = ()  # whose shares we must show
        self._judged = False
        self._culprits: dict[Index, str] = {}  # what each was named for first
        self._qualified: Qualified | None = None
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        """None while it runs."""
        return self._outcome

    @property
    def ended(self) -> bool:
        """True once there is an outcome."""
        return self._outcome is not None

    # ------------------------------------------------------------ events

    def start(self, now: float) -> list[Effect]:
        """The ceremony's setup is over. Call once, before anything else.

        While a participant waits for the first bundle its vault deals, unheard unless it cannot: it deals once in a
        session, so that the question of the first phase is answered at once.
        """
        if self.leader:
            return self._begin(now)
        ahead = self._deal("deal-ahead")
        self._ahead = ahead.request_id
        wait = WakeAt(PHASE_ALARM, now + self._clock.phase_s)
        return [wait] if self._complaints.dealer is None else [wait, AskVault(ahead)]

    def on_bundle(
        self, bundle: Bundle, now: float, origin: Origin | None = None, *, early: bool = False
    ) -> list[Effect]:
        """A bundle came in. For `origin`, `early` and what is raised see EchoBroadcast.receive.

        An equivocating author is no error but a fact (CulpritNamed), for its second bundle has to be passed on. The
        clock starts at the first bundle that is in order. In v1.5.11 it is the first packet of any kind, so that
        whoever reaches a port can start it early.
        """
        if self.phase in (Phase.FINISHED, Phase.FAILED):
            return []  # late or stray: the sender may be honest
        received = self._echo.receive(bundle, now, origin, early=early)
        begun = self._begin(now) if not self._clock.started else []
        return begun + received + self._advance(now)

    def on_vault_reply(self, reply: VaultReply, now: float) -> list[Effect]:
        """The vault answered; an answer to anything but our open request is ignored."""
        final = isinstance(reply, VaultRefused) and not reply.retry
        asked = self._asked is not None and reply.request_id == self._asked.request_id
        if self.ended or not (asked or (final and reply.request_id == self._ahead)):
            return []
        match reply:
            case VaultRefused() if final:
                return self._fail(f"the vault refused: {reply.reason}", now)
            case VaultRefused():
                self._refused = True
                return [WakeAt(PHASE_ALARM, now + self._clock.phase_s / RETRIES_PER_PHASE)]
            case SharesShown() if self._clock.long_over(Phase.JUSTIFYING):  # nobody counts it any more: we are out
                return self._fail("our answer to complaints was ready only after the others had ended", now)
            case SharesDealt() | DealsJudged() | SharesShown():
                self._asked = None
                sent = [] if reply.bundle is None else self._send(reply.bundle)
                self._judged = self._judged or isinstance(reply, DealsJudged)
                return sent + self._advance(now)
            case SharesCombined():
                return self._finish(reply)
            case _:
                return self._fail(f"the vault answered with {type(reply).__name__}", now)

    def on_due(self, alarm: str, now: float) -> list[Effect]:
        """The alarm PHASE_ALARM rang; other alarms are not ours. It rings every half phase."""
        if alarm != PHASE_ALARM or self.phase is Phase.FAILED:
            return []
        if not self._clock.started:
            return self._begin(now)
        early = now < self._clock.next_unix_s()  # the vault is to be asked again, or the clock was set back
        effects = self._again() if self._clock.pass_to(now) else []
        if self.ended:
            return effects + self._wake()
        if self._asked is not None and self._clock.over(Phase.FINISHED):
            return self._fail("the vault did not answer in time", now)
        if self._asked is not None and self._refused:
            self._refused = False
            effects.append(AskVault(self._asked))
        return effects + (self._advance(now, patient=early) or self._wake())

    def replay(self, records: Iterable[Record], now: float) -> list[Effect]:
        """The process was restarted: come back to where the journal ends. Call on a new machine, in place of `start`.

        Every bundle of the journal is passed on again, since the last of them may not have been (the others know a
        bundle by its hash), and what the vault may not have answered is asked again. A participant that had heard no
        bundle starts its clock one phase after the setup, sooner than without the restart: one that is back after the
        phases of the others, and finds their bundles still on the way, must not generate a key of its own with them.
        """
        waits_until: float | None = None
        kept: list[Bundle] = []
        for record in records:
            match record:
                case CeremonyStarted(started_unix_s=accepted_unix_s):
                    waits_until = accepted_unix_s + self._clock.phase_s
                case BundleKept(bundle):
                    self._recall(bundle)
                    kept.append(bundle)
                case PhaseEntered(Phase.DEALING, entered_unix_s):
                    self._begin(entered_unix_s)
                case PhaseEntered(Phase.FAILED) if not self.ended:
                    self.phase = Phase.FAILED
                    self._outcome = KeyGenerationFailed(reason="it had failed before the restart")
                case PhaseEntered(_, entered_unix_s) if not self.ended:
                    self._leave_phase(entered_unix_s)
                case _:
                    pass  # the ceremony's own records
        if self.ended:
            return []
        if not self._clock.started:
            if self.leader or waits_until is None:
                return self.start(now)
            return self._begin(waits_until) if waits_until <= now else [WakeAt(PHASE_ALARM, waits_until)]
        self._asked = None
        self._clock.restart(now)
        return self._pass_on(kept) + self._ask() + (self._advance(now) or self._wake())

    # ------------------------------------------------------------ phases

    def _begin(self, now: float) -> list[Effect]:
        """Start the clock, and deal."""
        self._clock.start(now)
        return [Persist(PhaseEntered(Phase.DEALING, now)), *self._ask(), *self._wake()]

    def _advance(self, now: float, *, patient: bool = True) -> list[Effect]:
        """Leave every phase that is over, as long as the vault owes us nothing."""
        effects: list[Effect] = []
        while not self.ended and self._asked is None and self._phase_over(patient):
            effects += self._leave_phase(now)
        return effects + self._wake() if effects else []

    def _phase_over(self, patient: bool) -> bool:
        """All bundles are in, or time is up.

        Who signed two responses, or two justifications, shows each face to whom it pleases: a node that went on with
        the first one it saw would end in another group than those who saw the second. And responses do not say which
        deal they answer, so that a second deal hides behind them. Hence, to leave a phase early, we wait until all have
        passed on the same as we hold: with responses no longer than to the next alarm; with justifications, after
        which nothing comes any more, until the phase is over. A node that was down does not end with good verdicts only
        before it has heard what others send again: a proof of two faces may have passed it by.
        """
        received, expected = self.progress
        responding, complete = self.phase is Phase.RESPONDING, received >= expected
        if responding and complete and self._clock.hears_again and not self._echo.complaint_came:
            return False
        if self._clock.over(self.phase) or not complete:
            return self._clock.over(self.phase)
        if responding:
            return not patient or (self._echo.deals_echoed() and self._echo.responses_echoed())
        leaving = self._complaints.holder is None
        return self.phase is not Phase.JUSTIFYING or leaving or self._echo.justifications_echoed()

    @property
    def progress(self) -> tuple[int, int]:
        """How many bundles of this phase count, out of how many."""
        match self.phase:
            case Phase.DEALING:
                return len(self._echo.deals), len(self.terms.dealers)
            case Phase.RESPONDING:
                return len(self._echo.responses), len(self.terms.holders)
            case Phase.JUSTIFYING if self._complaints.holder is None:
                return 1, 1  # a leaving node's work is done with its own justification
            case _:
                return len(self._echo.justifications), len(self.terms.dealers)

    def _leave_phase(self, now: float) -> list[Effect]:
        """Close the phase and enter the next; the same journal always leads to the same place."""
        received, expected = self.progress
        following = Phase.FINISHED
        match self.phase:
            case Phase.DEALING:
                culprits = self._complaints.hear_deals(self._echo.deals.counted(), self._echo.deals.twice())
                following = Phase.RESPONDING
            case Phase.RESPONDING:
                culprits = self._complaints.hear_responses(self._echo.responses.counted())
                if not self._complaints.all_clear and (self._complaints.holder is not None or self._complaints.owed()):
                    following = Phase.JUSTIFYING
            case _:
                culprits = self._complaints.hear_late_deals(self._echo.deals.counted())
                culprits += self._complaints.hear_justifications(self._echo.justifications.counted())
        if following is Phase.JUSTIFYING:
            self._owed = self._complaints.owed()
            self._complaints.answered()
        named = self._name(culprits)
        if following is Phase.FINISHED:
            return named + self._conclude(now, received, expected)
        return named + self._enter(following, now, received, expected)

    def _enter(self, phase: Phase, now: float, received: int, expected: int) -> list[Effect]:
        self.phase = phase
        changed = Report(PhaseChanged(phase, received, expected))
        return [Persist(PhaseEntered(phase, now)), changed, *self._ask()]

    def _conclude(self, now: float, received: int, expected: int) -> list[Effect]:
        """Who is qualified; then the vault combines what they dealt."""
        if self._complaints.holder is None:
            self._outcome = HandedOver()
            return self._enter(Phase.FINISHED, now, received, expected)
        convicted = self._complaints.convict(
            dealt_twice=self._echo.deals.twice(),
            justified_twice=self._echo.justifications.twice(),
            responded_twice=self._echo.responses.twice(),
        )
        named = self._name(convicted)
        try:
            self._qualified = self._complaints.qualify()
        except (NotEnoughShares, OurselvesEvicted) as error:
            return named + self._fail(f"{error}; {error.advice}", now)
        return named + self._enter(Phase.FINISHED, now, received, expected)

    def _finish(self, combined: SharesCombined) -> list[Effect]:
        assert self._qualified is not None  # only then was the vault asked
        self._asked = None
        self._outcome = KeyGenerated(
            qualified=self._qualified.nodes,
            index=combined.index,
            commits=combined.commits,
            epoch_id=combined.epoch_id,
        )
        return []

    def _fail(self, reason: str, now: float) -> list[Effect]:
        self._asked = None
        self._outcome = KeyGenerationFailed(reason=reason, culprits=tuple(self._culprits.items()))
        received, expected = self.progress
        self.phase = Phase.FAILED
        return [Persist(PhaseEntered(Phase.FAILED, now)), Report(PhaseChanged(Phase.FAILED, received, expected))]

    # ------------------------------------------------------------ the vault

    def _ask(self) -> list[Effect]:
        """Ask the vault for what this phase needs of it, if anything."""
        self._asked = self._needed()
        self._refused = False
        return [] if self._asked is None else [AskVault(self._asked)]

    def _needed(self) -> VaultRequest | None:
        dealer, holder = self._complaints.dealer, self._complaints.holder
        match self.phase:
            case Phase.DEALING if dealer is not None and dealer not in self._echo.deals:
                return self._deal("deal")
            case Phase.RESPONDING if holder is not None and not self._judged:
                return self._judge()
            case Phase.JUSTIFYING if dealer is not None and self._owed and dealer not in self._echo.justifications:
                return ShowShares(self._ids.request("show"), self.terms, self._owed)
            case Phase.FINISHED if holder is not None and self._qualified is not None:
                return self._combine(self._qualified.dealers)
            case _:
                return None

    def _deal(self, why: str) -> DealShares:
        return DealShares(self._ids.request(why), self.terms, self._entropy)

    def _judge(self) -> JudgeDeals:
        dealers = self._complaints.open_dealers()
        deals = tuple(self._complaints.deals[dealer] for dealer in dealers if dealer in self._complaints.deals)
        return JudgeDeals(self._ids.request("judge"), self.terms, deals, dealers)

    def _combine(self, dealers: tuple[Index, ...]) -> CombineShares:
        deals = tuple(self._complaints.deals[dealer] for dealer in dealers)
        shown = self._complaints.shown_to_us(dealers)
        return CombineShares(self._ids.request("combine"), self.terms, deals, dealers, shown)

    # ------------------------------------------------------------ small things

    def _send(self, bundle: Bundle) -> list[Effect]:
        effects = self._echo.send(bundle)
        self._remember(bundle)
        return effects

    def _recall(self, bundle: Bundle) -> None:
        """A bundle from the journal."""
        self._echo.keep(bundle)
        mine = self._complaints.holder if isinstance(bundle, ResponseBundle) else self._complaints.dealer
        if bundle.author == mine:
            self._remember(bundle)

    def _remember(self, bundle: Bundle) -> None:
        self._own.append(bundle)
        if isinstance(bundle, ResponseBundle):
            self._complaints.judged(bundle)
            self._judged = True

    def _again(self) -> list[Effect]:
        """Send once more what we sent, what proves that somebody has two faces, and all justifications.

        Nobody acknowledges a bundle, so one that was lost, or came to a node that was down, would be lost for good;
        whoever has it knows it by its hash. A liar will not show a node that was down its second face. And nothing
        comes after a justification: who misses it evicts a dealer whom all others accept. v1.5.11 sends once.
        """
        return self._pass_on(dict.fromkeys((*self._own, *self._echo.proofs(), *self._echo.justifications.all())))

    def _pass_on(self, bundles: Iterable[Bundle]) -> list[Effect]:
        return [Send(self._echo.peers, DkgPacket(bundle)) for bundle in bundles]

    def _wake(self) -> list[Effect]:
        """The alarm for the next half phase; after the end as long as others may still be at work."""
        if self.ended and self._clock.last_middle_passed:
            return []
        return [WakeAt(PHASE_ALARM, self._clock.next_unix_s())]

    def _name(self, culprits: Iterable[Culprit]) -> list[Effect]:
        facts: list[Effect] = []
        for culprit in culprits:
            self._culprits.setdefault(culprit.index, culprit.what)
            what = f"{culprit.role.value} {culprit.index}: {culprit.what}"
            facts.append(Report(CulpritNamed(culprit.index, what, culprit.proved)))
        return facts
