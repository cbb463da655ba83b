"""From the layout of before beacon ids to today's.

    <folder>/{key,groups,db}  ->  <folder>/multibeacon/default/{key,groups,db}

The files are copied, the old ones stay. Source: drand v1.5.11, core/migration; unlike there, the new folder appears in
one step, so that a crash in the middle leaves nothing to be taken for a migrated one.
"""

import logging
import os
import shutil
from pathlib import Path

from collective.files import FOLDER_MODE, PRIVATE_MODE, DiskRefused, is_there, make_folder, replace_file, sync_folder
from drand.daemon.folders import MULTIBEACON
from drand.model.chain import DEFAULT_BEACON_ID

OLD_FOLDERS = ("key", "groups", "db")
_WAITING = f".{MULTIBEACON}.tmp"

log = logging.getLogger(__name__)


def has_old_layout(base: Path) -> bool:
    """Whether `base` was used before there were beacon ids, and not migrated since; raises DiskRefused."""
    return not is_there(base / MULTIBEACON) and any((base / name).is_dir() for name in OLD_FOLDERS)


def migrate_old_layout(base: Path) -> bool:
    """Bring `base` into today's layout where it is not; returns whether there was something to do.

    Folders get mode 0740, files 0600. raises  DiskRefused, and then nothing has changed
    """
    if not has_old_layout(base):
        return False
    waiting = base / _WAITING
    shutil.rmtree(waiting, ignore_errors=True)  # of a migration that was cut short
    try:
        make_folder(waiting)
        for name in OLD_FOLDERS:
            make_folder(waiting / DEFAULT_BEACON_ID / name)
            _copy_folder(base / name, waiting / DEFAULT_BEACON_ID / name)
        waiting.rename(base / MULTIBEACON)
        sync_folder(base)
    except OSError as error:
        raise DiskRefused(f"cannot migrate {base} to {base / MULTIBEACON}: {error.strerror}") from error
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    log.info("migrated %s to %s; the old folders may be removed", base, base / MULTIBEACON / DEFAULT_BEACON_ID)
    return True


def _copy_folder(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    for entry in sorted(source.iterdir()):
        copy = target / entry.name
        if entry.is_dir():
            copy.mkdir()
            copy.chmod(FOLDER_MODE)
            _copy_folder(entry, copy)
        elif entry.is_file():  # no sockets, no pipes
            _copy_file(entry, copy)


def _copy_file(source: Path, target: Path) -> None:
    """Copied piece by piece: an old database may be larger than the memory."""
    replace_file(target, b"", PRIVATE_MODE)
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())
