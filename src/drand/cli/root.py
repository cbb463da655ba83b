"""The tree of commands. Names, one-line helps and where each command lives; nothing is imported before it is needed."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from collective.errors import CollectiveError, OutOfTurn
from drand.cli.endings import WORDS, Ending, ended_by_signals
from drand.cli.go_spellings import in_our_spelling
from drand.cli.version import VERSION_LINE
from drand.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USAGE, exit_code

# Where the context keeps what was given before the command.
FOLDER_KEY, VERBOSE_KEY, CONTROL_KEY = "drand.folder", "drand.verbose", "drand.control"

# name -> (module:attribute, one line of help)
Table = dict[str, tuple[str, str]]

COMMANDS: Table = {
    "generate-keypair": ("drand.cli.keys:generate_keypair", "Make this node's long-term key pair for one beacon."),
    "start": ("drand.cli.start:start", "Run the daemon in the foreground."),
    "stop": ("drand.cli.lifecycle:stop", "Stop the daemon, or one beacon of it."),
    "load": ("drand.cli.lifecycle:load", "Load a beacon's keys into the running daemon."),
    "share": ("drand.cli.share:share", "Hold a distributed key generation, as its leader or as a participant."),
    "show": ("drand.cli.show:", "Show what the local node holds."),
    "get": ("drand.cli.get:", "Fetch from remote nodes, and verify."),
    "util": ("drand.cli.util:", "Check, inspect and reset."),
    "relay": ("drand.cli.relay:relay", "Serve beacons of any chains to many, or export them as files."),
    "verify": ("drand.cli.verify:verify", "Verify beacons against a chain, offline."),
    "timelock": ("drand.cli.timelock:", "Lock files until a round comes, and open them."),
    "draw": ("drand.cli.draw:draw_command", "Draw winners from a list by a coming round, or check such a draw."),
    "demo": ("drand.cli.demo:demo", "Run a whole network on this machine."),
}

SHOW: Table = {
    "group": ("drand.cli.show:group", "The group file."),
    "chain-info": ("drand.cli.show:chain_info", "What clients verify the chain with."),
    "public": ("drand.cli.show:public", "This node's long-term public key."),
    "private": ("drand.cli.show:private", "This node's long-term private key (read from its file)."),
    "share": ("drand.cli.show:share", "This node's share of the group's key (read from its file)."),
}

GET: Table = {
    "public": ("drand.cli.get:public", "A round from the nodes of a group file."),
    "chain-info": ("drand.cli.get:chain_info", "The chain info of a node."),
}

UTIL: Table = {
    "check": ("drand.cli.util:check", "Do these nodes answer with the identity they should have?"),
    "ping": ("drand.cli.util:ping", "Is the local daemon alive?"),
    "list-schemes": ("drand.cli.util:list_schemes", "The signature schemes that this version knows."),
    "status": ("drand.cli.util:status", "The state of the local daemon's beacons."),
    "remote-status": ("drand.cli.util:remote_status", "The state of a beacon on other nodes."),
    "backup": ("drand.cli.util:backup", "Have the daemon write a copy of a beacon's store."),
    "abandon": ("drand.cli.util:abandon", "End a ceremony that runs or waits, without a key."),
    "self-sign": ("drand.cli.keys:self_sign", "Sign the public identity with its own key."),
    "migrate": ("drand.cli.migrate:migrate", "Bring a folder of before beacon ids into today's layout."),
    "reset": ("drand.cli.reset:reset", "Forget share, group and beacons of one beacon id; keys are kept."),
    "del-beacon": ("drand.cli.reset:del_beacon", "Delete a round and all later ones from the stopped daemon's store."),
}

TIMELOCK: Table = {
    "encrypt": ("drand.cli.timelock:encrypt", "Lock files until a round, a moment, or for a while."),
    "decrypt": ("drand.cli.timelock:decrypt", "Open files whose round has come."),
    "inspect": ("drand.cli.timelock:inspect_", "What files say about themselves."),
    "status": ("drand.cli.timelock:status", "When files open."),
    "wait": ("drand.cli.timelock:wait", "Wait until files can be opened."),
}

SUBGROUPS: dict[str, tuple[Table, str]] = {
    "show": (SHOW, ""),
    "get": (GET, ""),
    "util": (UTIL, ""),
    "timelock": (TIMELOCK, ""),
}


# What v1.5.11 (or before) has and this version has not, and what to do instead.
LATER = {
    "sync": "a member of the group catches up by itself; to keep another group's chain, `drand relay --archive FILE"
    " --history`; to check beacons, `drand verify`",
    "follow": "to keep the chain of another group, `drand relay --archive FILE --history`",
}
HELP_WORDS = ("help", "h")

# A demonstration must not land in the folder that DRAND_FOLDER names.
PREFIXES = {"demo": "DRAND_DEMO_", "timelock": "DRAND_TIMELOCK_"}


def with_variables(command: click.Command, prefix: str) -> click.Command:
    """`command`, each of whose flags is also read from the environment: --catchup-period from DRAND_CATCHUP_PERIOD."""
    for option in command.params:
        if isinstance(option, click.Option):
            if option.envvar is None:
                longest = max(option.opts, key=len)
                option.envvar = prefix + longest.lstrip("-").upper().replace("-", "_")
            option.show_envvar = True
    return command


class WrongUse(click.UsageError):
    """A command line that cannot be meant, where something better than the help can be advised."""

    def __init__(self, what: str, hint: str, ctx: click.Context | None = None) -> None:
        super().__init__(what, ctx)
        self.hint = hint


class UnknownCommand(WrongUse):
    """A word that names no command. `meant` is the group and, where one is near, what may have been meant."""

    def __init__(self, word: str, meant: Sequence[str], ctx: click.Context) -> None:
        hint = f"did you mean `{' '.join(meant)}`?" if len(meant) > 1 else f"see `{meant[0]} --help`"
        super().__init__(f"No such command {word!r}.", hint, ctx)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; help texts come from the table."""

    def __init__(self, name: str, table: Table, help_text: str) -> None:
        super().__init__(name=name, help=help_text)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in self.table:
            return None
        target, help_text = self.table[cmd_name]
        if cmd_name in SUBGROUPS and self.name != cmd_name:
            group = LazyGroup(cmd_name, SUBGROUPS[cmd_name][0], help_text)
            group.params += EARLY.get(cmd_name, ())
            return group
        module, attribute = target.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return with_variables(command, PREFIXES.get(self.name or "") or PREFIXES.get(cmd_name, "DRAND_"))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the flags before the command, in our spelling; returns the rest."""
        if not ctx.resilient_parsing:
            _, args = in_our_spelling(self, args, up_to_a_word=True)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words name, and its arguments in our spelling; `help` is the help of what follows it."""
        if ctx.resilient_parsing:  # the shell completes a line
            return super().resolve_command(ctx, args)
        if args[0] in HELP_WORDS:
            args = [*args[1:], "--help"]
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
        if args[0] in LATER and self is ROOT:
            raise OutOfTurn(f"`drand {args[0]}` is not available in this version", hint=LATER[args[0]])
        if args[0] not in self.table and not args[0].startswith("-"):
            raise UnknownCommand(args[0], [ctx.command_path, *self.resembling(args[0])], ctx)
        name, command, rest = super().resolve_command(ctx, args)
        if command is None or isinstance(command, LazyGroup):
            return name, command, rest
        return name, *in_our_spelling(command, rest)

    def resembling(self, word: str) -> list[str]:
        """The command that `word` may mean, below the group: ["start"] for "strat", ["util status"] for "status"."""
        from difflib import get_close_matches

        below = {leaf: group for group in reversed(self.table) for leaf in SUBGROUPS.get(group, ({}, ""))[0]}
        if word not in below and (near := get_close_matches(word, self.table, 1, 0.7)):
            return near
        return [f"{below[near]} {near}" for near in get_close_matches(word, below, 1, 0.85)]

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error that says nothing about what to try points at the command's help."""
        try:
            return super().invoke(ctx)
        except CollectiveError as error:
            error.advice = error.advice or f"see `{_asked(ctx)} --help`"
            raise
        except click.UsageError as error:
            if error.ctx is None:  # the parser of flags does not say whose they are
                error.ctx = click.Context(self, info_name=_asked(ctx))
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in self.table.items()])


