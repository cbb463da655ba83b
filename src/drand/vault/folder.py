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
from collective.files import (
    FOLDER_MODE,
    OWNER_HINT,
    PRIVATE_MODE,
    DiskRefused,
    create_file,
    discard_leftovers,
    is_there,
    make_folder,
    replace_file,
)
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


class DamagedIdentityFile(DamagedKeyFile):
    """The public file, which the private one is enough to make again."""

    hint = "restore it from a backup, or make it again with `drand util self-sign --address HOST:PORT`"


class ForeignIdentity(BadSetting):
    """The public file is of another key than the private one."""

    hint = "restore both from one backup, or make the public file of this key again with `drand util self-sign`"


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
        if is_there(self.identity_file):
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
        raises  NoKeyPair; DamagedKeyFile naming the file; ForeignIdentity when the two files are not one pair
        """
        secret, used = self.load_secret(scheme)
        identity = self.load_identity(used)
        if identity.key != used.key_group.encode(used.bls.public_key(secret)):
            raise ForeignIdentity(f"{self.identity_file} does not belong to {self.key_file}")
        return KeyPair(identity, secret)

    def load_secret(self, scheme: Scheme | None = None) -> tuple[SecretScalar, Scheme]:
        """The long-term secret and its scheme, from the private file alone.

        raises  NoKeyPair; DamagedKeyFile naming the file; DiskRefused where it may not be looked at
        """
        if not is_there(self.key_file) and not is_there(self.identity_file):
            raise NoKeyPair(f"there is no key pair in {self.key_file.parent}")
        data = _read(self.key_file)
        try:
            return decode_key_file(data, scheme)
        except Malformed as error:
            raise DamagedKeyFile(f"{self.key_file}: {error}") from error

    def load_identity(self, scheme: Scheme) -> Identity:
        """What the public file says, whosever key it is. Raises DamagedIdentityFile."""
        try:
            data = _read(self.identity_file)
        except DamagedKeyFile as error:
            raise DamagedIdentityFile(str(error)) from error
        try:
            return decode_identity_file(data, scheme)
        except Malformed as error:
            raise DamagedIdentityFile(f"{self.identity_file}: {error}") from error

    def save_share(self, share: Share) -> None:
        """Replace `dist_key.private`, made from the vault's state; a file that holds this share is left alone."""
        data = encode_share_file(share)
        make_folder(self.share_file.parent)
        if not _holds(self.share_file, data):
            replace_file(self.share_file, data, PRIVATE_MODE, derived=True)

    def mend_share(self, share: Share) -> str:
        """Make `dist_key.private` hold `share`; what was wrong with it and what was done, "" where it was right.

        What it held instead is kept beside it: it may be a share of which there is no other copy. Raises DiskRefused.
        """
        fault = self._share_fault(share)
        if not fault:
            return ""
        kept = self._keep_share_aside()
        self.save_share(share)
        return f"{fault}; it was written again from the vault's state" + (f", the old one is {kept}" if kept else "")

    def _share_fault(self, share: Share) -> str:
        try:
            held = self.load_share(share.scheme)
        except (DamagedKeyFile, DiskRefused) as error:
            return str(error)
        if held is None:
            return f"{self.share_file} is missing"
        return "" if held == share else f"{self.share_file} holds another share than the vault"

    def _keep_share_aside(self) -> Path | None:
        """Move the share file to where nothing reads it; None without one."""
        kept = self.share_file.with_name(self.share_file.name + ".replaced")
        try:
            self.share_file.replace(kept)
            if kept.is_file():
                kept.chmod(PRIVATE_MODE)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskRefused(f"cannot move {self.share_file} to {kept}: {error.strerror}") from error
        return kept

    def load_share(self, scheme: Scheme) -> Share | None:
        """The share in `dist_key.private`, None without the file; raises DamagedKeyFile naming it, DiskRefused."""
        if not is_there(self.share_file):
            return None
        data = _read(self.share_file)
        try:
            return decode_share_file(data, scheme)
        except Malformed as error:
            raise DamagedKeyFile(f"{self.share_file}: {error}") from error

    def forget_shares(self) -> None:
        """Remove state and share, keeping the key pair (`drand util reset`). Signed rounds are forgotten with them.

        raises  DiskRefused
        """
        self.discard_leftovers()
        for path in (self.state_file.path, self.share_file):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise DiskRefused(f"cannot remove {path}: {error.strerror}", hint=OWNER_HINT) from error

    def discard_leftovers(self) -> None:
        """Remove what a process that was killed while it wrote a secret has left of it; raises DiskRefused."""
        for path in self._private_files():
            discard_leftovers(path)

    def _private_files(self) -> tuple[Path, ...]:
        return (self.key_file, self.share_file, self.state_file.path)

    def complaints(self) -> list[str]:
        """What is too open to others among files and folders, one sentence each, for the operator to read."""
        found = [_too_open(path, PRIVATE_MODE) for path in self._private_files()]
        found += [_too_open(folder, FOLDER_MODE) for folder in (self.key_file.parent, self.share_file.parent)]
        return [complaint for complaint in found if complaint]


def _too_open(path: Path, mode: int) -> str:
    """A complaint, "" without one; what may not be looked at is for whoever reads it to complain about."""
    try:
        actual = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""
    return f"{path} has mode {actual:04o}, it should be {mode:04o}: chmod {mode:04o} {path}" if actual & ~mode else ""


def _holds(path: Path, data: bytes) -> bool:
    """Whether the file is there, can be read, and is just `data`."""
    try:
        return _read(path) == data
    except (DamagedKeyFile, DiskRefused):
        return False


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_KEY_FILE_BYTES:
            raise DamagedKeyFile(f"{path} is far too long for a key file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedKeyFile(f"{path} is missing") from error
    except OSError as error:
        raise DiskRefused(f"cannot read {path}: {error.strerror}", hint=OWNER_HINT) from error
