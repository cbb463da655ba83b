"""Many dealers' polynomials become one: by addition in a fresh ceremony, by interpolation in a resharing.

Fresh (Pedersen, EUROCRYPT 1991): f = sum over qualified dealers d of f_d.
Resharing (Desmedt and Jajodia, 1997): dealer d shares its old share, f_d(0) = f_old(d + 1), and
f = sum lambda_d f_d with Lagrange's coefficients over the dealers used, so f(0) = f_old(0) and the public key stays.
In a resharing every node must use the same dealers: callers pass the `old_threshold` valid ones of lowest index
(kyber share/dkg: any other choice gives another polynomial with the same constant term).
"""

from collections.abc import Mapping

from collective.errors import BadSetting, NotEnoughShares
from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.lagrange import coefficients_at_zero
from collective.sharing.share import InvalidShare


def combine_fresh_shares(received: Mapping[int, SecretScalar], order: int) -> SecretScalar:
    """A holder's share of the sum: dealer index -> that dealer's share for this holder, over the qualified dealers."""
    _require_dealers(received)
    return SecretScalar(sum(share.expose() for share in received.values()) % order)


def combine_fresh_commitments(dealt: Mapping[int, PublicPolynomial]) -> PublicPolynomial:
    """The commitments of the sum: dealer index -> that dealer's commitments, over the qualified dealers."""
    _require_dealers(dealt)
    first, *others = dealt.values()
    total = first
    for commitments in others:
        total = total.add(commitments)
    return _with_a_key(total)


def combine_reshared_shares(received: Mapping[int, SecretScalar], order: int) -> SecretScalar:
    """A holder's new share: old dealer index -> that dealer's share for this holder, over exactly the dealers used."""
    _require_dealers(received)
    weights = coefficients_at_zero(received, order)
    return SecretScalar(sum(weights[dealer] * share.expose() for dealer, share in received.items()) % order)


def combine_reshared_commitments(dealt: Mapping[int, PublicPolynomial]) -> PublicPolynomial:
    """The new commitments: old dealer index -> that dealer's commitments, over exactly the dealers used.

    raises  BadSetting when thresholds or groups differ
    """
    _require_dealers(dealt)
    first = next(iter(dealt.values()))
    group, threshold = first.group, first.threshold
    if any(one.group.name != group.name or one.threshold != threshold for one in dealt.values()):
        raise BadSetting("only polynomials of one group and one threshold can be combined")
    weights = coefficients_at_zero(dealt, group.order)
    scalars = [weights[dealer] for dealer in dealt]
    columns = zip(*(one.commits for one in dealt.values()), strict=True)
    return _with_a_key(PublicPolynomial(group, [group.sum_of_products(column, scalars) for column in columns]))


def verify_reshared_constant(old: PublicPolynomial, dealer: int, dealt: PublicPolynomial) -> None:
    """Check that `dealer` deals its old share and no other secret: C_0 == F_old(dealer + 1); raises InvalidShare."""
    if not old.group.equal(dealt.constant, old.evaluate(dealer)):
        raise InvalidShare(f"dealer {dealer} does not reshare the share it holds")


def _require_dealers(given: Mapping[int, object]) -> None:
    if not given:
        raise NotEnoughShares("no dealer is left")


def _with_a_key(commitments: PublicPolynomial) -> PublicPolynomial:
    if commitments.group.is_identity(commitments.constant):
        raise BadSetting("the combined public key would be the identity", hint="run the ceremony again")
    return commitments