def _asked(ctx: click.Context) -> str:
    """The command line up to the command that was asked for."""
    return " ".join(filter(None, (ctx.command_path, ctx.invoked_subcommand)))


ROOT = LazyGroup(
    "drand", COMMANDS, "A node of a drand network: publicly verifiable randomness by threshold signatures."
)
ROOT.context_settings["help_option_names"] = ["-h", "--help"]


def _keep(key: str) -> Callable[[click.Context, click.Parameter, object], None]:
    """A callback that keeps a flag given before the command for the command to find."""

    def keep(ctx: click.Context, _param: click.Parameter, value: object) -> None:
        if value:
            ctx.meta[key] = value

    return keep


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(VERSION_LINE)
        ctx.exit()


def _early(flag: str, key: str, kind: click.ParamType, metavar: str) -> click.Option:  # type: ignore[type-arg]
    """A flag that v1.5.11 takes before the command, too. The command itself reads the variable."""
    help_text = f"As the command's own {flag}."
    return click.Option([flag], type=kind, metavar=metavar, expose_value=False, callback=_keep(key), help=help_text)


_FOLDER = _early("--folder", FOLDER_KEY, click.Path(file_okay=False, path_type=Path), "DIR")
EARLY = {"show": (_FOLDER, _early("--control", CONTROL_KEY, click.STRING, "ADDRESS"))}

