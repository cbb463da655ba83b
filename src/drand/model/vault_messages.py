"""Everything that node and vault say to each other. Nothing here holds a secret scalar, and nothing asks for one.

Requests are typed: there is no "sign these bytes". The vault derives what it signs from what is asked, by itself. Every
request has an id that its asker chose; asking the same again (after a lost answer, a restart) gives the same answer.
"""

from dataclasses import dataclass
from typing import NewType, TypeAlias

from drand.model.bundles import DealBundle, DkgTerms, JustificationBundle, ResponseBundle
from drand.model.chain import Index, Round
from drand.model.group import Group, Identity

RequestId = NewType("RequestId", str)


@dataclass(frozen=True, slots=True)
class UserEntropy:
    """Randomness of the operator's own for the secret constant term (`--source`, `--user-source-only`)."""

    script: str  # a program that writes random bytes to its standard output
    user_only: bool  # True: nothing but the script; False: mixed with the system's


@dataclass(frozen=True, slots=True)
class ShowIdentity:
    """Which public identity do you hold?"""

    request_id: RequestId


@dataclass(frozen=True, slots=True)
class IdentityShown:
    """The self-signed public identity."""

    request_id: RequestId
    identity: Identity


@dataclass(frozen=True, slots=True)
class SignGroup:
    """As the leader of a ceremony, sign the candidate group's hash."""

    request_id: RequestId
    group: Group


@dataclass(frozen=True, slots=True)
class GroupSigned:
    """Schnorr signature of the group hash."""

    request_id: RequestId
    signature: bytes


@dataclass(frozen=True, slots=True)
class DealShares:
    """Draw a polynomial for this session (once) and seal every other holder's share to it."""

    request_id: RequestId
    terms: DkgTerms
    entropy: UserEntropy | None = None


@dataclass(frozen=True, slots=True)
class SharesDealt:
    """The signed deal bundle; None for a node that is no dealer of the session."""

    request_id: RequestId
    bundle: DealBundle | None


@dataclass(frozen=True, slots=True)
class JudgeDeals:
    """Open the shares sealed to us and give a verdict on each dealer in `dealers` (those not yet evicted, in order)."""

    request_id: RequestId
    terms: DkgTerms
    deals: tuple[DealBundle, ...]  # signatures already verified; own one included or not, it does not matter
    dealers: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class DealsJudged:
    """The signed verdicts; None where there is no dealer to judge."""

    request_id: RequestId
    bundle: ResponseBundle | None


@dataclass(frozen=True, slots=True)
class ShowShares:
    """Reveal the shares of these holders, who complained or were silent. Refused for `threshold` or more of them."""

    request_id: RequestId
    terms: DkgTerms
    holders: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class SharesShown:
    """The signed justification bundle."""

    request_id: RequestId
    bundle: JustificationBundle


@dataclass(frozen=True, slots=True)
class CombineShares:
    """The session is over: make this node's share from these dealers, and keep it as a new epoch.

    dealers   fresh: the qualified set. Resharing: exactly the old threshold's worth of lowest-index valid dealers
    shown     shares for this node that dealers had to justify in public (dealer, share as 32 bytes big-endian)
    """

    request_id: RequestId
    terms: DkgTerms
    deals: tuple[DealBundle, ...]  # at least those of `dealers` but one's own
    dealers: tuple[Index, ...]
    shown: tuple[tuple[Index, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class SharesCombined:
    """The share is on the vault's disk. `epoch_id` names it from now on."""

    request_id: RequestId
    epoch_id: bytes
    index: Index
    commits: tuple[bytes, ...]  # the new public polynomial, encoded points


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """Sign partials for this group with the share named `epoch_id` from now on (group.public_key is its polynomial)."""

    request_id: RequestId
    epoch_id: bytes
    group: Group


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """The vault knows the group's schedule and will sign its rounds as they fall due."""

    request_id: RequestId
    epoch_id: bytes


@dataclass(frozen=True, slots=True)
class SignPartial:
    """Sign one round. Refused before the round is due, and for a second, different message of one round."""

    request_id: RequestId
    epoch_id: bytes
    round: Round
    previous_signature: bytes


@dataclass(frozen=True, slots=True)
class PartialSigned:
    """u16BE index || signature share."""

    request_id: RequestId
    round: Round
    previous_signature: bytes
    partial: bytes


@dataclass(frozen=True, slots=True)
class VaultRefused:
    """The vault will not, or cannot now. `reason` is for the operator; `retry` says whether asking later may work."""

    request_id: RequestId
    reason: str
    retry: bool = False


VaultRequest: TypeAlias = (
    ShowIdentity | SignGroup | DealShares | JudgeDeals | ShowShares | CombineShares | OpenEpoch | SignPartial
)
VaultReply: TypeAlias = (
    IdentityShown
    | GroupSigned
    | SharesDealt
    | DealsJudged
    | SharesShown
    | SharesCombined
    | EpochOpened
    | PartialSigned
    | VaultRefused
)
