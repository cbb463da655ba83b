"""What every part of the vault works with: the identity key, the outside it may ask, and how it says no."""

from collections.abc import Callable
from dataclasses import dataclass, field

from collective.clock import Clock
from collective.entropy import Entropy
from collective.errors import OutOfTurn
from collective.groups.group import Point
from collective.secret import SecretScalar
from collective.signatures import schnorr
from drand.model.group import Identity
from drand.model.schemes import Scheme


class Refused(OutOfTurn):
    """The vault will not answer this request. `retry`: it may, later."""

    def __init__(self, reason: str, *, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A node's long-term identity and the secret scalar behind it."""

    identity: Identity
    secret: SecretScalar = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keeper:
    """The key and the outside. `read_script` runs an operator's program: (path, bytes wanted) -> its output."""

    keys: KeyPair
    entropy: Entropy
    clock: Clock
    read_script: Callable[[str, int], bytes]

    @property
    def scheme(self) -> Scheme:
        """The one scheme that this key is for."""
        return self.keys.identity.scheme

    @property
    def public_key(self) -> bytes:
        """The encoded long-term key: how we find ourselves among dealers, holders and nodes."""
        return self.keys.identity.key

    def sign(self, message: bytes) -> bytes:
        """A Schnorr signature by the long-term key."""
        return schnorr.sign(self.scheme.key_group, self.keys.secret, message, self.entropy, public_key=self.public_key)

    def decode_key(self, key: bytes) -> Point:
        """A participant's long-term key; raises MalformedPoint."""
        return self.scheme.decode_key(key)
