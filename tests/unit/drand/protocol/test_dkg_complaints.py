"""The status matrix: who is evicted, who qualifies, whose polynomials make the key."""

from dataclasses import replace

import pytest

from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.polynomial import SecretPolynomial
from drand.model.bundles import Deal, DealBundle, Justification, JustificationBundle, Response, ResponseBundle
from drand.model.chain import Index
from drand.protocol.complaints import Complaints, Culprit, Qualified, Role
from drand.protocol.faults import NotEnoughDealers, NotEnoughNodes, OurselvesEvicted
from tests.support.dkg_world import fresh_terms, resharing_terms, vaults

FIVE = vaults(5)
FRESH = fresh_terms(FIVE, 3)
DEALS = {Index(place): vault.deal(FRESH) for place, vault in enumerate(FIVE)}


def session(me: int = 0) -> Complaints:
    return Complaints(FRESH, FIVE[me].key)


def response(holder: int, *, bad: tuple[int, ...] = (), dealers: range = range(5)) -> ResponseBundle:
    verdicts = tuple(Response(Index(dealer), dealer not in bad) for dealer in dealers)
    return ResponseBundle(Index(holder), verdicts, FRESH.session_id)


def responses(*bundles: ResponseBundle) -> dict[Index, ResponseBundle]:
    """All five holders' responses: those given, and satisfied ones of the others."""
    given = {bundle.share_index: bundle for bundle in bundles}
    return {Index(holder): given.get(Index(holder), response(holder)) for holder in range(5)}


def dealt(me: int = 0, *given: DealBundle, own: ResponseBundle | None = None) -> Complaints:
    """A session after the dealing phase and our verdicts."""
    complaints = session(me)
    complaints.hear_deals({**DEALS, **{bundle.dealer_index: bundle for bundle in given}})
    complaints.judged(own or response(me))
    return complaints


def shown(dealer: int, *holders: int, off_by: int = 0) -> JustificationBundle:
    polynomial = FIVE[dealer].polynomial
    assert polynomial is not None
    values = [(holder, polynomial.evaluate(holder).expose() + off_by) for holder in holders]
    shares = tuple(Justification(Index(holder), value.to_bytes(32, "big")) for holder, value in values)
    return JustificationBundle(Index(dealer), shares, FRESH.session_id)


def test_when_everybody_is_content_everybody_qualifies():
    complaints = dealt()
    assert complaints.hear_responses(responses()) == []
    assert complaints.all_clear
    assert complaints.qualify() == Qualified(dealers=(0, 1, 2, 3, 4), nodes=(0, 1, 2, 3, 4))


def test_a_dealer_that_sent_nothing_is_named_but_judged():
    complaints = session()
    deals = {index: deal for index, deal in DEALS.items() if index != 3}
    assert complaints.hear_deals(deals) == [Culprit(Role.DEALER, Index(3), "sent no deal", proved=False)]
    assert complaints.open_dealers() == (0, 1, 2, 3, 4)
    assert 3 not in complaints.deals


def test_a_dealer_that_dealt_twice_is_not_called_silent():
    deals = {index: deal for index, deal in DEALS.items() if index != 3}
    assert session().hear_deals(deals, frozenset({Index(3)})) == []


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (replace(DEALS[3], commits=DEALS[3].commits[:2]), "committed to 2 coefficients, 3 were agreed"),
        (replace(DEALS[3], commits=()), "committed to 0 coefficients, 3 were agreed"),
        (replace(DEALS[3], deals=(*DEALS[3].deals, Deal(Index(9), b"x"))), "dealt to node 9, who is no holder"),
    ],
)
def test_a_malformed_deal_evicts_its_dealer_with_proof(wrong, what):
    complaints = session()
    assert complaints.hear_deals({**DEALS, Index(3): wrong}) == [Culprit(Role.DEALER, Index(3), what, proved=True)]
    assert complaints.open_dealers() == (0, 1, 2, 4)


