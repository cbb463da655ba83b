"""The files of `drand timelock`: which is written where, written whole or not at all, with progress on a terminal."""

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from collective.errors import BadSetting, CollectiveError, Unavailable
from collective.files import DiskRefused, replacing_file
from drand.cli.root import WrongUse, say_error
from drand.errors import exit_code
from drand.timelock.errors import NOTHING_WRITTEN, DamagedPayload

if TYPE_CHECKING:
    from rich.progress import Progress

STANDARD = Path("-")
SUFFIX = ".tle"
SUFFIXES = (SUFFIX, ".age")
SHOW_FROM_BYTES = 32 << 20  # one file below this is done before a bar is read
LOCKED_MODE = 0o644
OPENED_MODE = 0o600


@dataclass(frozen=True)
class Job:
    """One file to be read, and where the result goes; "-" is standard input or output."""

    source: Path
    target: Path

    @property
    def label(self) -> str:
        """What errors and progress call it."""
        return "standard input" if self.source == STANDARD else str(self.source)


def plan(sources: Sequence[Path], output: Path | None, renamed: Callable[[Path], Path]) -> list[Job]:
    """What is written where.

    One source goes to `output`, or to standard output. Several go to files beside them, named by `renamed`, or into
    the folder `output`; those names are ours, so nothing is overwritten. raises BadSetting, DiskRefused, WrongUse
    """
    if len(sources) <= 1:
        source = sources[0] if sources else STANDARD
        into = output is not None and output.is_dir() and source != STANDARD
        if output is None or not into:
            require_place(output or STANDARD)
            require_other(source, output or STANDARD)
            return [Job(source, output or STANDARD)]
    if output is not None and not output.is_dir():
        raise BadSetting(f"several files do not fit into {output}", hint="give a folder that exists as --output")
    if STANDARD in sources:
        raise BadSetting("standard input cannot be one of several files")
    jobs = [Job(source, (output or source.parent) / renamed(source).name) for source in sources]
    targets = [job.target for job in jobs]
    for job in jobs:
        if job.target.exists() or targets.count(job.target) > 1:
            raise BadSetting(f"{job.target} is there already", hint="move it away, or take one file at a time with -o")
        require_place(job.target)
    return jobs


def require_place(target: Path) -> None:
    """Raise DiskRefused where no file can be put: that should not show after days of waiting for a round."""
    if target == STANDARD or (target.exists() and not (target.is_file() or target.is_dir())):
        return
    final = Path(os.path.realpath(target))
    folder = final.parent
    if final.is_symlink():
        reason = errno.ELOOP  # links that lead in a circle
    elif target.is_dir():
        reason = errno.EISDIR
    elif not folder.is_dir():
        reason = errno.ENOENT
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = errno.EACCES
    else:
        return
    raise DiskRefused(f"cannot write {target}: {os.strerror(reason)}")


def require_other(source: Path, target: Path) -> None:
    """Raise WrongUse where the result would replace what it is made from, by whatever name."""
    if target == STANDARD or not target.is_file():
        return
    try:
        read = os.fstat(sys.stdin.fileno()) if source == STANDARD else source.stat()
    except (OSError, ValueError):
        return  # nothing that can be told apart; a source that is not there is said when it is opened
    if os.path.samestat(read, target.stat()):
        raise WrongUse(
            f"{target} is the file that is read: the result would replace the only copy of it",
            hint="give another name with -o, and remove the old file once you have seen that the new one is right",
        )


def locked_name(source: Path) -> Path:
    """`report.pdf.tle` for `report.pdf`."""
    return source.with_name(source.name + SUFFIX)


def opened_name(source: Path) -> Path:
    """`report.pdf` for `report.pdf.tle`; raises BadSetting for a name without one of our suffixes."""
    if source.suffix not in SUFFIXES or not source.stem:
        raise BadSetting(
            f"{source} does not end in {' or '.join(SUFFIXES)}, so its content has no name",
            hint="take it by itself, with -o",
        )
    return source.with_name(source.stem)


@contextmanager
def reading(source: Path) -> Iterator[BinaryIO]:
    """The file, or standard input."""
    if source == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        file = source.open("rb")
    except OSError as error:
        raise BadSetting(f"cannot read {source}: {error.strerror}", hint="check the name") from error
    with file:
        yield file


@contextmanager
def writing(target: Path, mode: int) -> Iterator[BinaryIO]:
    """A place for the result: a file that appears when all of it is there, or standard output, a pipe, a device.

    A link stays one: what it points to is replaced.
    """
    if target == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif target.exists() and not (target.is_file() or target.is_dir()):
        try:
            with target.open("wb") as stream:
                yield stream
        except OSError as error:
            raise Unavailable(f"cannot write {target}: {error.strerror}", hint="check what reads from it") from error
    else:
        try:
            with replacing_file(target.resolve(), mode) as file:
                yield file
        except DamagedPayload as error:
            if error.advice == DamagedPayload.hint:
                error.advice = NOTHING_WRITTEN  # what was authentic has gone with the rest
            raise


class Watched:
    """A reader that tells how much was read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None], label: str) -> None:
        self._file, self._tell, self._label = file, tell, label

    def read(self, size: int, /) -> bytes:
        """As the file's; raises Unavailable when the disk fails."""
        try:
            data = self._file.read(size)
        except OSError as error:
            raise Unavailable(f"cannot read {self._label}: {error.strerror}", hint="check the disk") from error
        self._tell(len(data))
        return data


def each(jobs: Sequence[Job], work: Callable[[Job, Callable[[int], None]], None]) -> int:
    """Do the work for every file; returns the exit code.

    Of several files, one that fails is named and the others go on; the code is that of the first failure.
    """
    if len(jobs) == 1:
        with _bar(jobs) as bar:
            work(jobs[0], _teller(bar, jobs[0]))
        return 0
    first_code = 0
    with _bar(jobs) as bar:
        for job in jobs:
            try:
                work(job, _teller(bar, job))
            except CollectiveError as error:
                say_error(click.ClickException(f"{job.label}: {error}"), error.advice)
                first_code = first_code or exit_code(error)
    return first_code


def _bar(jobs: Sequence[Job]) -> "Progress | nullcontext[None]":
    large = any(job.source.is_file() and job.source.stat().st_size >= SHOW_FROM_BYTES for job in jobs)
    if not sys.stderr.isatty() or (len(jobs) == 1 and not large):
        return nullcontext()
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def _teller(bar: "Progress | None", job: Job) -> Callable[[int], None]:
    if bar is None:
        return lambda _count: None
    total = job.source.stat().st_size if job.source.is_file() else None
    task = bar.add_task(job.label, total=total)
    return lambda count: bar.advance(task, count)
