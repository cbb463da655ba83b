"""Echo broadcast: checked, kept, passed on once, and never more than two of a kind."""

from dataclasses import replace

import pytest

from collective.errors import InvalidSignature, Malformed, MalformedPoint, MalformedScalar
from collective.machine import Persist
from drand.model.bundles import Bundle, Deal, DealBundle, Justification, JustificationBundle, Response, ResponseBundle
from drand.model.chain import Index
from drand.model.group import Peer
from drand.model.packets import DkgPacket
from drand.model.records import BundleKept
from drand.protocol.echo import MAX_BUNDLE_BYTES, EchoBroadcast
from drand.protocol.faults import EquivocatingDealer, EquivocatingHolder, UnknownAuthor, WrongSession
from drand.protocol.steps import CulpritNamed, Report, Send
from tests.support.dkg_world import fresh_terms, vaults

MEMBERS = vaults(4)
TERMS = fresh_terms(MEMBERS, 3)
PEERS = tuple(Peer(f"node{place}:4000", tls=False) for place in (1, 2, 3))
OTHERS = {member.key: peer for member, peer in zip(MEMBERS[1:], PEERS, strict=True)}
DEAL = MEMBERS[2].deal(TERMS)
RESPONSE = MEMBERS[2].signed(ResponseBundle(Index(2), (Response(Index(0), True),), TERMS.session_id))
SHOWN = MEMBERS[2].signed(
    JustificationBundle(Index(2), (Justification(Index(0), bytes(31) + b"\x05"),), TERMS.session_id)
)
KINDS = pytest.mark.parametrize("bundle", [DEAL, RESPONSE, SHOWN], ids=["deal", "response", "justification"])


@pytest.fixture
def echo():
    return EchoBroadcast(TERMS, OTHERS, dealer=Index(0))


def audience(bundle):
    """Whom a bundle of node 2 is passed on to."""
    return (PEERS[0], PEERS[2]) if isinstance(bundle, DealBundle) else PEERS


def variant(bundle, number):
    """Another bundle of the same author and type, signed by it."""
    match bundle:
        case ResponseBundle():
            other = replace(bundle, responses=(Response(Index(number), False),))
        case JustificationBundle():
            other = replace(bundle, justifications=(Justification(Index(number), bytes(32)),))
        case _:
            first, *others = bundle.deals
            altered = Deal(first.share_index, bytes([number]) + first.encrypted_share[1:])
            other = replace(bundle, deals=(altered, *others))
    return MEMBERS[2].signed(other)


@KINDS
def test_a_new_bundle_is_kept_before_it_is_passed_on_a_deal_to_all_but_its_dealer(echo, bundle):
    assert echo.receive(bundle) == [Persist(BundleKept(bundle)), Send(audience(bundle), DkgPacket(bundle))]


@KINDS
def test_our_own_bundle_is_kept_before_it_is_sent(echo, bundle):
    assert echo.send(bundle) == [Persist(BundleKept(bundle)), Send(PEERS, DkgPacket(bundle))]
    assert echo.receive(bundle) == []


@KINDS
def test_a_known_bundle_is_not_passed_on_again_whatever_its_signature(echo, bundle):
    echo.receive(bundle)
    assert echo.receive(bundle) == []
    assert echo.receive(MEMBERS[2].signed(bundle)) == []
    assert echo.receive(replace(bundle, signature=b"no signature at all")) == []


@KINDS
def test_a_second_bundle_is_passed_on_as_proof_and_a_third_is_not(echo, bundle):
    echo.receive(bundle)
    second = variant(bundle, 1)
    kept, sent, named = echo.receive(second)
    assert kept == Persist(BundleKept(second))
    assert sent == Send(PEERS, DkgPacket(second))
    assert isinstance(named, Report)
    assert isinstance(named.fact, CulpritNamed)
    assert (named.fact.index, named.fact.proved) == (2, True)
    assert echo.receive(variant(bundle, 3)) == []
    assert echo.receive(bundle) == []


def test_two_faces_cancel_each_other(echo):
    for bundle in (DEAL, RESPONSE, SHOWN):
        echo.receive(bundle)
    for tray in (echo.deals, echo.responses, echo.justifications):
        assert len(tray) == 1
        assert set(tray.counted()) == {2}
    for bundle in (DEAL, RESPONSE, SHOWN):
        echo.receive(variant(bundle, 1))
    for tray in (echo.deals, echo.responses, echo.justifications):
        assert len(tray) == 0
        assert tray.counted() == {}
        assert tray.twice() == {2}
        assert 2 in tray
        assert 1 not in tray


