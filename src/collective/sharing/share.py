"""One node's share of a secret, and the check that it lies on the polynomial its dealer committed to."""

from dataclasses import dataclass

from collective.errors import CollectiveError
from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial


class InvalidShare(CollectiveError):
    """A share that does not lie on the polynomial its dealer committed to: the dealer, or its link, is at fault."""


@dataclass(frozen=True, slots=True)
class Share:
    """f(index + 1) of some secret polynomial f; `repr` hides the value."""

    index: int
    value: SecretScalar


def verify_share(commitments: PublicPolynomial, share: Share) -> None:
    """Check value * G == F(index + 1); raises InvalidShare. Source: Feldman, FOCS 1987."""
    group = commitments.group
    if not group.equal(group.multiply(group.generator(), share.value.expose()), commitments.evaluate(share.index)):
        raise InvalidShare(f"the share for node {share.index} does not match the dealer's commitments")
