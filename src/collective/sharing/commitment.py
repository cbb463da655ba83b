"""The public side of a secret polynomial: its coefficients times the generator (Feldman's commitments)."""

from collections.abc import Sequence
from functools import lru_cache

from collective.errors import BadSetting, Malformed, MalformedPoint
from collective.groups.group import Point, PrimeGroup
from collective.sharing.lagrange import abscissa

MAX_CACHED_EVALUATIONS = 4096
MAX_KNOWN = 32  # decoded polynomials


class PublicPolynomial:
    """F(x) = sum C_k x**k over points, with C_k = f_k * G for a secret polynomial f.

    F(0) is the public key, F(index + 1) the public share of `index`. Values are remembered, at most
    MAX_CACHED_EVALUATIONS of them, because every partial signature is checked against one.
    Source: Feldman, FOCS 1987.
    """

    __slots__ = ("_evaluated", "commits", "group")

    def __init__(self, group: PrimeGroup, commits: Sequence[Point]) -> None:
        if not commits:
            raise BadSetting("a polynomial has at least one coefficient")
        self.group = group
        self.commits = tuple(commits)
        self._evaluated: dict[int, Point] = {}

    @property
    def threshold(self) -> int:
        """How many shares determine the polynomial: its degree plus one."""
        return len(self.commits)

    @property
    def constant(self) -> Point:
        """F(0): the public key that belongs to the shared secret."""
        return self.commits[0]

    def evaluate(self, index: int) -> Point:
        """F(index + 1), the public share of `index`, by Horner's rule."""
        known = self._evaluated.get(index)
        if known is not None:
            return known
        x = abscissa(index, self.group.order)
        value = self.commits[-1]
        for commit in reversed(self.commits[:-1]):
            value = self.group.add(self.group.multiply(value, x), commit)
        if len(self._evaluated) >= MAX_CACHED_EVALUATIONS:
            del self._evaluated[next(iter(self._evaluated))]
        self._evaluated[index] = value
        return value

    def add(self, other: "PublicPolynomial") -> "PublicPolynomial":
        """The commitments of f + g; raises BadSetting when thresholds or groups differ."""
        if other.group.name != self.group.name or other.threshold != self.threshold:
            raise BadSetting("only polynomials of one group and one threshold can be added")
        sums = [self.group.add(mine, theirs) for mine, theirs in zip(self.commits, other.commits, strict=True)]
        return PublicPolynomial(self.group, sums)

    def encode(self) -> list[bytes]:
        """The encoded coefficients, constant term first."""
        return [self.group.encode(commit) for commit in self.commits]

    @classmethod
    def decode(cls, group: PrimeGroup, encoded: Sequence[bytes]) -> "PublicPolynomial":
        """From encoded coefficients, constant term first.

        raises  Malformed on an empty list, MalformedPoint naming the coefficient that is no point, or is the identity
        """
        return cls(group, _decoded(group, tuple(encoded)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PublicPolynomial):
            return NotImplemented
        return self.group.name == other.group.name and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash((self.group.name, *self.encode()))

    def __repr__(self) -> str:
        return f"PublicPolynomial({self.group.name}, threshold={self.threshold}, key={self.encode()[0].hex()})"


@lru_cache(maxsize=MAX_KNOWN)
def _decoded(group: PrimeGroup, encoded: tuple[bytes, ...]) -> tuple[Point, ...]:
    """The points of a polynomial. In a key generation each one is decoded when it comes, is judged, and is combined."""
    if not encoded:
        raise Malformed("a public polynomial has at least one coefficient")
    commits = []
    for place, data in enumerate(encoded):
        try:
            commits.append(group.decode(data))
        except MalformedPoint as error:
            raise MalformedPoint(f"coefficient {place}: {error}") from error
    return tuple(commits)
