"""Flags that several commands share, and the kinds of values that flags take.

Every flag has an environment variable, DRAND_ and its name in capitals unless named here; `drand.cli.root` gives it.
Source: drand v1.5.11, cmd/drand-cli/cli.go.
"""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from collective.errors import CollectiveError
from drand.cli.root import CONTROL_KEY, FOLDER_KEY, VERBOSE_KEY
from drand.daemon.folders import checked_beacon_id
from drand.daemon.settings import DEFAULT_CONTROL, default_folder
from drand.model.schemes import SCHEME_NAMES
from drand.wire.go_duration import parse_duration

NANOSECONDS = 1_000_000_000


class Duration(click.ParamType):  # type: ignore[type-arg]  # click before 8.4 has no parameter here
    """A Go duration ("30s", "1m30s", "500ms", "0"); the value is in nanoseconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Nanoseconds, not negative."""
        if isinstance(value, int):
            return value
        try:
            duration_ns = parse_duration(str(value))
        except CollectiveError as error:
            self.fail(f"{error}; {error.advice}", param, ctx)
        if duration_ns < 0:
            self.fail(f"{value} is negative", param, ctx)
        return duration_ns


class WholeSeconds(Duration):
    """A Go duration in whole seconds, as messages carry it; the value is in seconds."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds."""
        if isinstance(value, int):
            return value
        seconds, rest = divmod(super().convert(value, param, ctx), NANOSECONDS)
        if rest:
            self.fail(f"{value} is no whole number of seconds, which is all that nodes can tell each other", param, ctx)
        return seconds


class Whole(click.IntRange):
    """A whole number within bounds; click's own name for it reads "'x' is not a valid integer range"."""

    name = "whole number"


class BeaconId(click.ParamType):  # type: ignore[type-arg]
    """A beacon id: it names a folder. The empty one is "default"."""

    name = "id"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The canonical id."""
        try:
            return checked_beacon_id(str(value))
        except CollectiveError as error:
            self.fail(f"{error}; {error.advice}", param, ctx)


def was_typed(ctx: click.Context, name: str) -> bool:
    """Whether a flag stands on the command line, rather than in the environment or nowhere."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _folder(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path:
    before: Path | None = ctx.meta.get(FOLDER_KEY)
    if before is not None and not was_typed(ctx, param.name or ""):
        return before
    return value or default_folder()


def _verbose(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    return value or bool(ctx.meta.get(VERBOSE_KEY))


def _control(ctx: click.Context, param: click.Parameter, value: str) -> str:
    before: str | None = ctx.meta.get(CONTROL_KEY)
    chosen = before if before is not None and not was_typed(ctx, param.name or "") else value
    return chosen or DEFAULT_CONTROL  # a script's `--control "$CONTROL"` with nothing in it means the default, as in Go


class FilePath(click.Path):
    """A file; an empty name, which click takes for the folder one is in, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if not str(value):
            self.fail("an empty name names no file", param, ctx)
        return super().convert(value, param, ctx)


FILE = FilePath(dir_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_folder,
    metavar="DIR",
    help="Where keys, groups and beacons are kept (default: ~/.drand).",
)
VERBOSE = click.option("--verbose", is_flag=True, callback=_verbose, help="Say more.")
CONTROL = click.option(
    "--control",
    default=DEFAULT_CONTROL,
    show_default=True,
    callback=_control,
    metavar="ADDRESS",
    help="The daemon's control port (of this machine), host:port, or unix:///path.",
)
ID = click.option("--id", "beacon_id", type=BeaconId(), metavar="ID", help="Which beacon (default: default).")
TLS_DISABLE = click.option(
    "--tls-disable",
    "--insecure",
    "tls_disable",
    is_flag=True,
    envvar=["DRAND_TLS_DISABLE", "DRAND_INSECURE"],
    help="Speak without TLS.",
)
TLS_ROOT = click.option(
    "--tls-cert", type=EXISTING_FILE, metavar="FILE", help="A PEM certificate to trust besides the system's."
)
CERTS_DIR = click.option(
    "--certs-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder of PEM certificates to trust besides the system's.",
)
# Go's own; its variable is the one that makes the daemon's log JSON, and is set wherever that is wanted.
GOS_JSON = click.option("--json", "as_json", is_flag=True, envvar="DRAND_JSON", help="Print JSON.")
# On commands whose output a script for Go reads as it is: the daemon's variable must not change it.
JSON = click.option("--json", "as_json", is_flag=True, envvar="DRAND_PRINT_JSON", help="Print JSON.")
JSON_ANYWAY = click.option(
    "--json",
    expose_value=False,
    is_flag=True,
    envvar="DRAND_PRINT_JSON",
    help="Changes nothing: it is JSON in any case.",
)
HASH_ONLY = click.option("--hash", "only_hash", is_flag=True, help="Print only the hash.")
GROUP_OUT = click.option("--out", type=FILE, metavar="FILE", help="Write the group file here instead of printing it.")
SCHEME = click.option(
    "--scheme",
    type=click.Choice(SCHEME_NAMES),
    default=SCHEME_NAMES[0],
    show_default=True,
    metavar="NAME",
    help="The signature scheme: " + ", ".join(SCHEME_NAMES) + ".",
)
