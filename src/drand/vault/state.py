"""What the vault remembers, and the file it remembers it in.

The file is one line that says what it is, then one JSON object:

    drand-vault-state 1 <SHA-256 of the object, 64 hex digits>
    {"public_key": ..., "sessions": [...], "epochs": [...], ...}

Byte strings are base64, secret scalars 64 hex digits. Unknown fields, a wrong checksum and a wrong version are errors:
a vault that guessed at its own memory could sign a second message for a round. What is written when, and why it is one
file: docs/decisions/0005-vault-state.md.
"""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import msgspec

from collective.errors import CollectiveError, Unavailable
from collective.files import OWNER_HINT, PRIVATE_MODE, DiskRefused, replace_file
from collective.secret import SCALAR_BYTES, SecretScalar
from drand.model.bundles import DealBundle, JustificationBundle, ResponseBundle

MAGIC = "drand-vault-state"
VERSION = 1
MAX_FILE_BYTES = 64 * 2**20


class StateDamaged(CollectiveError):
    """The vault's own file is not what it wrote: nothing can be signed safely until an operator has looked."""

    hint = "restore the file from a backup; without one, remove it and let the share be adopted from dist_key.private"


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what the file holds: immutable, and strict about its fields."""


class ReceivedShare(Record, frozen=True):
    """A dealer's share for us that fits the commitments of the deal bundle with this hash."""

    dealer: int
    bundle_hash: bytes
    share: SecretScalar


class Session(Record, frozen=True):
    """One key generation: what we drew, what we got, and every bundle we have signed in it."""

    session_id: bytes
    terms_digest: bytes  # the terms first named; a request with others is refused
    polynomial: tuple[SecretScalar, ...] = ()  # ours, constant term first; empty until we deal
    deal: DealBundle | None = None
    received: tuple[ReceivedShare, ...] = ()
    response: ResponseBundle | None = None
    justifications: tuple[JustificationBundle, ...] = ()


class OpenTerms(Record, frozen=True):
    """What the vault needs of a group to sign its rounds by its own clock. Fixed when the epoch is opened."""

    group_hash: bytes
    genesis_unix_s: int
    period_s: int
    genesis_seed: bytes
    transition_unix_s: int


class HeldEpoch(Record, frozen=True):
    """A share of the collective key. `opened` is None until the node has the group that goes with it."""

    epoch_id: bytes
    session_id: bytes
    origin: bytes  # names the request it was combined for; empty when adopted
    index: int
    share: SecretScalar
    commits: tuple[bytes, ...]
    opened: OpenTerms | None = None


class SignedRounds(Record, frozen=True):
    """Chained schemes: what was signed under one collective key. A round signs one digest, ever.

    rounds   round -> digest, the latest ones, bounded
    floor    rounds up to this one were forgotten and are refused
    """

    public_key: bytes
    floor: int = 0
    rounds: dict[int, bytes] = {}


class GroupSignature(Record, frozen=True):
    """The last group signed as a leader, so that asking again gives the same signature."""

    group_hash: bytes
    signature: bytes


class VaultState(Record, frozen=True):
    """All that outlives the process but the identity key. Lists are bounded, oldest first."""

    public_key: bytes  # of the identity that it belongs to
    scheme: str
    sessions: tuple[Session, ...] = ()
    closed_sessions: tuple[bytes, ...] = ()  # ids; they are never opened again
    epochs: tuple[HeldEpoch, ...] = ()
    signed: tuple[SignedRounds, ...] = ()
    group_signature: GroupSignature | None = None


class StateFile(Protocol):
    """Where the state lives: a file, or the simulated world's disk."""

    def read(self) -> bytes | None:
        """The bytes last replaced, None when there never were any; raises Unavailable."""
        ...

    def replace(self, data: bytes) -> None:
        """Keep `data` instead, durably and in one step; raises Unavailable, and then the old bytes are still there."""
        ...


class DiskStateFile:
    """`vault.state`, mode 0600, replaced atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """The file's bytes; None when there is no file."""
        try:
            if self.path.stat().st_size > MAX_FILE_BYTES:
                raise StateDamaged(f"{self.path} has more than {MAX_FILE_BYTES} bytes")
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskRefused(f"cannot read {self.path}: {error.strerror}", hint=OWNER_HINT) from error

    def replace(self, data: bytes) -> None:
        """Replace the file; durable when it returns."""
        replace_file(self.path, data, PRIVATE_MODE)

    def __str__(self) -> str:
        return str(self.path)


class MemoryStateFile:
    """For tests and simulations: `full` makes it refuse like a full disk."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data
        self.full = False
        self.writes = 0

    def read(self) -> bytes | None:
        """What was kept last."""
        return self.data

    def replace(self, data: bytes) -> None:
        """Keep `data` instead."""
        if self.full:
            raise Unavailable("no space left on the simulated disk")
        self.data = data
        self.writes += 1

    def __repr__(self) -> str:
        return f"MemoryStateFile({0 if self.data is None else len(self.data)} bytes)"

    __str__ = __repr__


def encode(state: VaultState) -> bytes:
    """The file's bytes. They hold secrets: they go to a StateFile and nowhere else."""
    body = msgspec.json.encode(state, enc_hook=_to_text)
    return f"{MAGIC} {VERSION} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def decode(data: bytes, where: str, *, order: int) -> VaultState:
    """The state in `data`; raises StateDamaged naming `where`. `order` bounds every scalar."""
    header, newline, body = data.partition(b"\n")
    words = header.split(b" ")
    if not newline or len(words) != 3 or words[0] != MAGIC.encode():
        raise StateDamaged(f"{where} is not a vault's state file")
    if words[1] != str(VERSION).encode():
        raise StateDamaged(f"{where} has another version than {VERSION}", hint="upgrade drand; the file was left alone")
    if words[2] != hashlib.sha256(body).hexdigest().encode():
        raise StateDamaged(f"{where} is damaged: its checksum is wrong")
    try:
        state = msgspec.json.decode(body, type=VaultState, dec_hook=_from_text)
    except msgspec.DecodeError as error:
        raise StateDamaged(f"{where} is damaged: {error}") from error
    if any(scalar.expose() >= order for scalar in _scalars(state)):
        raise StateDamaged(f"{where} is damaged: a scalar is not below the group order")
    return state


def _scalars(state: VaultState) -> list[SecretScalar]:
    polynomials = [scalar for session in state.sessions for scalar in session.polynomial]
    received = [item.share for session in state.sessions for item in session.received]
    return polynomials + received + [epoch.share for epoch in state.epochs]


def _to_text(value: Any) -> str:
    if isinstance(value, SecretScalar):
        return value.to_bytes().hex()
    raise TypeError(f"{type(value).__name__} has no place in the vault's state")


def _from_text(wanted: type, text: Any) -> Any:
    if wanted is not SecretScalar or not isinstance(text, str) or len(text) != 2 * SCALAR_BYTES:
        raise ValueError("not a scalar")
    return SecretScalar(int.from_bytes(bytes.fromhex(text), "big"))