def test_equivocation_is_an_error_of_its_own_kind(echo):
    echo.keep(DEAL)
    echo.keep(RESPONSE)
    assert isinstance(echo.keep(variant(DEAL, 1)), EquivocatingDealer)
    assert isinstance(echo.keep(variant(RESPONSE, 1)), EquivocatingHolder)


@KINDS
def test_a_bundle_of_another_session_is_refused_however_well_signed(echo, bundle):
    replayed = MEMBERS[2].signed(replace(bundle, session_id=bytes(32)))
    with pytest.raises(WrongSession):
        echo.receive(replayed)
    assert echo.receive(bundle) != []


def test_an_author_in_no_list_is_refused(echo):
    for bundle in (replace(DEAL, dealer_index=4), replace(RESPONSE, share_index=4), replace(SHOWN, dealer_index=4)):
        with pytest.raises(UnknownAuthor, match="index 4"):
            echo.receive(bundle)


@KINDS
def test_a_signature_of_somebody_else_is_refused_and_leaves_no_trace(echo, bundle):
    forged = MEMBERS[1].signed(bundle)
    with pytest.raises(InvalidSignature):
        echo.receive(forged)
    assert len(echo.receive(bundle)) == 2


def test_a_signature_that_does_not_decode_is_refused(echo):
    with pytest.raises(Malformed):
        echo.receive(replace(DEAL, signature=b""))


@pytest.mark.parametrize("commit", [bytes(8), b"\xff" * 8])
def test_a_commitment_that_is_no_point_or_the_identity_is_refused(echo, commit):
    with pytest.raises(MalformedPoint):
        echo.receive(MEMBERS[2].signed(replace(DEAL, commits=(*DEAL.commits[:2], commit))))
    assert len(echo.deals) == 0


@pytest.mark.parametrize(
    "commits", [(), DEAL.commits[:1], DEAL.commits[:2], (*DEAL.commits, DEAL.commits[0]), (*DEAL.commits[:2], b"short")]
)
def test_a_wrong_number_or_length_of_commitments_is_no_deal(echo, commits):
    with pytest.raises(Malformed, match="no deal of 3 commitments"):
        echo.receive(MEMBERS[2].signed(replace(DEAL, commits=commits)))
    assert len(echo.deals) == 0


def relabelled(bundle: Bundle) -> DealBundle:
    """What `bundle` signs, sent as a deal: no hash says of which type its bundle is."""
    match bundle:
        case ResponseBundle():
            body = b"".join(one.dealer_index.to_bytes(4, "big") + bytes([one.valid]) for one in bundle.responses)
        case JustificationBundle():
            body = b"".join(one.share_index.to_bytes(4, "big") + one.share for one in bundle.justifications)
        case DealBundle():
            body = b"".join(bundle.commits)
            body += b"".join(one.share_index.to_bytes(4, "big") + one.encrypted_share for one in bundle.deals)
    deal = Deal(Index(int.from_bytes(body[:4], "big")), body[4:])
    return DealBundle(bundle.author, (), (deal,), bundle.session_id, bundle.signature)


@pytest.mark.parametrize("answer", [RESPONSE, SHOWN], ids=["response", "justification"])
def test_an_answer_that_is_sent_as_a_deal_is_no_second_deal_of_its_author(echo, answer):
    """Else whoever sees an answer could have its author evicted, with proof."""
    forged = relabelled(answer)
    assert forged.hash() == answer.hash()
    echo.receive(DEAL)
    with pytest.raises(Malformed):
        echo.receive(forged)
    assert echo.deals.counted() == {2: DEAL}
    assert echo.deals.twice() == frozenset()


def test_no_commitment_is_decoded_before_the_signature_holds(echo, monkeypatch):
    echo.receive(MEMBERS[2].deal(TERMS))  # the author's own key is decoded by now
    decoded = []
    group = TERMS.scheme.key_group
    original = group.decode
    monkeypatch.setattr(group, "decode", lambda data: decoded.append(data) or original(data))
    flood = replace(DEAL, commits=DEAL.commits * 300)
    with pytest.raises(InvalidSignature):
        echo.receive(replace(flood, signature=DEAL.signature))
    assert decoded == [DEAL.signature[: group.point_bytes]]


