"""A key generation among real vaults: fresh, with liars, with crashes at every step, and handed on to other nodes."""

from dataclasses import replace

import pytest

from collective.errors import InvalidSignature
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.threshold import PartialSignature, recover
from collective.signatures import schnorr
from drand.model.bundles import Bundle, Deal, DealBundle, Participant
from drand.model.chain import Index
from drand.model.schemes import Scheme, scheme_named
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    DealsJudged,
    GroupSigned,
    IdentityShown,
    JudgeDeals,
    PartialSigned,
    SharesCombined,
    SharesDealt,
    SharesShown,
    ShowIdentity,
    ShowShares,
    SignGroup,
    UserEntropy,
)
from drand.vault.state import decode
from tests.support.committee import TOY_CHAINED, TOY_UNCHAINED
from tests.support.vaults import Ceremony, Site, fresh_id, genesis, sign_request

SCHEMES = [TOY_CHAINED, TOY_UNCHAINED, scheme_named("bls-unchained-g1-rfc9380")]


def check_author(bundle: Bundle, key: bytes, scheme: Scheme) -> None:
    schnorr.verify(scheme.key_group, scheme.decode_key(key), bundle.hash(), bundle.signature)


def first_round(ceremony: Ceremony, ends: list[SharesCombined], signers: list[int]) -> bytes:
    """The collective signature of round 1, put together from these nodes' partials and verified."""
    scheme, group = ceremony.scheme, ceremony.group(ends[0].commits)
    previous = genesis(group).signature
    partials = {}
    for at in signers:
        reply = ceremony.sites[at].ask(sign_request(ends[at].epoch_id, 1, previous), PartialSigned)
        partial = PartialSignature.decode(reply.partial, scheme.signature_bytes)
        assert partial.index == ends[at].index
        partials[partial.index] = scheme.signature_group.decode(partial.signature)
    signature = scheme.signature_group.encode(recover(scheme.signature_group, partials, len(group.public_key)))
    scheme.bls.verify(scheme.decode_key(group.public_key[0]), scheme.digest(1, previous), signature)
    return signature


def corrupted(bundle: DealBundle, holder: int) -> DealBundle:
    """The bundle with one sealed share that does not open."""
    deals = tuple(
        Deal(deal.share_index, bytes(len(deal.encrypted_share))) if deal.share_index == holder else deal
        for deal in bundle.deals
    )
    return replace(bundle, deals=deals)


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


# ------------------------------------------------------------------ the same question, the same answer


def everything_asked(
    ceremony: Ceremony, site: Site
) -> tuple[object, object, object, tuple[bytes, int, tuple[bytes, ...]]]:
    """What one node gets out of its vault in a ceremony whose other nodes have dealt; request ids left out."""
    deals = tuple(ceremony.deal(at) for at in range(len(ceremony.sites)) if ceremony.sites[at] is not site)
    dealt = site.ask(DealShares(fresh_id(), ceremony.terms), SharesDealt).bundle
    judged = site.ask(JudgeDeals(fresh_id(), ceremony.terms, deals, ceremony.everybody), DealsJudged).bundle
    shown = site.ask(ShowShares(fresh_id(), ceremony.terms, (Index(2), Index(1))), SharesShown).bundle
    end = site.ask(CombineShares(fresh_id(), ceremony.terms, deals, ceremony.everybody), SharesCombined)
    return dealt, judged, shown, (end.epoch_id, end.index, end.commits)


def test_every_answer_is_the_same_when_asked_again_after_a_restart():
    ceremony = Ceremony()
    first = everything_asked(ceremony, ceremony.sites[0])
    assert everything_asked(ceremony, ceremony.sites[0]) == first
    for site in ceremony.sites:
        site.restart()
    writes = ceremony.sites[0].file.writes
    assert everything_asked(ceremony, ceremony.sites[0]) == first
    assert ceremony.sites[0].file.writes == writes


@pytest.mark.parametrize("crash_at", range(1, 5))
def test_a_crash_between_saving_and_answering_changes_no_answer(crash_at: int):
    ceremony = Ceremony()
    site = ceremony.sites[0]
    site.file = DyingFile(crash_at)
    site.restart()
    with pytest.raises(ProcessDied):
        everything_asked(ceremony, site)
    saved = decode(site.file.data or b"", "file", order=ceremony.scheme.key_group.order)
    assert (len(saved.sessions), len(saved.epochs)) == (1, int(crash_at == 4))
    site.restart()
    dealt, judged, shown, (epoch_id, _, _) = kept = everything_asked(ceremony, site)
    assert saved.sessions[0].deal == dealt
    assert saved.sessions[0].response in (None, judged)
    assert saved.sessions[0].justifications in ((), (shown,))
    assert all(epoch.epoch_id == epoch_id for epoch in saved.epochs)
    site.restart()
    assert everything_asked(ceremony, site) == kept


class ProcessDied(BaseException):
    """Raised after the file was replaced and before the reply was given."""


class DyingFile:
    """A state file whose process dies right after the nth write."""

    def __init__(self, dies_at: int) -> None:
        self.data: bytes | None = None
        self.writes = 0
        self.dies_at = dies_at

    def read(self) -> bytes | None:
        return self.data

    def replace(self, data: bytes) -> None:
        self.data = data
        self.writes += 1
        if self.writes == self.dies_at:
            raise ProcessDied


