"""What leader and participants of a ceremony's setup agree on: the shared secret, the limits, who may be a candidate.

Source of the wire's facts: drand v1.5.11, core/group_setup.go and core/drand_beacon_control.go. v1.5.11 believes the
leader in almost everything; the checks here that go further are marked with "ours".
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Final

from collective.errors import BadSetting, CollectiveError, InvalidSignature, OutOfTurn
from drand.errors import InvalidGroup
from drand.model.chain import canonical_beacon_id
from drand.model.group import Group, Identity, indexed
from drand.model.schemes import Scheme

ALARM: Final = "setup"  # the one alarm of a setup, leader's or participant's

DEFAULT_PHASE_S: Final = 10  # v1.5.11, what a timeout of 0 means
MAX_PHASE_S: Final = 86_400  # ours: a phase of more than a day is a mistyped number
DEFAULT_OFFSET_S: Final = 1  # v1.5.11, DefaultGenesisOffset
SETUP_PATIENCE_S: Final = 14 * 86_400  # v1.5.11, MaxWaitPrepareDKG: two weeks for everybody to show up


class WrongSecret(CollectiveError):
    """A message of the setup that does not carry the ceremony's shared secret."""

    hint = "leader and participants must be given the same secret; a file's trailing newline counts"


class AlreadyRunning(OutOfTurn):
    """A ceremony is asked for while another one runs."""

    hint = "watch it with `drand util status`, or end it with `drand util abandon`: then another one can begin"


class AlreadyDone(OutOfTurn):
    """A fresh ceremony is asked for where a group exists: it would replace the chain."""

    hint = "to begin a new chain and forget this one, stop the daemon and run `drand util reset`"


class SharedSecret:
    """The ceremony's secret. It travels verbatim on the wire, is compared by digest, and is never printed."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if not secret:
            raise BadSetting("the ceremony has no secret", hint="give every node the same one with --secret-file")
        self._secret = secret

    def expose(self) -> bytes:
        """The secret as the wire carries it, towards a peer that may know it."""
        return self._secret

    def check(self, claimed: bytes, complaint: str) -> None:
        """Raise WrongSecret(complaint) unless `claimed` is the secret; takes the same time wherever they differ."""
        if not hmac.compare_digest(hashlib.sha256(self._secret).digest(), hashlib.sha256(claimed).digest()):
            raise WrongSecret(complaint)

    def __repr__(self) -> str:
        return "SharedSecret(<redacted>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """How a setup ended well: the group of candidates, and what its key generation needs to know."""

    group: Group  # no public key yet
    phase_s: int  # length of one phase of the key generation, at least 1
    leader: bool  # did this node lead


@dataclass(frozen=True, slots=True)
class SetupFailed:
    """How a setup ended badly. `reason` is for the operator."""

    reason: str


SetupOutcome = Candidates | SetupFailed


def differences(one: Candidates, other: Candidates) -> str:
    """In what two announcements of a leader differ, for the operator."""
    if one.group.hash() != other.group.hash():
        return "two different groups"
    names = {"period_ns": "another period", "catchup_period_ns": "another catch-up period", "nodes": "other addresses"}
    found = [said for name, said in names.items() if getattr(one.group, name) != getattr(other.group, name)]
    return ", ".join(found) or "another phase length"


def check_identity(identity: Identity, scheme: Scheme) -> None:
    """Raise unless `identity` belongs to `scheme` and is signed by its own key.

    raises    InvalidGroup for another scheme, InvalidSignature or MalformedPoint for the signature
    Ours for a leader's identity and for members of a pushed group: v1.5.11 checks only the signature of a signal.
    """
    if identity.scheme != scheme:
        raise InvalidGroup(
            f"{identity.address} has a key of scheme {identity.scheme.name}, this beacon's scheme is {scheme.name}",
            hint="all nodes of a beacon need keys of one scheme; see `drand generate-keypair --scheme`",
        )
    try:
        identity.check_self_signature()
    except InvalidSignature as error:
        hint = f"run `drand util self-sign` at {identity.address}"
        raise InvalidSignature(f"invalid sig: {identity.address}: {error}", hint=hint) from error


def fresh_genesis_unix_s(now: float, *, phase_s: int, offset_s: int, period_s: int) -> int:
    """First second of round 1 of a chain whose key generation starts `now`.

    The latest end of the three phases plus the offset, then the next multiple of the period since 1970; a whole period
    is added where that already is one (v1.5.11, createAndSend; vectors time/genesis-rounding).

    >>> fresh_genesis_unix_s(1000.9, phase_s=10, offset_s=1, period_s=30)
    1050
    """
    earliest = int(now) + 3 * phase_s + offset_s
    return earliest + period_s - earliest % period_s


def check_phase_length(dkg_timeout_s: int) -> int:
    """The length of one phase in seconds, with v1.5.11's default for 0; raises BadSetting outside of 0..MAX_PHASE_S."""
    if not 0 <= dkg_timeout_s <= MAX_PHASE_S:
        raise BadSetting(f"a phase of {dkg_timeout_s} s; it must lie between 1 s and {MAX_PHASE_S} s")
    return dkg_timeout_s or DEFAULT_PHASE_S


def check_fresh_candidates(group: Group, own: Identity, beacon_id: str, now: float) -> None:
    """Raise InvalidGroup unless `group`, which a leader pushed, may start a fresh chain with us in it. Mostly ours.

    v1.5.11 checks the scheme, the lower bound of the threshold, that genesis is not past and that we are a member.
    """
    if group.scheme != own.scheme:
        raise InvalidGroup(f"mismatch in scheme name: the group has {group.scheme.name}, our key {own.scheme.name}")
    if canonical_beacon_id(group.beacon_id) != canonical_beacon_id(beacon_id):
        raise InvalidGroup(f"the group is of beacon {group.beacon_id!r}, ours is {beacon_id!r}")
    group.check()
    if group.public_key or group.transition_unix_s:
        raise InvalidGroup("the group has a key or a transition time already, but a fresh ceremony was announced")
    if group.nodes != indexed(node.identity for node in group.nodes):
        raise InvalidGroup("the group's nodes are not numbered in the order of their keys")
    if group.genesis_unix_s <= now:
        raise InvalidGroup("group with genesis time in the past", hint="compare the clocks of this node and the leader")
    if group.genesis_seed != replace(group, genesis_seed=b"").hash():
        raise InvalidGroup("the genesis seed is not the hash of the group")
    if group.find(own) is None:
        raise InvalidGroup(f"our key and address ({own.address}) are not in the group")
    for node in group.nodes:
        if node.identity.scheme != group.scheme:
            raise InvalidGroup(f"node {node.index} ({node.identity.address}) has a key of another scheme")
    group.check_self_signatures()
