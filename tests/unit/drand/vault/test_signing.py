"""What the vault signs with a share: rounds that are due, one message each, for the group it was opened for."""

from dataclasses import replace

import pytest

from collective.sharing.commitment import PublicPolynomial
from collective.sharing.share import InvalidShare
from collective.sharing.threshold import PartialSignature
from drand.model.chain import Index
from drand.model.group import Group
from drand.model.schemes import Scheme
from drand.model.share import Share
from drand.model.vault_messages import EpochOpened, OpenEpoch, PartialSigned, SharesCombined
from drand.vault.keeper import Refused
from drand.vault.signing import WINDOW_ROUNDS
from drand.vault.state import decode
from tests.support.committee import TOY_CHAINED, TOY_UNCHAINED
from tests.support.vaults import GENESIS_S, PERIOD_S, Ceremony, Site, fresh_id, sign_request

PREVIOUS = bytes(15) + b"\x07"  # any signature of the toy scheme


def opened(scheme: Scheme = TOY_CHAINED) -> tuple[Site, SharesCombined, Group]:
    """A vault whose epoch is open, its clock ten thousand rounds after genesis."""
    ceremony = Ceremony(3, 2, scheme)
    ends = ceremony.run()
    ceremony.set_clocks(GENESIS_S + 10_000 * PERIOD_S)
    return ceremony.sites[1], ends[1], ceremony.group(ends[1].commits)


def signed(site: Site, epoch_id: bytes, round_: int, previous: bytes = PREVIOUS) -> bytes:
    reply = site.ask(sign_request(epoch_id, round_, previous), PartialSigned)
    assert (reply.round, reply.previous_signature) == (round_, previous)
    return reply.partial


@pytest.mark.parametrize("scheme", [TOY_CHAINED, TOY_UNCHAINED], ids=lambda scheme: scheme.name)
def test_a_partial_verifies_under_the_public_share_of_its_index(scheme: Scheme):
    site, end, group = opened(scheme)
    previous = PREVIOUS if scheme.chained else b"whatever the node carries along"
    partial = PartialSignature.decode(signed(site, end.epoch_id, 7, previous), scheme.signature_bytes)
    public = PublicPolynomial.decode(scheme.key_group, group.public_key)
    assert partial.index == end.index == 1
    scheme.bls.verify(public.evaluate(1), scheme.digest(7, previous), partial.signature)


def test_the_partial_is_the_index_in_two_bytes_and_then_the_signature():
    site, end, _ = opened()
    partial = signed(site, end.epoch_id, 7)
    assert partial[:2] == b"\x00\x01"
    assert len(partial) == 2 + TOY_CHAINED.signature_bytes


# ------------------------------------------------------------------ not a second early


def test_a_round_is_refused_until_the_second_it_is_due():
    site, end, _ = opened()
    due = GENESIS_S + 6 * PERIOD_S
    site.clock.unix_s = due - 0.001
    refused = site.refusal(sign_request(end.epoch_id, 7, PREVIOUS))
    assert refused.retry
    assert "round 7 is due in 0.001 s" in refused.reason
    site.clock.unix_s = due
    assert signed(site, end.epoch_id, 7)


@pytest.mark.parametrize("round_", [2**40, 2**63, 2**64 - 1])
def test_a_round_at_the_end_of_time_is_not_due(round_: int):
    site, end, _ = opened()
    assert site.refusal(sign_request(end.epoch_id, round_, PREVIOUS)).retry


@pytest.mark.parametrize("round_", [0, -1, 2**64])
def test_a_round_that_cannot_be_is_refused_for_good(round_: int):
    site, end, _ = opened()
    assert not site.refusal(sign_request(end.epoch_id, round_, PREVIOUS)).retry


# ------------------------------------------------------------------ one message a round


def test_a_second_message_for_a_round_is_refused_also_after_a_restart():
    site, end, _ = opened()
    first = signed(site, end.epoch_id, 7)
    other = bytes(16)
    for _ in range(2):
        refused = site.refusal(sign_request(end.epoch_id, 7, other))
        assert "one message" in refused.reason
        assert not refused.retry
        assert signed(site, end.epoch_id, 7) == first
        site.restart()


def test_the_record_is_on_disk_before_the_partial_is_given():
    site, end, _ = opened()
    site.file.full = True
    assert site.refusal(sign_request(end.epoch_id, 7, PREVIOUS)).retry
    site.file.full = False
    before = site.file.writes
    signed(site, end.epoch_id, 7)
    assert site.file.writes == before + 1
    signed(site, end.epoch_id, 7)
    assert site.file.writes == before + 1


def test_rounds_may_be_signed_in_any_order_within_the_window():
    site, end, _ = opened()
    for round_ in (9, 2, 5, 9, 3):
        signed(site, end.epoch_id, round_)