def test_our_own_deal_is_not_judged():
    complaints = session()
    assert complaints.hear_deals({**DEALS, Index(0): replace(DEALS[0], commits=())}) == []


def test_a_holder_that_sent_no_response_is_left_out_of_a_fresh_group():
    complaints = dealt()
    found = complaints.hear_responses({h: r for h, r in responses().items() if h != 4})
    assert found == [Culprit(Role.HOLDER, Index(4), "sent no response", proved=False)]
    assert not complaints.all_clear
    assert complaints.owed() == (4,)
    complaints.answered()
    complaints.hear_justifications({Index(d): shown(d, 4) for d in (1, 2, 3, 4)})
    assert complaints.qualify().nodes == (0, 1, 2, 3)


def test_a_response_without_a_verdict_counts_as_none():
    complaints = dealt()
    found = complaints.hear_responses(responses(response(4, dealers=range(0))))
    assert found == [Culprit(Role.HOLDER, Index(4), "judged nobody", proved=True)]


def test_a_holder_that_judges_a_stranger_is_evicted_once():
    complaints = dealt()
    found = complaints.hear_responses(responses(response(4, dealers=range(8))))
    assert found == [Culprit(Role.HOLDER, Index(4), "judged node 5, who is no dealer", proved=True)]
    assert complaints.all_clear
    assert complaints.qualify().nodes == (0, 1, 2, 3)


def test_a_holder_that_complains_about_its_own_deal_is_believed():
    complaints = dealt()
    assert complaints.hear_responses(responses(response(4, bad=(4,)))) == []
    what = "did not justify its share for node 4"
    assert complaints.hear_justifications({}) == [Culprit(Role.DEALER, Index(4), what, proved=False)]
    assert complaints.qualify().nodes == (0, 1, 2, 3)


def test_nobody_evicts_itself_as_a_holder():
    complaints = dealt()
    assert complaints.hear_responses({h: r for h, r in responses().items() if h != 0}) == []


def test_a_complaint_that_is_withdrawn_in_the_same_bundle_still_calls_for_the_next_phase():
    both = ResponseBundle(Index(1), (Response(Index(2), False), *response(1).responses), FRESH.session_id)
    complaints = dealt()
    complaints.hear_responses(responses(both))
    assert not complaints.all_clear


def test_threshold_complaints_evict_a_dealer():
    complaints = dealt(0, own=response(0, bad=(2,)))
    found = complaints.hear_responses(responses(response(1, bad=(2,)), response(3, bad=(2,))))
    assert found == [Culprit(Role.DEALER, Index(2), "3 holders got no valid share from it", proved=False)]
    assert complaints.hear_justifications({Index(2): shown(2, 0, 1, 3)}) == []
    assert complaints.qualify().nodes == (0, 1, 3, 4)


def test_one_complaint_fewer_can_be_answered():
    complaints = dealt(0, own=response(0, bad=(2,)))
    assert complaints.hear_responses(responses(response(1, bad=(2,)))) == []
    assert complaints.hear_justifications({Index(2): shown(2, 0, 1)}) == []
    assert complaints.qualify().nodes == (0, 1, 2, 3, 4)
    own_share = FIVE[2].polynomial.evaluate(0).to_bytes()
    assert complaints.shown_to_us((Index(1), Index(2))) == ((2, own_share),)


def test_who_is_evicted_shows_no_shares():
    complaints = dealt(2)
    complaints.hear_responses(responses(*(response(holder, bad=(2,)) for holder in (0, 1, 3))))
    assert complaints.owed() == ()
    with pytest.raises(OurselvesEvicted):
        complaints.qualify()


def test_an_unanswered_complaint_leaves_the_dealer_out():
    complaints = dealt(0, own=response(0, bad=(2,)))
    complaints.hear_responses(responses())
    what = "did not justify its share for node 0"
    assert complaints.hear_justifications({}) == [Culprit(Role.DEALER, Index(2), what, proved=False)]
    assert complaints.qualify() == Qualified(dealers=(0, 1, 3, 4), nodes=(0, 1, 3, 4))


