"""A key handed on to other nodes, by shares of the shares."""

from dataclasses import replace

import pytest

from collective.sharing.commitment import PublicPolynomial
from drand.model.bundles import Participant
from drand.model.chain import Index
from drand.model.schemes import Scheme, scheme_named
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    SharesDealt,
)
from tests.support.committee import TOY_CHAINED
from tests.support.vaults import Ceremony, first_round, fresh_id


@pytest.mark.parametrize("scheme", [TOY_CHAINED, scheme_named("pedersen-bls-chained")], ids=lambda scheme: scheme.name)
def test_a_resharing_hands_the_same_key_to_other_nodes(scheme: Scheme):
    before = Ceremony(4, 3, scheme)
    old = before.run()
    after = before.resharing(5, 4, old, newcomers=2)
    dealers = before.sites
    deals = tuple(
        bundle
        for site in dealers
        if (bundle := site.ask(DealShares(fresh_id(), after.terms), SharesDealt).bundle) is not None
    )
    assert len(deals) == 4
    for at in range(5):
        assert all(after.judge(at, deals).values())
    lowest = (Index(0), Index(1), Index(2))
    ends = [after.combine(at, deals, lowest) for at in range(5)]
    assert {end.commits[0] for end in ends} == {old[0].commits[0]}
    assert len({end.commits for end in ends}) == 1
    for at, end in enumerate(ends):
        after.open(at, end)
    assert first_round(after, ends, [0, 1, 3, 4]) == first_round(before, old, [1, 2, 3])


def test_a_dealer_that_reshares_another_secret_is_complained_about():
    before = Ceremony(4, 3)
    after = before.resharing(4, 3, before.run())
    deals = [site.ask(DealShares(fresh_id(), after.terms), SharesDealt).bundle for site in before.sites]
    liar = Ceremony(4, 3)
    liar.terms = replace(after.terms, old=None, dealers=after.terms.holders)
    fresh = liar.sites[1].ask(DealShares(fresh_id(), liar.terms), SharesDealt).bundle
    assert fresh is not None
    deals[1] = fresh
    assert after.judge(0, [one for one in deals if one], (Index(0), Index(1), Index(2))) == {0: True, 1: False, 2: True}


@pytest.mark.parametrize("threshold", [0, 5])
def test_an_old_threshold_lies_within_the_old_nodes(threshold: int):
    before = Ceremony(4, 3)
    after = before.resharing(4, 3, before.run())
    assert after.terms.old is not None
    old = replace(after.terms.old, threshold=threshold, commits=(after.terms.old.commits[0],) * threshold)
    refused = after.sites[0].refusal(DealShares(fresh_id(), replace(after.terms, old=old)))
    assert f"cannot reach the old threshold {threshold}" in refused.reason


def test_a_reshared_share_is_adopted_under_the_name_it_would_have_had():
    before = Ceremony(3, 2)
    after = before.resharing(3, 2, before.run())
    end = after.combine(0, tuple(after.deal(at) for at in range(3)), (Index(0), Index(1)))
    after.open(0, end)
    site = after.sites[0]
    site.file.data = None
    site.restart()
    assert site.vault.adopt(after.group(end.commits), site.exported[-1]) == end.epoch_id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epoch_id": b""}, "no share is known"),
        ({"epoch_id": b"x" * 32}, "no share is known"),
        ({"commits": "reversed"}, "not the one our share lies on"),
        ({"threshold": 2}, "old coefficients"),
    ],
)
def test_an_old_share_is_reshared_only_under_its_own_polynomial(change: dict[str, object], reason: str):
    before = Ceremony(4, 3)
    ends = before.run()
    after = before.resharing(4, 3, ends)
    assert after.terms.old is not None
    if change.get("commits"):
        change = {"commits": ends[0].commits[::-1]}
    terms = replace(after.terms, old=replace(after.terms.old, **change))
    assert reason in before.sites[0].refusal(DealShares(fresh_id(), terms)).reason


def test_a_resharing_takes_exactly_the_old_thresholds_worth_of_dealers():
    before = Ceremony(4, 3)
    after = before.resharing(4, 3, before.run())
    deals = tuple(
        before_site.ask(DealShares(fresh_id(), after.terms), SharesDealt).bundle for before_site in before.sites
    )
    request = CombineShares(fresh_id(), after.terms, tuple(one for one in deals if one), after.everybody)
    assert "exactly 3 dealers, got 4" in after.sites[0].refusal(request).reason


def test_our_own_old_index_must_be_the_one_we_deal_under():
    before = Ceremony(4, 3)
    after = before.resharing(4, 3, before.run())
    first, second, *others = after.terms.dealers
    swapped = (Participant(first.index, second.key), Participant(second.index, first.key), *others)
    refused = before.sites[0].refusal(DealShares(fresh_id(), replace(after.terms, dealers=swapped)))
    assert "index 0, the session says 1" in refused.reason


def test_every_share_lies_on_the_public_polynomial():
    ceremony = Ceremony(5, 3)
    ends, group = ceremony.run(), ceremony.scheme.key_group
    public = PublicPolynomial.decode(group, ends[0].commits)
    for at, site in enumerate(ceremony.sites):
        assert group.equal(group.multiply(group.generator(), site.exported[-1].secret.expose()), public.evaluate(at))
