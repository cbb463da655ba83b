"""BLS signatures verified many at a time: two pairings a batch instead of two a signature.

One key, many messages:   e(sum r_i H_i, P) == e(sum r_i S_i, G)
One message, many keys:   e(H, sum r_i P_i) == e(sum r_i S_i, G)
with random 128-bit r_i drawn after all inputs are fixed: a batch that holds a bad signature passes with probability at
most 2**-128 (Bellare, Garay, Rabin, EUROCRYPT 1998). That argument needs points of prime order, so every signature is
decoded with its subgroup check: a point of cofactor order would pass the pairing and change the randomness.

A batch that fails is halved. The sums of the right half are the difference between those of the whole and of the left,
and a left half that passes convicts the right one without a check, so one bad signature in n costs about 2 log2(n)
checks of two pairings each, and one more sum over all n points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collective.entropy import Entropy
from collective.errors import BadSetting, MalformedPoint
from collective.groups.group import Point, PrimeGroup
from collective.signatures.bls import BlsScheme

GOOD_BATCH = 2000  # four times more gains two percent and keeps its worker busy four times longer
MAX_BATCH = 8192
EXPONENT_BYTES = 16
CHECKED_DIRECTLY = 4  # halving so few costs one bad signature no less, and many bad ones more


def verify_batch(
    scheme: BlsScheme, public_key: Point, items: Sequence[tuple[bytes, bytes]], entropy: Entropy
) -> list[int]:
    """The positions of the signatures that one key did not make; empty when all are good.

    items    (message, encoded signature), at most MAX_BATCH; callers cut longer work into pieces of about GOOD_BATCH
    returns  sorted positions in `items`: undecodable, wrong, or all of them when the key is the identity
    raises   BadSetting on more than MAX_BATCH items
    """
    _require_bounded(items)
    if scheme.key_group.is_identity(public_key):
        return list(range(len(items)))
    points, bad = _decode(scheme, [signature for _, signature in items])
    hashed = [scheme.hash_to_point(items[position][0]) for position, _ in points]
    group = scheme.signature_group
    terms = _Terms(group, hashed, group, [point for _, point in points], _exponents(len(points), entropy))
    wrong = terms.bisect(lambda left, right: scheme.holds(left, public_key, right))
    return sorted(bad + [points[place][0] for place in wrong])


def verify_partials(
    scheme: BlsScheme, public_shares: Sequence[Point], hashed: Point, signatures: Sequence[bytes], entropy: Entropy
) -> list[int]:
    """The positions of the partial signatures on one message that do not verify under their public shares.

    public_shares  F(index + 1) for each signature, in the same order
    hashed         the message, through `scheme.hash_to_point`
    signatures     encoded points without their index, at most MAX_BATCH
    returns        sorted positions: undecodable, wrong, or under a public share that is the identity
    raises         BadSetting on more than MAX_BATCH signatures; ValueError on unequal lengths
    """
    _require_bounded(signatures)
    if len(public_shares) != len(signatures):
        raise ValueError(f"{len(public_shares)} public shares but {len(signatures)} signatures")
    points, bad = _decode(scheme, signatures)
    usable = [(at, point) for at, point in points if not scheme.key_group.is_identity(public_shares[at])]
    bad += sorted({at for at, _ in points} - {at for at, _ in usable})
    keys = [public_shares[at] for at, _ in usable]
    exponents = _exponents(len(usable), entropy)
    terms = _Terms(scheme.key_group, keys, scheme.signature_group, [point for _, point in usable], exponents)
    wrong = terms.bisect(lambda left, right: scheme.holds(hashed, left, right))
    return sorted(bad + [usable[place][0] for place in wrong])


def _require_bounded(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise BadSetting(f"a batch holds at most {MAX_BATCH} signatures, got {len(items)}")


def _exponents(count: int, entropy: Entropy) -> list[int]:
    drawn = entropy.bytes(EXPONENT_BYTES * count)
    return [int.from_bytes(drawn[at : at + EXPONENT_BYTES], "big") for at in range(0, len(drawn), EXPONENT_BYTES)]


def _decode(scheme: BlsScheme, signatures: Sequence[bytes]) -> tuple[list[tuple[int, Point]], list[int]]:
    """(position, point) of those that decode, and the positions of those that do not."""
    points, bad = [], []
    for position, signature in enumerate(signatures):
        try:
            points.append((position, scheme.signature_group.decode(signature)))
        except MalformedPoint:
            bad.append(position)
    return points, bad


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms of both sums of one batch, with fixed exponents."""

    left_group: PrimeGroup
    lefts: list[Point]
    right_group: PrimeGroup
    rights: list[Point]
    exponents: list[int]

    def bisect(self, holds: Callable[[Point, Point], bool]) -> list[int]:
        """The places whose own equation fails."""
        if not self.exponents:
            return []
        whole = self._sums(0, len(self.exponents))
        if holds(*whole):
            return []
        return self._failing(holds, 0, len(self.exponents), whole)

    def _sums(self, start: int, stop: int) -> tuple[Point, Point]:
        exponents = self.exponents[start:stop]
        return (
            self.left_group.sum_of_products(self.lefts[start:stop], exponents),
            self.right_group.sum_of_products(self.rights[start:stop], exponents),
        )

    def _failing(
        self, holds: Callable[[Point, Point], bool], start: int, stop: int, sums: tuple[Point, Point]
    ) -> list[int]:
        """The bad places in [start, stop), whose `sums` are known to fail."""
        if stop - start <= CHECKED_DIRECTLY:
            return [place for place in range(start, stop) if not holds(self.lefts[place], self.rights[place])]
        middle = (start + stop) // 2
        first = self._sums(start, middle)
        second = self._difference(sums, first)
        if holds(*first):
            return self._failing(holds, middle, stop, second)
        bad = self._failing(holds, start, middle, first)
        if not holds(*second):
            bad += self._failing(holds, middle, stop, second)
        return bad

    def _difference(self, whole: tuple[Point, Point], part: tuple[Point, Point]) -> tuple[Point, Point]:
        left, right = self.left_group, self.right_group
        return left.add(whole[0], left.negate(part[0])), right.add(whole[1], right.negate(part[1]))
