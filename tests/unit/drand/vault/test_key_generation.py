"""A fresh key generation among real vaults, honest ones and liars: what is dealt, judged, shown and combined."""

from dataclasses import replace

import pytest

from collective.errors import InvalidSignature
from collective.sealing import ecies
from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.signatures import schnorr
from drand.model.bundles import Bundle, Deal, DealBundle
from drand.model.chain import Index
from drand.model.schemes import Scheme, scheme_named
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    DealsJudged,
    JudgeDeals,
    SharesDealt,
    SharesShown,
    ShowShares,
)
from drand.vault import combining
from tests.support.committee import TOY_CHAINED, TOY_UNCHAINED
from tests.support.entropy import SeededEntropy
from tests.support.vaults import Ceremony, corrupted, first_round, fresh_id

SCHEMES = [TOY_CHAINED, TOY_UNCHAINED, scheme_named("bls-unchained-g1-rfc9380")]


def check_author(bundle: Bundle, key: bytes, scheme: Scheme) -> None:
    schnorr.verify(scheme.key_group, scheme.decode_key(key), bundle.hash(), bundle.signature)


def without(bundle: DealBundle, holder: int) -> DealBundle:
    return replace(bundle, deals=tuple(deal for deal in bundle.deals if deal.share_index != holder))


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_five_vaults_make_one_key_and_any_three_of_them_sign_for_it(scheme: Scheme):
    ceremony = Ceremony(5, 3, scheme)
    ends = ceremony.run()
    assert len({end.commits for end in ends}) == 1
    assert len({end.epoch_id for end in ends}) == 1
    assert [end.index for end in ends] == list(range(5))
    assert first_round(ceremony, ends, [0, 1, 2]) == first_round(ceremony, ends, [4, 2, 3])


def test_every_bundle_is_signed_by_its_author():
    ceremony = Ceremony()
    deals = ceremony.deals()
    for at, site in enumerate(ceremony.sites):
        check_author(deals[at], site.key, ceremony.scheme)
        judged = site.ask(JudgeDeals(fresh_id(), ceremony.terms, deals, ceremony.everybody), DealsJudged)
        assert judged.bundle is not None
        check_author(judged.bundle, site.key, ceremony.scheme)
    shown = ceremony.sites[2].ask(ShowShares(fresh_id(), ceremony.terms, (Index(0), Index(4))), SharesShown)
    check_author(shown.bundle, ceremony.sites[2].key, ceremony.scheme)
    with pytest.raises(InvalidSignature):
        check_author(shown.bundle, ceremony.sites[3].key, ceremony.scheme)


def test_a_dealer_seals_a_share_to_everybody_but_itself():
    bundle = Ceremony().deal(3)
    assert [deal.share_index for deal in bundle.deals] == [0, 1, 2, 4]
    assert len(bundle.commits) == 3


def test_a_shown_share_lies_on_the_dealers_commitments():
    ceremony = Ceremony()
    bundle = ceremony.deal(1)
    shown = ceremony.sites[1].ask(ShowShares(fresh_id(), ceremony.terms, (Index(4),)), SharesShown).bundle
    [item] = shown.justifications
    public = PublicPolynomial.decode(ceremony.scheme.key_group, bundle.commits)
    group = ceremony.scheme.key_group
    value = int.from_bytes(item.share, "big")
    assert group.equal(group.multiply(group.generator(), value), public.evaluate(4))


@pytest.mark.parametrize("spoil", [corrupted, without], ids=["does not open", "is missing"])
def test_a_bad_share_is_complained_about_and_the_shown_one_taken(spoil):
    ceremony = Ceremony()
    deals = list(ceremony.deals())
    for_victim = [*deals[:1], spoil(deals[1], 4), *deals[2:]]
    assert ceremony.judge(4, for_victim) == {0: True, 1: False, 2: True, 3: True, 4: True}
    request = CombineShares(fresh_id(), ceremony.terms, tuple(for_victim), ceremony.everybody)
    assert "no share of dealer 1" in ceremony.sites[4].refusal(request).reason
    shown = ceremony.sites[1].ask(ShowShares(fresh_id(), ceremony.terms, (Index(4),)), SharesShown).bundle
    wrong = ((Index(1), bytes(32)),)
    assert "does not match" in ceremony.sites[4].refusal(replace(request, shown=wrong)).reason
    ends = [ceremony.combine(at, deals) for at in range(4)]
    ends.append(ceremony.combine(4, for_victim, shown=((Index(1), shown.justifications[0].share),)))
    for at, end in enumerate(ends):
        ceremony.open(at, end)
    first_round(ceremony, ends, [2, 3, 4])


def test_bundles_that_are_not_deals_of_this_session_are_complained_about():
    ceremony = Ceremony()
    deals = list(ceremony.deals())
    deals[0] = replace(deals[0], session_id=b"x" * 32)
    deals[1] = replace(deals[1], commits=deals[1].commits[:2])
    deals[2] = replace(deals[2], commits=(b"\xff" * 8, *deals[2].commits[1:]))
    deals[3] = replace(deals[3], commits=deals[0].commits)
    assert ceremony.judge(4, deals) == {0: False, 1: False, 2: False, 3: False, 4: True}


