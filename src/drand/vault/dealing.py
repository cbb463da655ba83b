"""The dealer's side: draw a polynomial once, seal its values, and show the few that are complained about."""

from msgspec.structs import replace

from collective.sealing import ecies
from collective.secret import SecretScalar
from collective.sharing.polynomial import SecretPolynomial
from collective.user_entropy import pick_scalar
from drand.model.bundles import Deal, DealBundle, DkgTerms, Justification, JustificationBundle, OldSharing, Participant
from drand.model.vault_messages import DealShares, SharesDealt, SharesShown, ShowShares, UserEntropy
from drand.vault.keeper import Keeper, Refused
from drand.vault.sessions import epoch_named, session_of, with_session
from drand.vault.state import Session, VaultState

MAX_JUSTIFICATIONS = 8  # different ones signed in one session


def deal_shares(keeper: Keeper, state: VaultState, request: DealShares) -> tuple[VaultState, SharesDealt]:
    """One polynomial a session, whoever asks and however often: a second one would be equivocation.

    Source: kyber v1.2.0, share/dkg/dkg.go, Deals.
    """
    terms = request.terms
    session = session_of(keeper, state, terms)
    me = terms.dealer(keeper.public_key)
    if me is None or session.deal is not None:
        return state, SharesDealt(request.request_id, session.deal)
    constant = _constant(keeper, state, terms, me, request.entropy)
    polynomial = SecretPolynomial.random(terms.threshold, keeper.scheme.key_group.order, keeper.entropy, constant)
    bundle = _seal(keeper, terms, me, polynomial)
    session = replace(session, polynomial=polynomial.coefficients, deal=bundle)
    return with_session(state, session), SharesDealt(request.request_id, bundle)


def show_shares(keeper: Keeper, state: VaultState, request: ShowShares) -> tuple[VaultState, SharesShown]:
    """Reveal some shares in a signed bundle; fewer than `threshold` in the whole session, which would be the secret."""
    terms = request.terms
    wanted: set[int] = set(request.holders)
    session = session_of(keeper, state, terms)
    me = terms.dealer(keeper.public_key)
    if me is None or session.deal is None:
        raise Refused("nothing was dealt in this session")
    if not wanted <= {holder.index for holder in terms.holders}:
        raise Refused("a share was asked for that belongs to no holder of this session")
    for known in session.justifications:
        if {item.share_index for item in known.justifications} == wanted:
            return state, SharesShown(request.request_id, known)
    _check_reveal(session, wanted, terms.threshold)
    polynomial = SecretPolynomial(session.polynomial, keeper.scheme.key_group.order)
    shown = tuple(Justification(index, polynomial.evaluate(index).to_bytes()) for index in sorted(set(request.holders)))
    unsigned = JustificationBundle(me.index, shown, terms.session_id)
    bundle = JustificationBundle(me.index, shown, terms.session_id, keeper.sign(unsigned.hash()))
    session = replace(session, justifications=(*session.justifications, bundle))
    return with_session(state, session), SharesShown(request.request_id, bundle)


def _check_reveal(session: Session, wanted: set[int], threshold: int) -> None:
    if not wanted:
        raise Refused("no holder was named")
    revealed = {item.share_index for bundle in session.justifications for item in bundle.justifications}
    if len(revealed | wanted) >= threshold:
        raise Refused(f"showing {len(revealed | wanted)} shares would show the secret: the threshold is {threshold}")
    if len(session.justifications) >= MAX_JUSTIFICATIONS:
        raise Refused("too many different justifications were signed in this session")


def _constant(
    keeper: Keeper, state: VaultState, terms: DkgTerms, me: Participant, entropy: UserEntropy | None
) -> SecretScalar | None:
    """What we share: our old share in a resharing, else a secret with the operator's randomness in it; None: fresh."""
    if terms.old is not None:
        return _old_share(state, terms.old, me)
    if entropy is None:
        return None
    script = entropy.script
    readers = [lambda count: keeper.read_script(script, count)]
    if not entropy.user_only:
        readers.append(keeper.entropy.bytes)
    return pick_scalar(readers, keeper.scheme.key_group.order)


def _old_share(state: VaultState, old: OldSharing, me: Participant) -> SecretScalar:
    held = epoch_named(state, old.epoch_id)
    if held.commits != old.commits:
        raise Refused("the old public polynomial is not the one our share lies on")
    if held.index != me.index:
        raise Refused(f"our old share has index {held.index}, the session says {me.index}")
    return held.share


def _seal(keeper: Keeper, terms: DkgTerms, me: Participant, polynomial: SecretPolynomial) -> DealBundle:
    """Commitments and every other holder's share, sealed to it; signed."""
    group = keeper.scheme.key_group
    deals = []
    for holder in terms.holders:
        if holder.key == keeper.public_key:
            continue
        share = polynomial.evaluate(holder.index).to_bytes()
        sealed = ecies.seal(group, keeper.decode_key(holder.key), share, keeper.entropy)
        deals.append(Deal(holder.index, sealed))
    commits = tuple(polynomial.commit(group).encode())
    unsigned = DealBundle(me.index, commits, tuple(deals), terms.session_id)
    return DealBundle(me.index, commits, tuple(deals), terms.session_id, keeper.sign(unsigned.hash()))