def border_moved_into_the_deals() -> DealBundle:
    """The last commitment and every deal, read as one deal."""
    index, rest = DEAL.commits[-1][:4], DEAL.commits[-1][4:]
    deals = b"".join(deal.share_index.to_bytes(4, "big") + deal.encrypted_share for deal in DEAL.deals)
    return replace(DEAL, commits=DEAL.commits[:-1], deals=(Deal(Index(int.from_bytes(index, "big")), rest + deals),))


def deal_hidden_in_the_one_before() -> DealBundle:
    first, second, *others = DEAL.deals
    hidden = first.encrypted_share + second.share_index.to_bytes(4, "big") + second.encrypted_share
    return replace(DEAL, deals=(Deal(first.share_index, hidden), *others))


@pytest.mark.parametrize("moved", [border_moved_into_the_deals(), deal_hidden_in_the_one_before()])
def test_a_border_moved_on_the_way_is_moved_back(echo, moved):
    """The signature holds for both readings, and the dealer is guilty of neither."""
    assert moved != DEAL
    assert moved.hash() == DEAL.hash()
    assert echo.receive(moved) == [Persist(BundleKept(DEAL)), Send(audience(DEAL), DkgPacket(DEAL))]
    assert echo.receive(DEAL) == []
    assert echo.deals.counted() == {2: DEAL}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("share", [b"", b"odd", DEAL.deals[0].encrypted_share + b"!", bytes(500)])
def test_a_share_of_odd_length_stays_what_its_dealer_signed_whatever_borders_it_comes_with(echo, share, place):
    """v1.5.11 keeps such a bundle, and its holder complains: to drop it would give us another qualified set."""
    deals = list(DEAL.deals)
    deals[place] = Deal(deals[place].share_index, share)
    odd = MEMBERS[2].signed(replace(DEAL, deals=tuple(deals)))
    assert echo.receive(relabelled(odd))[0] == Persist(BundleKept(odd))
    assert echo.receive(odd) == []
    assert echo.deals.counted() == {2: odd}


@pytest.mark.parametrize("share", [b"", bytes(31), b"\xff" * 32, (2**61 - 1).to_bytes(32, "big")])
def test_a_shown_share_that_is_no_scalar_is_refused(echo, share):
    with pytest.raises(MalformedScalar):
        echo.receive(MEMBERS[2].signed(replace(SHOWN, justifications=(Justification(Index(0), share),))))


@pytest.mark.parametrize(
    "bundle",
    [
        replace(DEAL, deals=(Deal(Index(0), bytes(MAX_BUNDLE_BYTES)),)),
        replace(RESPONSE, responses=(Response(Index(0), True),) * (MAX_BUNDLE_BYTES // 8 + 1)),
        replace(SHOWN, justifications=(Justification(Index(0), bytes(MAX_BUNDLE_BYTES)),)),
    ],
)
def test_an_oversized_bundle_is_refused_before_its_signature_is_looked_at(echo, bundle):
    with pytest.raises(Malformed, match="at most"):
        echo.receive(bundle)


def test_deals_are_echoed_once_each_has_come_from_every_other_node(echo):
    echo.send(MEMBERS[0].deal(TERMS))  # nobody sends us ours
    echo.receive(DEAL)
    for _ in PEERS[1:]:
        assert not echo.deals_echoed()
        echo.receive(DEAL)
    assert echo.deals_echoed()
    other = MEMBERS[1].deal(TERMS)
    echo.receive(other)
    assert not echo.deals_echoed()
    echo.receive(MEMBERS[1].signed(replace(other, deals=())))
    assert echo.deals_echoed(), "a deal that does not count is not waited for"


@pytest.mark.parametrize(("bundle", "echoed"), [(RESPONSE, "responses_echoed"), (SHOWN, "justifications_echoed")])
def test_answers_are_echoed_once_each_has_come_from_every_other_node(echo, bundle, echoed):
    echo.receive(bundle)
    for _ in PEERS[1:]:
        assert not getattr(echo, echoed)()
        echo.receive(bundle)
    assert getattr(echo, echoed)()


@pytest.mark.parametrize("echoed", ["responses_echoed", "justifications_echoed"])
def test_our_own_answer_has_to_come_back_from_every_other_node(echo, echoed):
    own = MEMBERS[0].signed(
        ResponseBundle(Index(0), (Response(Index(0), True),), TERMS.session_id)
        if echoed == "responses_echoed"
        else JustificationBundle(Index(0), (), TERMS.session_id)
    )
    echo.send(own)
    for _ in PEERS:
        assert not getattr(echo, echoed)()
        echo.receive(own)
    assert getattr(echo, echoed)()
