"""How a key generation can end."""

from dataclasses import dataclass
from typing import TypeAlias

from drand.model.chain import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyGenerated:
    """There is a key, and our share of it is in the vault.

    qualified   indices of the holders that form the group, in the order of the list
    index       ours among them
    commits     the group's public polynomial: `threshold` encoded points, constant term first
    epoch_id    the vault's name for our share
    """

    qualified: tuple[Index, ...]
    index: Index
    commits: tuple[bytes, ...]
    epoch_id: bytes


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A resharing is over at a node that leaves: it has dealt its old share, and gets no new one.

    v1.5.11 fails here by mistake ("leaving node can process responses only after creating shares") and goes on signing
    with the old share; the others are unaffected.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyGenerationFailed:
    """It is over without a key.

    reason      for the operator
    culprits    who was left out, and on what first occasion: "sent no deal"
    """

    reason: str
    culprits: tuple[tuple[Index, str], ...] = ()


Outcome: TypeAlias = KeyGenerated | HandedOver | KeyGenerationFailed
