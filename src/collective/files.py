"""Files that survive a crash whole: written beside their place, flushed, and moved there in one step."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from collective.errors import Unavailable

PRIVATE_MODE = 0o600
FOLDER_MODE = 0o740
OWNER_HINT = "check owner and permissions of what is there and of the folders above it"


class DiskRefused(Unavailable):
    """The disk would not take a file: full, read-only, or not ours. What was there before is still there."""

    hint = "check that the folder is there, who may write to it, and the space left on the disk; then try again"


def is_there(path: Path) -> bool:
    """Whether there is something at `path`; raises DiskRefused where the system does not let us look.

    `Path.exists` raises an error of the system then, or says False, as newer versions of Python do: of a key or a share
    "absent" and "not to be looked at" must never be taken for the same.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DiskRefused(f"cannot look at {path}: {error.strerror}", hint=OWNER_HINT) from error
    return True


def make_folder(path: Path, mode: int = FOLDER_MODE) -> None:
    """Make `path` and its missing parents with exactly `mode`; one that exists keeps its own. Raises DiskRefused."""
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                folder.chmod(mode)
                sync_folder(folder.parent)
    except OSError as error:
        raise DiskRefused(f"cannot make the folder {path}: {error.strerror}") from error


def replace_file(path: Path, data: bytes, mode: int, *, derived: bool = False) -> None:
    """Make `path` hold `data` with exactly `mode`: after a crash it is either the old file or the new one, whole.

    derived   from what is on disk already and makes it again: which of the two it is does not matter then
    Durable when it returns, unless derived. The data waits in `.<name>.<pid>.tmp` of the same folder; raises
    DiskRefused.
    """
    waiting = waiting_file(path)
    try:
        _write_synced(waiting, data, mode)
        waiting.replace(path)
        if not derived:
            sync_folder(path.parent)
    except OSError as error:
        discard(waiting)
        raise DiskRefused(f"cannot write {path}: {error.strerror}") from error
    except BaseException:  # a signal that ends the command
        discard(waiting)
        raise


@contextmanager
def replacing_file(path: Path, mode: int) -> Iterator[BinaryIO]:
    """A file to write that becomes `path` when the block ends well, and leaves nothing when it ends with an error.

    For content that is too large for `replace_file` or is made piece by piece; durable when the block has ended.
    raises  DiskRefused
    """
    waiting = waiting_file(path)
    try:
        with _opened_fresh(waiting, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise DiskRefused(f"cannot write {path}: {error.strerror}") from error
    finally:
        discard(waiting)


def create_file(path: Path, data: bytes, mode: int) -> None:
    """Like `replace_file`, for a file that must not exist yet: raises FileExistsError, and then nothing has changed."""
    waiting = waiting_file(path)
    try:
        _write_synced(waiting, data, mode)
        os.link(waiting, path)  # unlike a rename, a link never replaces
        sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise DiskRefused(f"cannot write {path}: {error.strerror}") from error
    finally:
        discard(waiting)


def waiting_file(path: Path) -> Path:
    """Where this process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def discard(waiting: Path) -> None:
    """Remove a waiting file, if it is there. A disk that refuses that, too, has said why it refused the file itself."""
    with suppress(OSError):
        waiting.unlink()


def discard_leftovers(path: Path) -> None:
    """Remove what processes that were killed while they wrote `path` have left waiting; nobody may write it now.

    raises  DiskRefused: what waits may be secret, so a reader should know that it is still there
    """
    left = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+\.tmp")
    try:
        for other in path.parent.iterdir() if path.parent.is_dir() else ():
            if left.fullmatch(other.name):
                other.unlink()
    except OSError as error:
        raise DiskRefused(f"cannot tidy up beside {path}: {error.strerror}") from error


def sync_folder(path: Path) -> None:
    """Flush the folder itself, so that files made, moved or removed in it stay so after a crash."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    with _opened_fresh(path, mode) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _opened_fresh(path: Path, mode: int) -> BinaryIO:
    path.unlink(missing_ok=True)  # left by a process that died; a fresh file, so that `mode` holds from the start
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    os.fchmod(handle, mode)  # whatever the umask is
    return open(handle, "wb")
