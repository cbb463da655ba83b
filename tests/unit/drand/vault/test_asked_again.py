"""The same question has the same answer: after a lost reply, a crash at any moment, a full disk."""

from dataclasses import replace

import pytest

from drand.model.chain import Index
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    DealsJudged,
    JudgeDeals,
    SharesCombined,
    SharesDealt,
    SharesShown,
    ShowShares,
)
from drand.vault.state import decode
from tests.support.vaults import Ceremony, Site, fresh_id


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


def test_sessions_side_by_side_do_not_touch_each_other():
    ceremony = Ceremony(5, 3)
    first, second = ceremony.terms, replace(ceremony.terms, session_id=b"\x01" * 32)
    deals = {}
    for terms in (first, second):
        ceremony.terms = terms
        deals[terms.session_id] = ceremony.deals()
    for terms in (first, second, first):  # each step writes its session anew
        ceremony.terms = terms
        assert ceremony.deals() == deals[terms.session_id]
        assert all(ceremony.judge(0, deals[terms.session_id]).values())


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
