"""The key files of one beacon, where and as the Go implementation keeps them, and the vault's own state beside them.

    <folder>/key/drand_id.private      0600   the long-term secret
    <folder>/key/drand_id.public       0644   the self-signed identity
    <folder>/groups/dist_key.private   0600   the share of the newest group
    <folder>/vault.state               0600   ours: open sessions, shares, signed rounds

Folders are made 0740. `<folder>` is `<drand folder>/multibeacon/<beacon id>`.
Source: drand v1.5.11, key/store.go and fs/fs.go.
"""

import stat
from dataclasses import dataclass
from pathlib import Path

from collective.entropy import Entropy, random_scalar
from collective.errors import BadSetting, Malformed
from collective.files import FOLDER_MODE, PRIVATE_MODE, DiskRefused, create_file, make_folder, replace_file
from collective.secret import SecretScalar
from drand.model.group import Identity
from drand.model.schemes import Scheme
from drand.model.share import Share
from drand.vault.keeper import KeyPair
from drand.vault.state import DiskStateFile
from drand.wire.toml_files import (
    decode_identity_file,
    decode_key_file,
    decode_share_file,
    encode_identity_file,
    encode_key_file,
    encode_share_file,
)

PUBLIC_MODE = 0o644
MAX_KEY_FILE_BYTES = 2**20


class KeyPairExists(BadSetting):
    """There is a key pair already, and it is never overwritten."""

    hint = "use another --folder or --id, or move the `key` folder away first"


class NoKeyPair(BadSetting):
    """There is no key pair yet."""

    hint = "make one with `drand generate-keypair ADDRESS`"


class DamagedKeyFile(Malformed):
    """A key or share file that cannot be read as one."""

    hint = "restore it from a backup; a key pair cannot be made again"


def make_key_pair(address: str, *, tls: bool, scheme: Scheme, entropy: Entropy) -> KeyPair:
    """A fresh key pair, signed by itself. `address` is host:port, as peers will dial it."""
    secret = SecretScalar(random_scalar(entropy, scheme.key_group.order))
    return self_signed(secret, address, tls=tls, scheme=scheme)


def self_signed(secret: SecretScalar, address: str, *, tls: bool, scheme: Scheme) -> KeyPair:
    """The key pair of `secret` with its self-signature: BLS over BLAKE2b-256 of the encoded key, deterministic.

    Source: drand v1.5.11, key/keys.go, Pair.SelfSign; vectors keypair/*.
    """
    key = scheme.key_group.encode(scheme.bls.public_key(secret))
    unsigned = Identity(address=address, key=key, tls=tls, signature=b"", scheme=scheme)
    signature = scheme.bls.sign(secret, unsigned.hash())
    return KeyPair(Identity(address=address, key=key, tls=tls, signature=signature, scheme=scheme), secret)


@dataclass(frozen=True, slots=True)
class VaultFolder:
    """The files of one beacon id."""

    path: Path

    @property
    def key_file(self) -> Path:
        """The long-term secret."""
        return self.path / "key" / "drand_id.private"

    @property
    def identity_file(self) -> Path:
        """The self-signed public identity."""
        return self.path / "key" / "drand_id.public"

    @property
    def share_file(self) -> Path:
        """The share, as Go reads it."""
        return self.path / "groups" / "dist_key.private"

    @property
    def state_file(self) -> DiskStateFile:
        """The vault's own memory."""
        return DiskStateFile(self.path / "vault.state")

    def save_key_pair(self, keys: KeyPair) -> None:
        """Write a new key pair; raises KeyPairExists when either file is there, and then nothing has changed."""
        if self.identity_file.exists():
            raise KeyPairExists(f"keypair already exists: {self.identity_file}")
        make_folder(self.key_file.parent)
        try:
            create_file(self.key_file, encode_key_file(keys.secret, keys.identity.scheme), PRIVATE_MODE)
        except FileExistsError as error:
            raise KeyPairExists(f"keypair already exists: {self.key_file}") from error
        self.save_identity(keys.identity)

    def save_identity(self, identity: Identity) -> None:
        """Replace the public file, for instance with a new self-signature (`drand util self-sign`)."""
        replace_file(self.identity_file, encode_identity_file(identity), PUBLIC_MODE)

    def load_key_pair(self, scheme: Scheme | None = None) -> KeyPair:
        """The key pair; its self-signature is not checked here.

        scheme  the group's, where there is one: old files name none
        raises  NoKeyPair; DamagedKeyFile naming the file; BadSetting when the two files are not one pair
        """
        if not self.key_file.exists() and not self.identity_file.exists():
            raise NoKeyPair(f"there is no key pair in {self.key_file.parent}")
        try:
            secret, used = decode_key_file(_read(self.key_file), scheme)
        except Malformed as error:
            raise DamagedKeyFile(f"{self.key_file}: {error}") from error
        try:
            identity = decode_identity_file(_read(self.identity_file), used)
        except Malformed as error:
            raise DamagedKeyFile(f"{self.identity_file}: {error}") from error
        if identity.key != used.key_group.encode(used.bls.public_key(secret)):
            raise BadSetting(
                f"{self.identity_file} does not belong to {self.key_file}",
                hint="make the public file again with `drand util self-sign`, or restore both from one backup",
            )
        return KeyPair(identity, secret)

    def save_share(self, share: Share) -> None:
        """Replace `dist_key.private`; a file that holds this share already is left alone."""
        data = encode_share_file(share)
        make_folder(self.share_file.parent)
        if self.share_file.exists() and _read(self.share_file) == data:
            return
        replace_file(self.share_file, data, PRIVATE_MODE)

    def load_share(self, scheme: Scheme) -> Share | None:
        """The share in `dist_key.private`, None without the file; raises DamagedKeyFile naming it."""
        if not self.share_file.exists():
            return None
        try:
            return decode_share_file(_read(self.share_file), scheme)
        except Malformed as error:
            raise DamagedKeyFile(f"{self.share_file}: {error}") from error

    def forget_shares(self) -> None:
        """Remove state and share, keeping the key pair (`drand util reset`). Signed rounds are forgotten with them."""
        self.state_file.path.unlink(missing_ok=True)
        self.share_file.unlink(missing_ok=True)

    def complaints(self) -> list[str]:
        """What is too open to others among files and folders, one sentence each, for the operator to read."""
        private = (self.key_file, self.share_file, self.state_file.path)
        found = [_too_open(path, PRIVATE_MODE) for path in private]
        found += [_too_open(folder, FOLDER_MODE) for folder in (self.key_file.parent, self.share_file.parent)]
        return [complaint for complaint in found if complaint]


def _too_open(path: Path, mode: int) -> str:
    if not path.exists():
        return ""
    actual = stat.S_IMODE(path.stat().st_mode)
    return f"{path} has mode {actual:04o}, it should be {mode:04o}: chmod {mode:04o} {path}" if actual & ~mode else ""


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_KEY_FILE_BYTES:
            raise DamagedKeyFile(f"{path} is far too long for a key file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedKeyFile(f"{path} is missing") from error
    except OSError as error:
        raise DiskRefused(f"cannot read {path}: {error.strerror}", hint="check owner and permissions") from error