def test_a_deal_of_another_degree_is_complained_about_although_its_shares_fit_it():
    """One coefficient more, and `threshold` shares would not make a signature any more."""
    ceremony, deals = Ceremony(5, 3), Ceremony(5, 3).deals()
    for threshold in (4, 5):
        steeper = Ceremony(5, threshold).deal(1)
        assert len(steeper.commits) == threshold
        assert ceremony.judge(0, [deals[0], steeper, *deals[2:]])[Index(1)] is False
        ceremony = Ceremony(5, 3)


@pytest.mark.parametrize(
    "spelled",
    [
        lambda share, order: (share + order).to_bytes(32, "big"),
        lambda share, order: share.to_bytes(33, "big"),
        lambda share, order: share.to_bytes(31, "big"),
        lambda share, order: b"",
    ],
    ids=["not below the order", "a byte too long", "a byte too short", "nothing"],
)
def test_a_share_is_taken_in_one_spelling_only(spelled):
    ceremony = Ceremony(5, 3)
    group, key = ceremony.scheme.key_group, ceremony.sites[0].keys
    deals = ceremony.deals()
    sealed = next(deal for deal in deals[1].deals if deal.share_index == 0)
    share = int.from_bytes(ecies.unseal(group, key.secret, sealed.encrypted_share), "big")
    again = spelled(share, group.order)
    other = Deal(sealed.share_index, ecies.seal(group, group.decode(key.identity.key), again, SeededEntropy(1)))
    altered = replace(deals[1], deals=tuple(other if deal == sealed else deal for deal in deals[1].deals))
    verdicts = ceremony.judge(0, [deals[0], altered, *deals[2:]])
    assert verdicts == {Index(at): at != 1 for at in range(5)}


def test_a_silent_dealer_is_complained_about_and_left_out():
    ceremony = Ceremony()
    deals = [ceremony.deal(at) for at in range(4)]
    assert ceremony.judge(0, deals) == {0: True, 1: True, 2: True, 3: True, 4: False}
    qualified = tuple(Index(at) for at in range(4))
    ends = [ceremony.combine(at, deals, qualified) for at in range(5)]
    assert len({end.commits for end in ends}) == 1


def test_a_node_that_did_not_deal_complains_about_itself():
    ceremony = Ceremony()
    deals = [ceremony.deal(at) for at in range(1, 5)]
    assert ceremony.judge(0, deals)[Index(0)] is False


def test_verdicts_come_in_the_order_of_the_dealers_asked_about():
    ceremony = Ceremony()
    deals = ceremony.deals()
    assert list(ceremony.judge(1, deals, (Index(4), Index(0)))) == [4, 0]


def test_an_outsider_neither_deals_nor_judges_nor_combines():
    ceremony = Ceremony()
    outsider = Ceremony(1, 1, seed=9).sites[0]
    deals = ceremony.deals()
    assert outsider.ask(DealShares(fresh_id(), ceremony.terms), SharesDealt).bundle is None
    judged = outsider.ask(JudgeDeals(fresh_id(), ceremony.terms, deals, ceremony.everybody), DealsJudged)
    assert judged.bundle is None
    assert "no holder" in outsider.refusal(CombineShares(fresh_id(), ceremony.terms, deals, ceremony.everybody)).reason
    assert "nothing was dealt" in outsider.refusal(ShowShares(fresh_id(), ceremony.terms, (Index(0),))).reason


def test_nobody_to_judge_is_no_bundle():
    ceremony = Ceremony()
    reply = ceremony.sites[0].ask(JudgeDeals(fresh_id(), ceremony.terms, (), ()), DealsJudged)
    assert reply.bundle is None


def test_with_and_without_our_own_deal_are_two_shares():
    ceremony = Ceremony(5, 3)
    deals = ceremony.deals()
    others = tuple(Index(at) for at in (1, 2, 3))
    with_ours = ceremony.combine(0, deals, (Index(0), *others))
    without_ours = ceremony.combine(0, deals, others)
    assert with_ours.commits != without_ours.commits
    assert without_ours.commits == ceremony.combine(4, deals, others).commits


@pytest.mark.parametrize(("wrong", "reason"), [(0, "would be zero"), (1, "does not match")])
def test_a_share_that_came_out_wrong_is_not_kept(monkeypatch: pytest.MonkeyPatch, wrong: int, reason: str):
    """All that goes in was checked, so only a fault of our own machine could do this: the last moment to notice."""
    ceremony = Ceremony(3, 2)
    deals = ceremony.deals()
    monkeypatch.setattr(combining, "combine_fresh_shares", lambda shares, order: SecretScalar(wrong))
    refused = ceremony.sites[0].refusal(CombineShares(fresh_id(), ceremony.terms, deals, ceremony.everybody))
    assert reason in refused.reason
