"""Where a daemon keeps what: one folder per beacon id, laid out as Go lays it out.

    <folder>/multibeacon/<beacon id>/key     drand_id.private, drand_id.public       (the vault's)
                                    /groups  drand_group.toml, dist_key.private
                                    /db      drand.sqlite
Source: drand v1.5.11, key/store.go and core/config.go.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from collective.errors import BadSetting
from collective.files import OWNER_HINT, DiskRefused, is_there, make_folder

MULTIBEACON = "multibeacon"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def checked_beacon_id(beacon_id: str) -> str:
    """The id, "default" for the empty one; raises BadSetting where it would not do as a folder name."""
    name = beacon_id or "default"
    if not _ID.fullmatch(name):
        raise BadSetting(
            f"{beacon_id!r} cannot be a beacon id", hint="use letters, digits, '-', '_' and '.', 64 at most"
        )
    return name


@dataclass(frozen=True, slots=True)
class BeaconFolder:
    """The files of one beacon id."""

    base: Path  # the daemon's folder
    beacon_id: str

    @property
    def root(self) -> Path:
        """multibeacon/<id>."""
        return self.base / MULTIBEACON / self.beacon_id

    @property
    def keys(self) -> Path:
        """key/: the vault's."""
        return self.root / "key"

    @property
    def groups(self) -> Path:
        """groups/."""
        return self.root / "groups"

    @property
    def group_file(self) -> Path:
        """The group as Go reads and writes it."""
        return self.groups / "drand_group.toml"

    @property
    def share_file(self) -> Path:
        """The share as Go reads and writes it: written and read by the vault."""
        return self.groups / "dist_key.private"

    @property
    def vault_state(self) -> Path:
        """The vault's own memory: written and read by the vault."""
        return self.root / "vault.state"

    @property
    def store(self) -> Path:
        """Beacons, epoch and journal."""
        return self.root / "db" / "drand.sqlite"

    @property
    def has_keys(self) -> bool:
        """Whether a key pair was generated here; raises DiskRefused where the folder may not be looked into."""
        return is_there(self.keys / "drand_id.private")

    def make(self) -> None:
        """Create what is missing, readable by the owner (and listable by the group, as Go has it)."""
        for folder in (self.keys, self.groups, self.root / "db"):
            make_folder(folder)


def beacon_ids(base: Path) -> list[str]:
    """The ids that have a key pair below `base`, in alphabetical order; raises DiskRefused.

    One whose folder may not be looked into is among them: loading it says why.
    """
    multibeacon = base / MULTIBEACON
    try:
        names = sorted(os.listdir(multibeacon))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DiskRefused(f"cannot list {multibeacon}: {error.strerror}", hint=OWNER_HINT) from error
    return [name for name in names if _ID.fullmatch(name) and _may_have_keys(BeaconFolder(base, name))]


def _may_have_keys(folder: BeaconFolder) -> bool:
    try:
        return folder.has_keys
    except DiskRefused:
        return True