def test_a_round_below_the_window_is_refused_and_the_record_stays_bounded():
    site, end, _ = opened()
    for round_ in range(2, 2 + WINDOW_ROUNDS + 5):
        signed(site, end.epoch_id, round_)
    site.restart()
    assert "too old" in site.refusal(sign_request(end.epoch_id, 6, PREVIOUS)).reason
    assert signed(site, end.epoch_id, 7)
    saved = decode(site.file.data or b"", "file", order=TOY_CHAINED.key_group.order)
    assert len(saved.signed[0].rounds) == WINDOW_ROUNDS
    assert saved.signed[0].floor == 6


def test_round_1_chains_to_the_genesis_seed_alone():
    site, end, group = opened()
    assert "genesis seed" in site.refusal(sign_request(end.epoch_id, 1, PREVIOUS)).reason
    assert signed(site, end.epoch_id, 1, group.genesis_seed)


@pytest.mark.parametrize("previous", [b"", bytes(15), bytes(17), bytes(10_000)])
def test_a_chained_round_needs_a_whole_previous_signature(previous: bytes):
    site, end, _ = opened()
    assert "a previous signature has 16 bytes" in site.refusal(sign_request(end.epoch_id, 2, previous)).reason


def test_an_unchained_round_has_one_message_anyway_and_writes_nothing():
    site, end, _ = opened(TOY_UNCHAINED)
    before = site.file.writes
    assert signed(site, end.epoch_id, 7, b"") == signed(site, end.epoch_id, 7, PREVIOUS)
    assert site.file.writes == before
    assert "257 bytes" in site.refusal(sign_request(end.epoch_id, 7, bytes(257))).reason


def test_two_shares_of_one_key_never_sign_two_messages_for_a_round():
    before = Ceremony(3, 2)
    old = before.run()
    after = before.resharing(3, 2, old)
    deals = tuple(after.deal(at) for at in range(3))
    new = after.combine(0, deals, (Index(0), Index(1)))
    after.open(0, new)
    site = after.sites[0]
    site.clock.unix_s = GENESIS_S + 1000 * PERIOD_S
    signed(site, old[0].epoch_id, 20)
    assert "one message" in site.refusal(sign_request(new.epoch_id, 20, bytes(16))).reason
    assert signed(site, new.epoch_id, 20)


def test_two_keys_have_a_memory_each():
    """A round of one chain says nothing about the same round of another."""
    ceremony = Ceremony(3, 2)
    first = ceremony.run()[0]
    ceremony.terms = replace(ceremony.terms, session_id=b"\x01" * 32)
    second = ceremony.combine(0, ceremony.deals())
    ceremony.open(0, second)
    site = ceremony.sites[0]
    site.clock.unix_s = GENESIS_S + 1000 * PERIOD_S
    signed(site, first.epoch_id, 20)
    signed(site, second.epoch_id, 20, bytes(16))
    for end, other in ((first, bytes(16)), (second, PREVIOUS)):
        assert "one message" in site.refusal(sign_request(end.epoch_id, 20, other)).reason


# ------------------------------------------------------------------ the group is named once


def test_a_share_that_is_not_open_signs_nothing_yet():
    ceremony = Ceremony(3, 2)
    end = ceremony.combine(0, ceremony.deals())
    refused = ceremony.sites[0].refusal(sign_request(end.epoch_id, 1, b""))
    assert "not open" in refused.reason
    assert refused.retry


def test_an_unknown_share_signs_nothing():
    site, _, _ = opened()
    assert "no share is known" in site.refusal(sign_request(b"x" * 32, 1, b"")).reason


def test_opening_again_is_the_same_answer_and_writes_nothing():
    site, end, group = opened()
    before = site.file.writes
    site.restart()
    site.ask(OpenEpoch(fresh_id(), end.epoch_id, group), EpochOpened)
    assert site.file.writes == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"genesis_unix_s": GENESIS_S - 1}, "another schedule or hash"),
        ({"period_ns": 1_000_000_000}, "another schedule or hash"),
        ({"transition_unix_s": GENESIS_S + 60}, "another schedule or hash"),
        ({"genesis_seed": bytes(32)}, "another schedule or hash"),
        ({"beacon_id": "other"}, "another schedule or hash"),
    ],
)
def test_an_open_share_is_not_opened_for_another_schedule(change: dict[str, object], reason: str):
    site, end, group = opened()
    assert reason in site.refusal(OpenEpoch(fresh_id(), end.epoch_id, replace(group, **change))).reason


def test_a_share_is_opened_for_its_own_group_only():
    ceremony = Ceremony(3, 2)
    end = ceremony.combine(0, ceremony.deals())
    site, group = ceremony.sites[0], ceremony.group(end.commits)
    renamed = tuple(replace(node, index=Index(2 - node.index)) for node in group.nodes)
    for other, reason in (
        (replace(group, public_key=()), "not the polynomial"),
        (replace(group, public_key=group.public_key[::-1]), "not the polynomial"),
        (replace(group, scheme=TOY_UNCHAINED), "scheme"),
        (replace(group, nodes=renamed), "we are not node 0"),
        (replace(group, nodes=group.nodes[1:]), "we are not node 0"),
        (replace(group, threshold=1), "threshold"),
        (replace(group, genesis_unix_s=2**70), "malformed request"),
    ):
        assert reason in site.refusal(OpenEpoch(fresh_id(), end.epoch_id, other)).reason


