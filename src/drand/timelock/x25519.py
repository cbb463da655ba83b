"""age's native recipients, so that a file opens at a round or with a key, whichever comes first.

    -> X25519 <base64 of the ephemeral share>
    ChaCha20-Poly1305(HKDF-SHA-256(shared secret, share || recipient, "age-encryption.org/v1/X25519"), zero nonce)

Source: C2SP age.md, "The X25519 recipient type".
"""

from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from collective.entropy import Entropy
from drand.timelock import bech32
from drand.timelock.errors import DamagedHeader, MalformedKey
from drand.timelock.header import FILE_KEY_BYTES, Stanza, decode64, derive, encode64
from drand.timelock.recipients import of_type

STANZA_TYPE = "X25519"
KEY_BYTES = 32
RECIPIENT_PREFIX = "age"
IDENTITY_PREFIX = "age-secret-key-"
_INFO = b"age-encryption.org/v1/X25519"
_ZERO_NONCE = bytes(12)
_BODY_BYTES = FILE_KEY_BYTES + 16


class X25519Recipient:
    """The holder of an age key (`drand.timelock.recipients.Recipient`)."""

    def __init__(self, public_key: bytes) -> None:
        if len(public_key) != KEY_BYTES:
            raise MalformedKey(f"an X25519 key has {KEY_BYTES} bytes, not {len(public_key)}")
        self.public_key = public_key

    @classmethod
    def parse(cls, text: str) -> "X25519Recipient":
        """The recipient `age1...`; raises MalformedKey."""
        return cls(bech32.decode(text, RECIPIENT_PREFIX))

    def __str__(self) -> str:
        return bech32.encode(RECIPIENT_PREFIX, self.public_key)

    def wrap(self, file_key: bytes, entropy: Entropy) -> Stanza:
        """The stanza for this key; raises MalformedKey when nobody can hold its secret (a point of low order)."""
        ephemeral = X25519PrivateKey.from_private_bytes(entropy.bytes(KEY_BYTES))
        share = ephemeral.public_key().public_bytes_raw()
        try:
            secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(self.public_key))
        except ValueError as error:
            raise MalformedKey("the recipient is a point of low order: anybody could open the file") from error
        cipher = ChaCha20Poly1305(derive(secret, share + self.public_key, _INFO))
        return Stanza(STANZA_TYPE, (encode64(share),), cipher.encrypt(_ZERO_NONCE, file_key, None))


class X25519Identity:
    """An age key (`drand.timelock.recipients.Identity`). It does not print itself by accident: see `encode`."""

    def __init__(self, secret_key: bytes) -> None:
        if len(secret_key) != KEY_BYTES:
            raise MalformedKey(f"an X25519 key has {KEY_BYTES} bytes, not {len(secret_key)}")
        self._key = X25519PrivateKey.from_private_bytes(secret_key)
        self.recipient = X25519Recipient(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, entropy: Entropy) -> "X25519Identity":
        """A fresh key."""
        return cls(entropy.bytes(KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> "X25519Identity":
        """The identity `AGE-SECRET-KEY-1...`; raises MalformedKey, which never shows the text."""
        return cls(bech32.decode(text, IDENTITY_PREFIX))

    def __repr__(self) -> str:
        return f"<X25519Identity of {self.recipient}>"

    def encode(self) -> str:
        """`AGE-SECRET-KEY-1...`: the secret itself."""
        return bech32.encode(IDENTITY_PREFIX, self._key.private_bytes_raw()).upper()

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, None when no X25519 stanza is for this key; raises DamagedHeader at a malformed one."""
        for stanza in of_type(stanzas, STANZA_TYPE):
            file_key = self._open(stanza)
            if file_key is not None:
                return file_key
        return None

    def _open(self, stanza: Stanza) -> bytes | None:
        if len(stanza.args) != 1:
            raise DamagedHeader(f"an X25519 stanza has one argument, not {len(stanza.args)}")
        share = decode64(stanza.args[0].encode("ascii"), "the share of an X25519 stanza")
        if len(share) != KEY_BYTES or len(stanza.body) != _BODY_BYTES:
            raise DamagedHeader("an X25519 stanza has a share or a body of the wrong length")
        try:
            secret = self._key.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError as error:
            raise DamagedHeader("the share of an X25519 stanza is a point of low order") from error
        cipher = ChaCha20Poly1305(derive(secret, share + self.recipient.public_key, _INFO))
        try:
            return cipher.decrypt(_ZERO_NONCE, stanza.body, None)
        except InvalidTag:
            return None


def read_identities(lines: Iterable[str]) -> list[X25519Identity]:
    """The keys of an identity file: one a line, empty lines and lines that begin with # aside; raises MalformedKey."""
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                found.append(X25519Identity.parse(text))
            except MalformedKey as error:
                raise MalformedKey(f"line {number}: {error}", hint=error.advice) from error
    if not found:
        raise MalformedKey("there is no identity in the file")
    return found
