"""The vault's view of a key generation: are its terms sound, and is it the session we know under this id?"""

import hashlib
from collections.abc import Sequence

import msgspec

from drand.model.bundles import DkgTerms, OldSharing, Participant
from drand.model.group import MAX_GROUP_SIZE, minimum_threshold
from drand.vault.keeper import Keeper, Refused
from drand.vault.state import HeldEpoch, Session, VaultState

SESSION_ID_BYTES = 32
MAX_INDEX = 0xFFFF  # partials carry sixteen bits of it
MAX_OPEN_SESSIONS = 8  # ceremonies that never ended; the oldest is closed for good
MAX_CLOSED_SESSIONS = 256
MAX_PENDING_EPOCHS = 4  # combined but never opened: the ceremony failed elsewhere


def check_terms(keeper: Keeper, terms: DkgTerms) -> None:
    """Raise Refused unless scheme, ids, lists and thresholds fit each other."""
    if terms.scheme != keeper.scheme:
        raise Refused(f"the session is for scheme {terms.scheme.name}, this key for {keeper.scheme.name}")
    if len(terms.session_id) != SESSION_ID_BYTES:
        raise Refused(f"a session id has {SESSION_ID_BYTES} bytes, got {len(terms.session_id)}")
    _check_participants("dealers", terms.dealers)
    _check_participants("holders", terms.holders)
    size = len(terms.holders)
    if not minimum_threshold(size) <= terms.threshold <= size:
        raise Refused(f"threshold {terms.threshold} does not lie between {minimum_threshold(size)} and {size}")
    if terms.old is None:
        if terms.dealers != terms.holders:
            raise Refused("in a fresh session dealers and holders are the same nodes")
    else:
        _check_old(terms, terms.old)


def _check_old(terms: DkgTerms, old: OldSharing) -> None:
    if len(old.commits) != old.threshold:
        raise Refused(f"{len(old.commits)} old coefficients for an old threshold of {old.threshold}")
    if not 1 <= old.threshold <= len(terms.dealers):
        raise Refused(f"{len(terms.dealers)} old nodes cannot reach the old threshold {old.threshold}")


def _check_participants(what: str, participants: Sequence[Participant]) -> None:
    if not 1 <= len(participants) <= MAX_GROUP_SIZE:
        raise Refused(f"a session has 1 to {MAX_GROUP_SIZE} {what}, got {len(participants)}")
    if any(not 0 <= one.index <= MAX_INDEX for one in participants):
        raise Refused(f"an index among the {what} is out of range")
    for name, values in (("index", {one.index for one in participants}), ("key", {one.key for one in participants})):
        if len(values) != len(participants):
            raise Refused(f"two {what} share one {name}")


def terms_digest(terms: DkgTerms) -> bytes:
    """SHA-256 of everything that the terms say, so that one session id never stands for two ceremonies."""
    people = [[(one.index, one.key) for one in group] for group in (terms.dealers, terms.holders)]
    old = terms.old and (terms.old.threshold, terms.old.commits)
    said = (terms.session_id, terms.scheme.name, terms.threshold, people, old)
    return hashlib.sha256(msgspec.msgpack.encode(said)).digest()


def session_of(keeper: Keeper, state: VaultState, terms: DkgTerms) -> Session:
    """The session that `terms` name, a new one when they are new; raises Refused on unsound, other or closed ones."""
    check_terms(keeper, terms)
    if terms.session_id in state.closed_sessions:
        raise Refused("this session is over; a new ceremony needs another genesis or transition time")
    digest = terms_digest(terms)
    for session in state.sessions:
        if session.session_id == terms.session_id:
            if session.terms_digest != digest:
                raise Refused("this session began with other terms")
            return session
    return Session(session_id=terms.session_id, terms_digest=digest)


def with_session(state: VaultState, session: Session) -> VaultState:
    """The state with this session in it. Beyond MAX_OPEN_SESSIONS the oldest loses its secrets for good."""
    ids = [known.session_id for known in state.sessions]
    if session.session_id in ids:
        sessions = tuple(session if known.session_id == session.session_id else known for known in state.sessions)
        return msgspec.structs.replace(state, sessions=sessions)
    state = msgspec.structs.replace(state, sessions=(*state.sessions, session))
    if len(state.sessions) > MAX_OPEN_SESSIONS:
        state = without_session(state, state.sessions[0].session_id)
    return state


def without_session(state: VaultState, session_id: bytes) -> VaultState:
    """The state in which this session is over: its polynomial and shares are gone, its id is remembered."""
    if session_id in state.closed_sessions:
        return state
    return msgspec.structs.replace(
        state,
        sessions=tuple(session for session in state.sessions if session.session_id != session_id),
        closed_sessions=(*state.closed_sessions, session_id)[-MAX_CLOSED_SESSIONS:],
    )


def epoch_named(state: VaultState, epoch_id: bytes) -> HeldEpoch:
    """The share called `epoch_id`; raises Refused."""
    for epoch in state.epochs:
        if epoch.epoch_id == epoch_id:
            return epoch
    raise Refused(f"no share is known under the name {epoch_id.hex()[:16] or '(empty)'}")


def with_epoch(state: VaultState, held: HeldEpoch) -> VaultState:
    """The state with this share in it, not open; the oldest of too many that were never opened is dropped."""
    if any(known.epoch_id == held.epoch_id for known in state.epochs):
        return state
    pending = [known.epoch_id for known in state.epochs if known.opened is None]
    dropped = set(pending[: max(0, len(pending) - MAX_PENDING_EPOCHS + 1)])
    kept = (known for known in state.epochs if known.epoch_id not in dropped)
    return msgspec.structs.replace(state, epochs=(*kept, held))