def test_a_full_disk_refuses_for_now_and_commits_the_vault_to_nothing():
    ceremony = Ceremony()
    site = ceremony.sites[0]
    site.file.full = True
    refused = site.refusal(DealShares(fresh_id(), ceremony.terms))
    assert refused.retry
    assert "no space" in refused.reason
    site.file.full = False
    bundle = ceremony.deal(0)
    site.restart()
    assert ceremony.deal(0) == bundle


def test_a_second_verdict_with_other_deals_is_the_first_one():
    ceremony = Ceremony()
    deals = ceremony.deals()
    early = ceremony.judge(0, deals[:3])
    assert ceremony.judge(0, deals) == early
    assert len({end.commits for end in (ceremony.combine(at, deals) for at in range(5))}) == 1


def test_a_share_kept_from_one_bundle_is_not_used_for_another_of_the_same_dealer():
    ceremony, other = Ceremony(), Ceremony(seed=0)
    deals = ceremony.deals()
    ceremony.judge(0, deals)
    other.sites[1].entropy = ceremony.sites[2].entropy
    other.sites[1].restart()
    second = other.deal(1)
    assert second.commits != deals[1].commits
    mixed = (deals[0], second, *deals[2:])
    assert ceremony.combine(0, mixed).commits != ceremony.combine(0, deals).commits


def test_a_session_id_stands_for_one_set_of_terms():
    ceremony = Ceremony()
    ceremony.deal(0)
    other = replace(ceremony.terms, threshold=4)
    assert "other terms" in ceremony.sites[0].refusal(DealShares(fresh_id(), other)).reason


def test_a_ninth_open_session_closes_the_oldest_for_good():
    ceremony = Ceremony()
    site, first = ceremony.sites[0], ceremony.terms
    for number in range(9):
        site.ask(DealShares(fresh_id(), replace(first, session_id=bytes([number]) * 32)), SharesDealt)
    oldest = replace(first, session_id=bytes(32))
    assert "over" in site.refusal(DealShares(fresh_id(), oldest)).reason
    saved = decode(site.file.data or b"", "file", order=ceremony.scheme.key_group.order)
    assert len(saved.sessions) == 8
    assert saved.closed_sessions == (bytes(32),)


def test_an_opened_epoch_ends_its_session_and_erases_the_polynomial():
    ceremony = Ceremony()
    ends = ceremony.run()
    deals_again = DealShares(fresh_id(), ceremony.terms)
    assert "over" in ceremony.sites[0].refusal(deals_again).reason
    saved = decode(ceremony.sites[0].file.data or b"", "file", order=ceremony.scheme.key_group.order)
    assert saved.sessions == ()
    assert [epoch.epoch_id for epoch in saved.epochs] == [ends[0].epoch_id]


def test_combining_again_after_the_session_is_over_names_the_same_epoch():
    ceremony = Ceremony()
    deals = ceremony.deals()
    ends = [ceremony.combine(at, deals) for at in range(5)]
    ceremony.open(0, ends[0])
    ceremony.sites[0].restart()
    again = ceremony.combine(0, deals[1:])
    assert (again.epoch_id, again.commits) == (ends[0].epoch_id, ends[0].commits)


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


# ------------------------------------------------------------------ identity, group, operator's randomness


def test_the_identity_is_self_signed():
    site = Ceremony(1, 1).sites[0]
    identity = site.ask(ShowIdentity(fresh_id()), IdentityShown).identity
    identity.check_self_signature()
    assert identity == site.keys.identity


def test_a_leader_signs_the_hash_of_a_group_it_is_in_once():
    ceremony = Ceremony()
    site, group = ceremony.sites[0], ceremony.candidates
    signed = site.ask(SignGroup(fresh_id(), group), GroupSigned)
    schnorr.verify(ceremony.scheme.key_group, ceremony.scheme.decode_key(site.key), group.hash(), signed.signature)
    site.restart()
    assert site.ask(SignGroup(fresh_id(), group), GroupSigned).signature == signed.signature
    outsider = Ceremony(1, 1, seed=9).sites[0]
    assert "not in this group" in outsider.refusal(SignGroup(fresh_id(), group)).reason
    assert "threshold" in site.refusal(SignGroup(fresh_id(), replace(group, threshold=1))).reason


def test_the_operators_script_alone_determines_the_constant_term():
    request = UserEntropy("/script", user_only=True)
    first, second = Ceremony(), Ceremony()
    second.sites[0].entropy = first.sites[1].entropy
    second.sites[0].restart()
    mine, same = first.deal(0, request), second.deal(0, request)
    assert mine.commits[0] == same.commits[0]
    assert mine.commits[1:] != same.commits[1:]


def test_the_operators_script_is_mixed_with_the_systems_randomness():
    request = UserEntropy("/script", user_only=False)
    first, second = Ceremony(), Ceremony()
    second.sites[0].entropy = first.sites[1].entropy
    second.sites[0].restart()
    assert first.deal(0, request).commits[0] != second.deal(0, request).commits[0]
    assert Ceremony().deal(0, request).commits[0] != Ceremony().deal(0).commits[0]


def test_a_script_that_gives_nothing_stops_the_dealing_only_when_it_stands_alone():
    ceremony = Ceremony()
    ceremony.sites[0].script = lambda path, size: b""
    alone = DealShares(fresh_id(), ceremony.terms, UserEntropy("/script", user_only=True))
    refused = ceremony.sites[0].refusal(alone)
    assert "error picking secret" in refused.reason
    assert refused.retry
    assert ceremony.deal(0, UserEntropy("/script", user_only=False))


# ------------------------------------------------------------------ resharing


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
