"""A holder's seat in a key generation: what dealers sent to it, opened and checked."""

from collections.abc import Iterable
from dataclasses import dataclass

from collective.errors import MalformedScalar
from collective.sealing import ecies
from collective.secret import SCALAR_BYTES, SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.dealing import verify_reshared_constant
from collective.sharing.share import InvalidShare, Share, verify_share
from drand.model.bundles import DealBundle, DkgTerms
from drand.model.chain import Index
from drand.vault.keeper import Keeper, Refused


@dataclass(frozen=True, slots=True)
class Seat:
    """Our place among the holders of one session. `old` is the polynomial that a resharing hands on."""

    keeper: Keeper
    terms: DkgTerms
    index: Index
    old: PublicPolynomial | None

    @classmethod
    def of(cls, keeper: Keeper, terms: DkgTerms) -> "Seat | None":
        """Our seat, None where we are no holder; raises MalformedPoint when the old polynomial does not decode."""
        me = terms.holder(keeper.public_key)
        if me is None:
            return None
        old = terms.old
        polynomial = None if old is None else PublicPolynomial.decode(keeper.scheme.key_group, old.commits)
        return cls(keeper, terms, me.index, polynomial)

    def commitments(self, bundle: DealBundle) -> PublicPolynomial:
        """A dealer's polynomial, checked to be of this session, of its degree, and to reshare the right secret.

        raises  InvalidShare or MalformedPoint
        """
        if bundle.session_id != self.terms.session_id:
            raise InvalidShare(f"the bundle of dealer {bundle.dealer_index} is of another session")
        if len(bundle.commits) != self.terms.threshold:
            raise InvalidShare(
                f"dealer {bundle.dealer_index} has {len(bundle.commits)} coefficients, not {self.terms.threshold}"
            )
        dealt = PublicPolynomial.decode(self.keeper.scheme.key_group, bundle.commits)
        if self.old is not None:
            verify_reshared_constant(self.old, bundle.dealer_index, dealt)
        return dealt

    def sealed_share(self, bundle: DealBundle, dealt: PublicPolynomial) -> SecretScalar:
        """The share that `bundle` seals to us, on the polynomial `dealt`.

        raises  InvalidShare when there is none, or it is on another polynomial; a child of Malformed when it does not
                open or is no scalar
        """
        sealed = [deal.encrypted_share for deal in bundle.deals if deal.share_index == self.index]
        if len(sealed) != 1:
            raise InvalidShare(f"dealer {bundle.dealer_index} sealed {len(sealed)} shares to us")
        return self.checked_share(ecies.unseal(self.keeper.scheme.key_group, self.keeper.keys.secret, sealed[0]), dealt)

    def checked_share(self, data: bytes, dealt: PublicPolynomial) -> SecretScalar:
        """The scalar in `data`, checked to be our value of `dealt`; raises MalformedScalar or InvalidShare.

        Zero is taken: no honest dealer will ever hit it, but v1.5.11 takes it too, and all must agree on a dealer.
        """
        value = int.from_bytes(data, "big")
        if len(data) != SCALAR_BYTES or value >= dealt.group.order:
            raise MalformedScalar("a dealt share is no scalar of the group")
        share = SecretScalar(value)
        verify_share(dealt, Share(self.index, share))
        return share


def by_dealer(terms: DkgTerms, bundles: Iterable[DealBundle]) -> dict[Index, DealBundle]:
    """Dealer index -> its bundle, strangers left out; raises Refused when a dealer has two different ones."""
    dealers = {dealer.index for dealer in terms.dealers}
    found: dict[Index, DealBundle] = {}
    for bundle in bundles:
        if bundle.dealer_index not in dealers:
            continue
        if any(not 0 <= deal.share_index < 2**32 for deal in bundle.deals):
            raise Refused(f"the bundle of dealer {bundle.dealer_index} has an index that no wire can carry")
        if found.setdefault(bundle.dealer_index, bundle).hash() != bundle.hash():
            raise Refused(f"two different deal bundles of dealer {bundle.dealer_index}")
    return found


def known_dealers(terms: DkgTerms, dealers: tuple[Index, ...]) -> tuple[Index, ...]:
    """`dealers`, checked to be in the session and named once each; raises Refused."""
    if len(set(dealers)) != len(dealers) or not set(dealers) <= {dealer.index for dealer in terms.dealers}:
        raise Refused("a dealer is named twice, or is not in this session")
    return dealers
