"""A node's share of a group's secret key, as the vault holds it and as `dist_key.private` keeps it."""

from dataclasses import dataclass

from collective.secret import SecretScalar
from drand.model.chain import Index
from drand.model.schemes import Scheme


@dataclass(frozen=True, slots=True)
class Share:
    """f(index + 1) of the group's secret polynomial f. The secret prints redacted, as in every SecretScalar."""

    index: Index
    secret: SecretScalar
    commits: tuple[bytes, ...]  # coefficients of the public polynomial, encoded points, constant term first
    scheme: Scheme

    def __repr__(self) -> str:
        return (
            f"Share(index={self.index}, secret=<redacted>, threshold={len(self.commits)}, scheme={self.scheme.name!r})"
        )