def test_a_share_is_exported_for_go_each_time_it_is_opened():
    ceremony = Ceremony(3, 2)
    end = ceremony.combine(0, ceremony.deals())
    site = ceremony.sites[0]
    ceremony.open(0, end)
    ceremony.open(0, end)
    assert [(share.index, share.commits) for share in site.exported] == [(0, end.commits)] * 2


def test_only_the_newest_and_the_share_before_it_are_kept():
    ceremony, names = Ceremony(3, 2), []
    start = ceremony.run()[0]
    names.append(start.epoch_id)
    site = ceremony.sites[0]
    for number in range(1, 4):
        terms = replace(ceremony.terms, session_id=bytes([number]) * 32)
        ceremony.terms = terms
        end = ceremony.combine(0, ceremony.deals())
        ceremony.open(0, end)
        names.append(end.epoch_id)
    saved = decode(site.file.data or b"", "file", order=TOY_CHAINED.key_group.order)
    assert [held.epoch_id for held in saved.epochs] == names[-2:]
    assert "no share is known" in site.refusal(sign_request(names[0], 1, b"")).reason


def test_a_share_that_was_never_opened_does_not_push_out_one_that_is_in_use():
    ceremony = Ceremony(3, 2)
    used = ceremony.run()[0]
    ceremony.terms = replace(ceremony.terms, session_id=b"\x01" * 32)
    never = ceremony.combine(0, ceremony.deals())
    ceremony.terms = replace(ceremony.terms, session_id=b"\x02" * 32)
    newest = ceremony.combine(0, ceremony.deals())
    ceremony.open(0, newest)
    saved = decode(ceremony.sites[0].file.data or b"", "file", order=TOY_CHAINED.key_group.order)
    assert {held.epoch_id for held in saved.epochs} == {used.epoch_id, never.epoch_id, newest.epoch_id}


def test_shares_that_are_never_opened_do_not_push_out_one_that_is_in_use():
    ceremony = Ceremony(3, 2)
    used = ceremony.run()[0]
    for number in range(1, 8):
        ceremony.terms = replace(ceremony.terms, session_id=bytes([number]) * 32)
        ceremony.combine(0, ceremony.deals())
    ceremony.set_clocks(GENESIS_S + 1000 * PERIOD_S)
    assert signed(ceremony.sites[0], used.epoch_id, 7)


def test_what_was_signed_is_forgotten_with_the_last_share_of_its_key():
    ceremony = Ceremony(3, 2)
    first = ceremony.run()[0]
    site = ceremony.sites[0]
    site.clock.unix_s = GENESIS_S + 1000 * PERIOD_S
    signed(site, first.epoch_id, 20)
    for number in (1, 2):
        ceremony.terms = replace(ceremony.terms, session_id=bytes([number]) * 32)
        ceremony.open(0, ceremony.combine(0, ceremony.deals()))
    saved = decode(site.file.data or b"", "file", order=TOY_CHAINED.key_group.order)
    assert saved.signed == ()


def test_shares_that_are_never_opened_are_bounded():
    ceremony = Ceremony(3, 2)
    for number in range(7):
        ceremony.terms = replace(ceremony.terms, session_id=bytes([number]) * 32)
        ceremony.combine(0, ceremony.deals())
    saved = decode(ceremony.sites[0].file.data or b"", "file", order=TOY_CHAINED.key_group.order)
    assert len(saved.epochs) == 4


# ------------------------------------------------------------------ a share that another program made


def test_an_adopted_share_has_the_name_it_would_have_had_and_signs():
    site, end, group = opened()
    share = site.exported[-1]
    expected = signed(site, end.epoch_id, 9)
    site.file.data = None
    site.restart()
    assert site.vault.adopt(group, share) == end.epoch_id
    assert site.vault.adopt(group, share) == end.epoch_id
    site.restart()
    site.ask(OpenEpoch(fresh_id(), end.epoch_id, group), EpochOpened)
    assert signed(site, end.epoch_id, 9) == expected


def test_a_share_that_does_not_fit_group_or_polynomial_is_not_adopted():
    ceremony = Ceremony(3, 2)
    end = ceremony.run()[0]
    mine, yours = (ceremony.sites[at].exported[-1] for at in (0, 1))
    group = ceremony.group(end.commits)
    site = ceremony.sites[0]
    site.file.data = None
    site.restart()
    with pytest.raises(Refused, match="we are not node 1"):
        site.vault.adopt(group, yours)
    with pytest.raises(Refused, match="not the polynomial"):
        site.vault.adopt(group, replace(mine, commits=mine.commits[::-1]))
    with pytest.raises(InvalidShare, match="does not match the dealer's commitments"):
        site.vault.adopt(group, Share(mine.index, yours.secret, mine.commits, mine.scheme))
    assert site.file.data is None