ROOT.params += [
    _FOLDER,
    click.Option(
        ["--verbose"], is_flag=True, expose_value=False, callback=_keep(VERBOSE_KEY), help="As the command's --verbose."
    ),
    click.Option(
        ["--version", "-v"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_show_version,
        help="Show the version and exit.",
    ),
]


def one_line(text: object) -> str:
    """`text` on one line and without control characters: some of it comes from other nodes, and goes to a terminal."""
    return "".join(character if character.isprintable() else " " for character in str(text)).strip()


def say_error(error: object, hint: str = "") -> None:
    """One line on stderr that says what went wrong, and one that says what to try."""
    click.echo(f"error: {one_line(error)}", err=True)
    if hint:
        click.echo(f"hint:  {one_line(hint)}", err=True)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code (see drand.errors)."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else its C++ core writes lines of its own to stderr
    with ended_by_signals() as ending:
        try:
            code = _run(arguments, ending)
        except (OSError, KeyboardInterrupt):
            if not ending.code:
                raise  # else the terminal that takes no words is why it ends
    return ending.code or code


def _run(arguments: Sequence[str] | None, ending: Ending) -> int:
    try:
        result = ROOT.main(args=arguments, prog_name="drand", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        click.echo(WORDS[ending.code or EXIT_INTERRUPTED], err=True)
        return EXIT_INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except WrongUse as error:
        say_error(error.format_message(), error.hint)
        return EXIT_USAGE
    except click.UsageError as error:
        help_path = error.ctx.command_path if error.ctx else "drand"
        say_error(error.format_message(), f"see `{help_path} --help`")
        return EXIT_USAGE
    except click.ClickException as error:
        say_error(error.format_message())
        return EXIT_FAILURE
    except CollectiveError as error:
        say_error(error, error.advice)
        return exit_code(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except OSError as error:
        reason = error.strerror or str(error)
        say_error(
            f"{error.filename}: {reason}" if error.filename is not None else reason,
            "check the path, who may use it, and the space left on the disk",
        )
        return EXIT_FAILURE