def test_several_unanswered_holders_are_all_named():
    complaints = dealt(0, own=response(0, bad=(2,)))
    complaints.hear_responses(responses(response(4, bad=(2,))))
    assert "nodes 0, 4" in complaints.hear_justifications({})[0].what


@pytest.mark.parametrize("bundle", [shown(2, 0, off_by=1), shown(2, 0, 1, 3, 4, off_by=1)])
def test_a_false_justification_evicts_with_proof_once(bundle):
    complaints = dealt(0, own=response(0, bad=(2,)))
    complaints.hear_responses(responses())
    (found,) = complaints.hear_justifications({Index(2): bundle})
    assert (found.index, found.proved) == (2, True)
    assert "false justification" in found.what
    assert 2 not in complaints.qualify().dealers


def test_a_justification_for_a_stranger_evicts():
    complaints = dealt(0, own=response(0, bad=(2,)))
    complaints.hear_responses(responses())
    stranger = replace(shown(2, 0), justifications=(*shown(2, 0).justifications, Justification(Index(7), bytes(32))))
    found = complaints.hear_justifications({Index(2): stranger})
    what = "justified a share for node 7, who is no holder"
    assert found == [Culprit(Role.DEALER, Index(2), what, proved=True)]


def test_a_justification_without_a_deal_evicts():
    complaints = session()
    complaints.hear_deals({index: deal for index, deal in DEALS.items() if index != 2})
    complaints.judged(response(0, bad=(2,)))
    complaints.hear_responses(responses())
    (found,) = complaints.hear_justifications({Index(2): shown(2, 0)})
    assert found == Culprit(Role.DEALER, Index(2), "justified a deal that we never got", proved=False)


def test_a_deal_that_was_late_for_us_only_is_put_right_by_its_justification():
    complaints = session()
    complaints.hear_deals({index: deal for index, deal in DEALS.items() if index != 2})
    complaints.judged(response(0, bad=(2,)))
    complaints.hear_responses(responses())
    assert complaints.hear_late_deals(DEALS) == []
    assert complaints.hear_justifications({Index(2): shown(2, 0)}) == []
    assert complaints.qualify().dealers == (0, 1, 2, 3, 4)


def test_a_late_deal_is_checked_like_any_other():
    complaints = session()
    complaints.hear_deals({index: deal for index, deal in DEALS.items() if index != 2})
    complaints.judged(response(0, bad=(2,)))
    complaints.hear_responses(responses())
    (found,) = complaints.hear_late_deals({Index(2): replace(DEALS[2], commits=())})
    assert found.proved
    assert complaints.hear_late_deals({Index(2): DEALS[2]}) == []


def test_too_few_valid_dealers_make_no_key():
    complaints = dealt()
    complaints.hear_responses({Index(h): response(h) for h in (0, 1, 2)})
    complaints.answered()
    complaints.hear_justifications({})
    with pytest.raises(NotEnoughDealers, match="only 1 of the 3 valid dealers"):
        complaints.qualify()


def test_enough_dealers_but_too_few_responders_make_no_group():
    terms = fresh_terms(FIVE, 4)
    deals = {Index(place): replace(vault, polynomial=None, dealt=None).deal(terms) for place, vault in enumerate(FIVE)}
    complaints = Complaints(terms, FIVE[0].key)
    complaints.hear_deals(deals)
    complaints.judged(response(0))
    complaints.hear_responses({Index(h): response(h) for h in (0, 1, 2)})
    complaints.answered()
    for dealer in range(1, 5):
        complaints._accepted[Index(dealer)] |= {Index(3), Index(4)}
    with pytest.raises(NotEnoughNodes, match="only 3 nodes qualified, the threshold is 4"):
        complaints.qualify()


