"""The holder's verdicts on the dealers."""

from collections.abc import Iterable

from msgspec.structs import replace

from collective.errors import CollectiveError
from drand.model.bundles import DealBundle, Response, ResponseBundle
from drand.model.chain import Index
from drand.model.vault_messages import DealsJudged, JudgeDeals
from drand.vault.keeper import Keeper
from drand.vault.seat import Seat, by_dealer, known_dealers
from drand.vault.sessions import session_of, with_session
from drand.vault.state import ReceivedShare, VaultState


def judge_deals(keeper: Keeper, state: VaultState, request: JudgeDeals) -> tuple[VaultState, DealsJudged]:
    """One verdict bundle a session, the first: peers evict a holder who signed two. Right shares are kept with it.

    Source: kyber v1.2.0, share/dkg/dkg.go, ProcessDeals.
    """
    terms = request.terms
    session = session_of(keeper, state, terms)
    dealers = known_dealers(terms, request.dealers)
    seat = Seat.of(keeper, terms)
    if seat is None or not dealers:
        return state, DealsJudged(request.request_id, None)
    if session.response is not None:
        return state, DealsJudged(request.request_id, session.response)
    bundles = by_dealer(terms, request.deals)
    received = right_shares(seat, (bundles[dealer] for dealer in dealers if dealer in bundles))
    right = {item.dealer for item in received}
    own = terms.dealer(keeper.public_key)
    if own is not None and session.deal is not None:
        right.add(own.index)
    verdicts = tuple(Response(dealer, dealer in right) for dealer in dealers)
    unsigned = ResponseBundle(seat.index, verdicts, terms.session_id)
    bundle = ResponseBundle(seat.index, verdicts, terms.session_id, keeper.sign(unsigned.hash()))
    session = replace(session, received=received, response=bundle)
    return with_session(state, session), DealsJudged(request.request_id, bundle)


def right_shares(seat: Seat, bundles: Iterable[DealBundle]) -> tuple[ReceivedShare, ...]:
    """The shares that open and lie on their dealer's polynomial; our own bundle seals nothing to us."""
    judged = (_right_share(seat, bundle) for bundle in bundles)
    return tuple(received for received in judged if received is not None)


def _right_share(seat: Seat, bundle: DealBundle) -> ReceivedShare | None:
    """None is a complaint: whatever is wrong with a bundle, its dealer must answer by showing the share."""
    try:
        share = seat.sealed_share(bundle, seat.commitments(bundle))
    except CollectiveError:
        return None
    return ReceivedShare(dealer=Index(bundle.dealer_index), bundle_hash=bundle.hash(), share=share)
