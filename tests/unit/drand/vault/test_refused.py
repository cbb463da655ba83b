"""What a vault refuses in a key generation: to show its secret, and requests that are not sound."""

from dataclasses import replace
from itertools import combinations

import pytest

from drand.model.bundles import Deal, Participant
from drand.model.chain import Index
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    JudgeDeals,
    SharesShown,
    ShowShares,
)
from drand.vault.dealing import MAX_JUSTIFICATIONS
from tests.support.committee import TOY_UNCHAINED
from tests.support.vaults import Ceremony, corrupted, fresh_id

# ------------------------------------------------------------------ what is never shown


def test_threshold_many_shares_are_never_shown():
    ceremony = Ceremony(5, 3)
    ceremony.deal(0)
    refused = ceremony.sites[0].refusal(ShowShares(fresh_id(), ceremony.terms, (Index(1), Index(2), Index(3))))
    assert "the threshold is 3" in refused.reason
    assert not refused.retry


def test_the_limit_counts_over_the_whole_session_and_survives_a_restart():
    ceremony = Ceremony(5, 3)
    ceremony.deal(0)
    site = ceremony.sites[0]
    for holder in (1, 2, 1):
        site.ask(ShowShares(fresh_id(), ceremony.terms, (Index(holder),)), SharesShown)
    site.restart()
    assert "would show the secret" in site.refusal(ShowShares(fresh_id(), ceremony.terms, (Index(3),))).reason
    site.ask(ShowShares(fresh_id(), ceremony.terms, (Index(2), Index(1))), SharesShown)


def test_only_so_many_different_justifications_are_signed_in_one_session():
    ceremony = Ceremony(9, 5)
    ceremony.deal(0)
    site = ceremony.sites[0]
    asked = [holders for size in (1, 2) for holders in combinations(map(Index, (1, 2, 3, 4)), size)]
    for holders in asked[:MAX_JUSTIFICATIONS]:
        site.ask(ShowShares(fresh_id(), ceremony.terms, holders), SharesShown)
    refused = site.refusal(ShowShares(fresh_id(), ceremony.terms, asked[MAX_JUSTIFICATIONS]))
    assert "too many different justifications" in refused.reason
    site.ask(ShowShares(fresh_id(), ceremony.terms, asked[0]), SharesShown)


def test_who_has_not_dealt_has_nothing_to_show():
    ceremony = Ceremony()
    refused = ceremony.sites[0].refusal(ShowShares(fresh_id(), ceremony.terms, (Index(1),)))
    assert "nothing was dealt" in refused.reason


@pytest.mark.parametrize(
    ("holders", "reason"), [((5,), "no holder"), ((0, 77), "no holder"), ((), "no holder was named")]
)
def test_shares_are_shown_for_holders_only(holders: tuple[int, ...], reason: str):
    ceremony = Ceremony()
    ceremony.deal(0)
    request = ShowShares(fresh_id(), ceremony.terms, tuple(Index(holder) for holder in holders))
    assert reason in ceremony.sites[0].refusal(request).reason


# ------------------------------------------------------------------ unsound requests


PEOPLE = Ceremony().terms.dealers


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"session_id": b"short"}, "32 bytes"),
        ({"scheme": TOY_UNCHAINED}, "scheme"),
        ({"threshold": 2}, "does not lie between 3 and 5"),
        ({"threshold": 6}, "does not lie between 3 and 5"),
        ({"threshold": -1}, "does not lie between"),
        ({"dealers": PEOPLE[:4]}, "same nodes"),
        ({"dealers": (), "holders": ()}, "dealers, got 0"),
        ({"holders": (*PEOPLE[:4], Participant(Index(0), b"k"))}, "share one index"),
        ({"holders": (*PEOPLE[:4], Participant(Index(9), PEOPLE[0].key))}, "share one key"),
        ({"holders": (*PEOPLE[:4], Participant(Index(-1), b"k"))}, "out of range"),
        ({"holders": (*PEOPLE[:4], Participant(Index(2**16), b"k"))}, "out of range"),
    ],
)
def test_unsound_terms_are_refused(change: dict[str, object], reason: str):
    ceremony = Ceremony()
    terms = replace(ceremony.terms, **change)
    for request in (
        DealShares(fresh_id(), terms),
        JudgeDeals(fresh_id(), terms, (), (Index(0),)),
        ShowShares(fresh_id(), terms, (Index(0),)),
        CombineShares(fresh_id(), terms, (), (Index(0),)),
    ):
        assert reason in ceremony.sites[0].refusal(request).reason


def test_a_holder_whose_key_is_no_point_stops_the_dealing():
    ceremony = Ceremony()
    people = (*PEOPLE[:4], Participant(Index(4), b"\xff" * 8))
    terms = replace(ceremony.terms, dealers=people, holders=people)
    assert ceremony.sites[0].refusal(DealShares(fresh_id(), terms)).reason


@pytest.mark.parametrize("dealers", [(0, 0, 1), (0, 1, 5), (0, 1, -1)])
def test_dealers_are_named_once_each_and_known(dealers: tuple[int, ...]):
    ceremony = Ceremony()
    deals, named = ceremony.deals(), tuple(Index(dealer) for dealer in dealers)
    for request in (
        JudgeDeals(fresh_id(), ceremony.terms, deals, named),
        CombineShares(fresh_id(), ceremony.terms, deals, named),
    ):
        assert "a dealer is named twice" in ceremony.sites[0].refusal(request).reason


def test_two_bundles_of_one_dealer_are_refused_and_strangers_ignored():
    ceremony = Ceremony()
    deals = ceremony.deals()
    stranger = replace(deals[1], dealer_index=Index(-7))
    request = JudgeDeals(fresh_id(), ceremony.terms, (*deals, corrupted(deals[1], 0)), ceremony.everybody)
    assert "two different deal bundles of dealer 1" in ceremony.sites[0].refusal(request).reason
    assert all(ceremony.judge(0, (stranger, *deals)).values())


def test_a_share_index_that_no_wire_carries_is_refused_not_raised():
    ceremony = Ceremony()
    deals = ceremony.deals()
    odd = replace(deals[1], deals=(Deal(Index(-1), b""),))
    request = JudgeDeals(fresh_id(), ceremony.terms, (odd,), (Index(1),))
    assert "no wire can carry" in ceremony.sites[0].refusal(request).reason


def test_too_few_dealers_make_no_key():
    ceremony = Ceremony()
    deals = ceremony.deals()
    request = CombineShares(fresh_id(), ceremony.terms, deals, (Index(0), Index(1)))
    assert "fewer than the threshold" in ceremony.sites[0].refusal(request).reason
    missing = CombineShares(fresh_id(), ceremony.terms, deals[:2], ceremony.everybody)
    assert "bundle of dealer 2 is missing" in ceremony.sites[0].refusal(missing).reason