def test_a_convicted_dealer_is_out_and_named_once():
    complaints = dealt()
    complaints.hear_responses(responses())
    proofs = {"dealt_twice": [Index(3)], "justified_twice": [Index(3)], "responded_twice": []}
    assert [(found.index, found.what, found.proved) for found in complaints.convict(**proofs)] == [
        (3, "dealt twice", True)
    ]
    assert complaints.convict(**proofs) == []
    assert complaints.qualify().dealers == (0, 1, 2, 4)


# ---------------------------------------------------------------- resharing


def resharing(me: int, *, skip: tuple[int, ...] = ()) -> Complaints:
    """Old nodes 0 1 2 3 with threshold 2, new nodes 1 2 3 4 (places 0 1 2 3 there) with threshold 3."""
    everybody = vaults(5, seed=3)
    terms = resharing_terms(everybody[:4], everybody[1:], 2, 3)
    complaints = Complaints(terms, everybody[me].key)
    deals = {Index(place): vault.deal(terms) for place, vault in enumerate(everybody[:4])}
    complaints.hear_deals({index: deal for index, deal in deals.items() if index not in skip})
    return complaints


def verdicts(holder: int, *bad: int) -> ResponseBundle:
    return ResponseBundle(Index(holder), tuple(Response(Index(d), d not in bad) for d in range(4)), b"")


def test_the_lowest_valid_dealers_make_the_new_polynomial():
    complaints = resharing(4)
    complaints.judged(verdicts(3))
    complaints.hear_responses({Index(h): verdicts(h) for h in range(3)})
    assert complaints.all_clear
    assert complaints.qualify() == Qualified(dealers=(0, 1), nodes=(0, 1, 2, 3))


def test_an_old_node_with_an_open_complaint_is_no_new_node():
    complaints = resharing(4, skip=(1,))
    complaints.judged(verdicts(3, 1))
    complaints.hear_responses({Index(h): verdicts(h, 1) for h in range(3)})
    assert complaints.qualify() == Qualified(dealers=(0, 2), nodes=(1, 2, 3))


def test_a_leaving_dealer_without_complaints_owes_nothing():
    complaints = resharing(0)
    complaints.hear_responses({Index(h): verdicts(h) for h in range(4)})
    assert complaints.all_clear
    assert complaints.owed() == ()


def test_a_new_node_owes_nothing_and_answers_nothing():
    complaints = resharing(4, skip=(1,))
    complaints.judged(verdicts(3, 1))
    complaints.hear_responses({})
    assert complaints.owed() == ()
    complaints.answered()
    assert not complaints.all_clear


def test_sharing_another_secret_than_the_old_share_is_a_false_justification():
    everybody = vaults(5, seed=3)
    terms = resharing_terms(everybody[:4], everybody[1:], 2, 3)
    liar = everybody[2]
    liar.old_share = SecretScalar(12345)
    complaints = Complaints(terms, everybody[4].key)
    complaints.hear_deals({Index(place): vault.deal(terms) for place, vault in enumerate(everybody[:4])})
    complaints.judged(verdicts(3, 2))
    complaints.hear_responses({Index(h): verdicts(h) for h in range(3)})
    polynomial = liar.polynomial
    assert isinstance(polynomial, SecretPolynomial)
    shares = (Justification(Index(3), polynomial.evaluate(3).to_bytes()),) * 2
    (found,) = complaints.hear_justifications({Index(2): JustificationBundle(Index(2), shares, terms.session_id)})
    assert found.proved
    assert "does not reshare the share it holds" in found.what


def test_polynomials_decode_once(monkeypatch):
    complaints = dealt(0, own=response(0, bad=(2,)))
    complaints.hear_responses(responses(response(1, bad=(2,))))
    decoded = []
    real = PublicPolynomial.decode.__func__
    monkeypatch.setattr(
        PublicPolynomial, "decode", classmethod(lambda cls, group, data: decoded.append(data) or real(cls, group, data))
    )
    complaints.hear_justifications({Index(2): shown(2, 0, 1)})
    assert len(decoded) == 1
