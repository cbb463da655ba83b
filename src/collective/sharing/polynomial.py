"""The secret polynomial of a dealer."""

from collections.abc import Sequence
from typing import NoReturn

from collective.entropy import Entropy, random_scalar
from collective.errors import BadSetting
from collective.groups.group import PrimeGroup
from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.lagrange import abscissa


class SecretPolynomial:
    """f(x) = sum f_k x**k modulo a prime; f(0) is what the dealer shares, f(index + 1) the share of `index`.

    Whoever holds `threshold` of its values knows all of it. It does not print and does not pickle.
    """

    __slots__ = ("coefficients", "order")

    def __init__(self, coefficients: Sequence[SecretScalar], order: int) -> None:
        if not coefficients:
            raise BadSetting("a polynomial has at least one coefficient")
        self.coefficients = tuple(coefficients)
        self.order = order

    @classmethod
    def random(
        cls, threshold: int, order: int, entropy: Entropy, constant: SecretScalar | None = None
    ) -> "SecretPolynomial":
        """A polynomial of degree threshold - 1 with fresh coefficients.

        constant  f(0), for instance the old share in a resharing; fresh as well when absent
        """
        if threshold < 1:
            raise BadSetting(f"a threshold is at least 1, got {threshold}")
        first = SecretScalar(random_scalar(entropy, order)) if constant is None else constant
        rest = [SecretScalar(random_scalar(entropy, order)) for _ in range(threshold - 1)]
        return cls([first, *rest], order)

    @property
    def threshold(self) -> int:
        """How many shares determine the polynomial: its degree plus one."""
        return len(self.coefficients)

    @property
    def constant(self) -> SecretScalar:
        """f(0), the secret being shared."""
        return self.coefficients[0]

    def evaluate(self, index: int) -> SecretScalar:
        """f(index + 1), the share of `index`, by Horner's rule."""
        x = abscissa(index, self.order)
        value = 0
        for coefficient in reversed(self.coefficients):
            value = (value * x + coefficient.expose()) % self.order
        return SecretScalar(value)

    def commit(self, group: PrimeGroup) -> PublicPolynomial:
        """The commitments f_k * G; raises BadSetting when `group` has another order."""
        if group.order != self.order:
            raise BadSetting(f"the polynomial is not over the scalars of {group.name}")
        generator = group.generator()
        return PublicPolynomial(group, [group.multiply(generator, one.expose()) for one in self.coefficients])

    def __repr__(self) -> str:
        return f"SecretPolynomial(threshold={self.threshold}, <redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretPolynomial is not pickled; it stays in the vault")
