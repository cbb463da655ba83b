"""What an epoch's share is used for: a group is named once, and its rounds are signed as they fall due."""

from collections.abc import Iterable

from msgspec.structs import replace

from collective.sharing.threshold import PartialSignature
from drand.model.chain import MAX_ROUND, Round, Schedule
from drand.model.group import Group
from drand.model.schemes import Scheme
from drand.model.vault_messages import EpochOpened, GroupSigned, OpenEpoch, PartialSigned, SignGroup, SignPartial
from drand.vault.keeper import Keeper, Refused
from drand.vault.sessions import epoch_named, without_session
from drand.vault.state import GroupSignature, HeldEpoch, OpenTerms, SignedRounds, VaultState

MAX_OPEN_EPOCHS = 2  # the current one and, until a transition, the one before
WINDOW_ROUNDS = 128  # how many signed rounds are remembered one by one
MAX_PREVIOUS_BYTES = 256  # unchained schemes carry the field along unsigned


def sign_group(keeper: Keeper, state: VaultState, request: SignGroup) -> tuple[VaultState, GroupSigned]:
    """The leader's Schnorr signature of a candidate group's hash; only of a sound group that we are in."""
    group = request.group
    group.check()
    if group.scheme != keeper.scheme or all(node.identity.key != keeper.public_key for node in group.nodes):
        raise Refused("we are not in this group, or it uses another scheme than our key")
    digest = group.hash()
    known = state.group_signature
    if known is None or known.group_hash != digest:
        known = GroupSignature(group_hash=digest, signature=keeper.sign(digest))
        state = replace(state, group_signature=known)
    return state, GroupSigned(request.request_id, known.signature)


def open_epoch(keeper: Keeper, state: VaultState, request: OpenEpoch) -> tuple[VaultState, EpochOpened]:
    """Tie a share to its group, for good: a schedule that could be changed later would let rounds be signed early."""
    held = epoch_named(state, request.epoch_id)
    check_member(keeper, held, request.group)
    terms = open_terms(request.group)
    if held.opened is None:
        state = _opened(state, replace(held, opened=terms))
    elif held.opened != terms:
        raise Refused("this share was opened for a group with another schedule or hash")
    return state, EpochOpened(request.request_id, held.epoch_id)


def sign_partial(keeper: Keeper, state: VaultState, request: SignPartial) -> tuple[VaultState, PartialSigned]:
    """share * H(digest of the round), once it is due by our own clock, and never for two digests in one round."""
    held = epoch_named(state, request.epoch_id)
    if held.opened is None:
        raise Refused("this share is not open: its group is not known yet", retry=True)
    _check_previous(keeper.scheme, held.opened, request)
    _check_due(keeper.clock.now(), held.opened, request.round)
    digest = keeper.scheme.digest(request.round, request.previous_signature)
    if keeper.scheme.chained:
        state = _remember(state, held.commits[0], request.round, digest)
    partial = PartialSignature(held.index, keeper.scheme.bls.sign(held.share, digest)).encode()
    return state, PartialSigned(request.request_id, request.round, request.previous_signature, partial)


def check_member(keeper: Keeper, held: HeldEpoch, group: Group) -> None:
    """Raise Refused or InvalidGroup unless `group` is sound, has this share's polynomial, and us at its index."""
    group.check()
    if group.scheme != keeper.scheme:
        raise Refused(f"the group uses scheme {group.scheme.name}, our key {keeper.scheme.name}")
    if group.public_key != held.commits:
        raise Refused("the group's public key is not the polynomial our share lies on")
    node = group.node(held.index)
    if node is None or node.identity.key != keeper.public_key:
        raise Refused(f"we are not node {held.index} of this group")


def open_terms(group: Group) -> OpenTerms:
    """What a share is tied to when it is opened for `group`."""
    return OpenTerms(
        group_hash=group.hash(),
        genesis_unix_s=group.genesis_unix_s,
        period_s=group.period_s,
        genesis_seed=group.genesis_seed,
        transition_unix_s=group.transition_unix_s,
    )


def _opened(state: VaultState, held: HeldEpoch) -> VaultState:
    """With `held` open as the newest; shares older than the one it follows are erased, its session is over."""
    others = [known for known in state.epochs if known.epoch_id != held.epoch_id]
    open_before = [known.epoch_id for known in others if known.opened is not None]
    erased = set(open_before[: max(0, len(open_before) - MAX_OPEN_EPOCHS + 1)])
    epochs = (*(known for known in others if known.epoch_id not in erased), held)
    keys = {known.commits[0] for known in epochs}
    signed = tuple(record for record in state.signed if record.public_key in keys)
    return without_session(replace(state, epochs=epochs, signed=signed), held.session_id)


def _check_previous(scheme: Scheme, terms: OpenTerms, request: SignPartial) -> None:
    """Round 1 chains to the genesis seed, every later one to a signature: nothing else can be a previous signature."""
    if not 1 <= request.round <= MAX_ROUND:
        raise Refused(f"round {request.round} cannot be signed: the first is 1")
    previous = request.previous_signature
    if not scheme.chained:
        if len(previous) > MAX_PREVIOUS_BYTES:
            raise Refused(f"a previous signature of {len(previous)} bytes")
    elif request.round == 1:
        if previous != terms.genesis_seed:
            raise Refused("round 1 chains to the genesis seed of the group, and to nothing else")
    elif len(previous) != scheme.signature_bytes:
        raise Refused(f"a previous signature has {scheme.signature_bytes} bytes, got {len(previous)}")


def _check_due(now: float, terms: OpenTerms, round_: Round) -> None:
    due = Schedule(genesis_unix_s=terms.genesis_unix_s, period_s=terms.period_s).due_unix_s(round_)
    if now < due:
        raise Refused(f"round {round_} is due in {due - now:.3f} s by the vault's clock", retry=True)


def _remember(state: VaultState, public_key: bytes, round_: int, digest: bytes) -> VaultState:
    """Note that `round_` signs `digest`; raises Refused when it signed another one, or is too old to know."""
    record = _record_of(state.signed, public_key)
    known = record.rounds.get(round_)
    if known == digest:
        return state
    if known is not None:
        raise Refused(f"round {round_} was signed with another previous signature; a round has one message")
    if round_ <= record.floor:
        raise Refused(f"round {round_} is too old: what was signed up to round {record.floor} is not remembered")
    rounds = {**record.rounds, round_: digest}
    floor = record.floor
    while len(rounds) > WINDOW_ROUNDS:
        floor = min(rounds)
        del rounds[floor]
    renewed = SignedRounds(public_key=public_key, floor=floor, rounds=rounds)
    return replace(state, signed=(*(one for one in state.signed if one.public_key != public_key), renewed))


def _record_of(signed: Iterable[SignedRounds], public_key: bytes) -> SignedRounds:
    return next((one for one in signed if one.public_key == public_key), SignedRounds(public_key=public_key))
