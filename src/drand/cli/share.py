"""`drand share`: order a ceremony, and watch it. The ceremony itself lives in the daemon."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collective.errors import BadSetting, OutOfTurn
from drand.cli.options import CONTROL, FILE, GROUP_OUT, ID, TLS_DISABLE, Whole, WholeSeconds, was_typed
from drand.cli.output import print_banner, print_group, warn
from drand.cli.progress import CeremonyWatch, chosen_display
from drand.cli.reaching import about, daemon, peer_at
from drand.errors import EXIT_INTERRUPTED
from drand.model.schemes import SCHEME_NAMES

if TYPE_CHECKING:
    from drand.net.handlers import SetupOrder

LEAST_SECRET_BYTES = 32
MAX_SECRET_BYTES = 4096  # what a node takes from another (drand.wire.packets)
DEFAULT_BEACON_DELAY_S = 1
SECRET_VARIABLE = "DRAND_SHARE_SECRET"  # noqa: S105
CEREMONY_HINT = (
    "see the daemon's log here and at the leader, mend what it names, and run `drand share` again on all nodes; "
    "`drand util status` says where this one stands"
)
LEADER_TEXT = (
    "You can stop the command at any point. If so, the group file will not be written out to the specified output. "
    "To get the group file once the setup phase is done, you can run the `drand show group` command"
)


class InsecureSecret(BadSetting):
    """A ceremony's secret that is missing or too short."""

    hint = "all nodes give the same secret, 32 characters or more: --secret-file FILE, or DRAND_SHARE_SECRET"


class NoResharing(OutOfTurn):
    """A resharing was asked for."""

    hint = "the group stays as it is and goes on; leave out --reshare and --from for a fresh key generation"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareFlags:
    """What was typed; None where nothing was."""

    leader: bool
    connect: str | None
    tls_disable: bool
    nodes: int | None
    threshold: int | None
    period: int | None
    catchup_period: int
    timeout: int
    beacon_delay: int
    secret: str | None
    secret_typed: bool  # on the command line, where everybody on this machine sees it
    secret_file: Path | None
    source: Path | None
    user_source_only: bool
    scheme: str | None
    reshare: bool
    from_group: Path | None
    force: bool


@click.command()
@CONTROL
@ID
@click.option("--leader", is_flag=True, help="Lead the ceremony: collect the participants and propose the group.")
@click.option("--connect", metavar="ADDRESS", help="Join the ceremony of the leader at this address.")
@TLS_DISABLE
@click.option("--nodes", type=Whole(1, 1024), metavar="N", help="Leader: how many nodes, itself included.")
@click.option("--threshold", type=Whole(1, 1024), metavar="T", help="Leader: how many of them make a round.")
@click.option("--period", type=WholeSeconds(), metavar="DURATION", help="Leader: time between two rounds, such as 30s.")
@click.option(
    "--catchup-period",
    type=WholeSeconds(),
    default="0s",
    show_default=True,
    metavar="DURATION",
    help="Leader: least time between two rounds while catching up after a halt.",
)
@click.option(
    "--timeout",
    type=WholeSeconds(),
    default="10s",
    show_default=True,
    metavar="DURATION",
    help="Leader: length of one phase; a silent node costs up to three of them.",
)
@click.option(
    "--beacon-delay",
    type=Whole(0),
    default=DEFAULT_BEACON_DELAY_S,
    show_default=True,
    metavar="SECONDS",
    help="Leader: seconds between the end of the ceremony and the first round, at least.",
)
@click.option(
    "--secret",
    metavar="TEXT",
    envvar=SECRET_VARIABLE,
    help="What all participants know; on the command line everybody on this machine can read it.",
)
@click.option("--secret-file", type=FILE, metavar="FILE", help="A file that holds the secret, newline included.")
@click.option("--source", type=FILE, metavar="PROGRAM", help="A program whose output is mixed into the node's secret.")
@click.option("--user-source-only", is_flag=True, help="With --source: use nothing but its output.")
@click.option(
    "--scheme",
    type=click.Choice(SCHEME_NAMES),
    metavar="NAME",
    help="The scheme that the key must have (default: whichever it has).",
)
@GROUP_OUT
@click.option(
    "--reshare",
    "--transition",
    "reshare",
    is_flag=True,
    envvar="DRAND_TRANSITION_FLAG",
    help="Reshare the key to a new group; not available in this version.",
)
@click.option("--from", "from_group", type=FILE, metavar="FILE", help="The old group, for a resharing.")
@click.option("--force", "-f", is_flag=True, help="Replace a resharing that runs.")
@click.argument("words", nargs=-1, metavar="[connect ADDRESS]")
@click.pass_context
def share(
    ctx: click.Context,
    /,
    control: str,
    beacon_id: str | None,
    out: Path | None,
    words: tuple[str, ...],
    **typed: object,
) -> int:
    """Hold a distributed key generation, as its leader or as a participant.

    The daemon holds it; this command orders it, shows how it goes, and prints the group at the end. Ctrl-C ends the
    command, not the ceremony.

    The secret comes from --secret-file, or --secret, or the variable DRAND_SHARE_SECRET, at least 32 characters.
    """
    print_banner()
    flags = ShareFlags(secret_typed=was_typed(ctx, "secret"), **typed)  # type: ignore[arg-type]
    if flags.secret_typed and was_typed(ctx, "secret_file"):
        raise click.UsageError("give the secret once: either --secret-file or --secret")
    order = checked_order(flags, connect_word(words))
    check_out(out)
    name = beacon_id or "default"
    if order.leader is None:
        click.echo(f"Initiating the DKG as a leader. Beacon ID: [{name}]")
        click.echo(LEADER_TEXT + "\n")
    else:
        click.echo(f"Participating in the setup of the DKG. Beacon ID: [{name}] ")
    return hold(control, name, order, out)


def hold(control: str, beacon_id: str, order: "SetupOrder", out: Path | None) -> int:
    """Order the ceremony and wait for its end; returns the exit code. Raises DaemonAbsent or RefusedByDaemon."""
    group = None
    with daemon(control, "error setting up the network", refusal_hint(order)) as client:
        client.ping()
        with CeremonyWatch(client, beacon_id, chosen_display()) as watch:
            try:
                group = client.init_dkg(about(beacon_id), order)
            except KeyboardInterrupt:
                goes_on = "the ceremony goes on in the daemon" if watch.seen else "the daemon may go on with it"
    if group is None:
        click.echo(f"\nstopped watching; {goes_on}: see `drand util status --id {beacon_id}`", err=True)
        return EXIT_INTERRUPTED
    print_group(group, out=out)
    return 0


def check_out(out: Path | None) -> None:
    """Raise BadSetting where the group file could not be written: said before the ceremony, not after it."""
    if out is not None and not os.access(out.absolute().parent, os.W_OK | os.X_OK):
        raise BadSetting(
            f"cannot write the group file {out}: its folder is not there, or not ours to write to",
            hint="name a file in a folder of yours; without --out the group is printed",
        )


def refusal_hint(order: "SetupOrder") -> str:
    """What to try when the daemon refuses the order, or the ceremony fails."""
    if order.scheme_name:
        return f"--scheme asks for a key of {order.scheme_name} and changes none; {CEREMONY_HINT}"
    return CEREMONY_HINT


def connect_word(words: tuple[str, ...]) -> str | None:
    """The address in `share connect ADDRESS`, as the deployment guide writes it; other words are passed over."""
    if words and words[0] == "connect":
        if len(words) != 2:
            raise click.UsageError("`connect` is followed by one address: --connect ADDRESS")
        return words[1]
    if words:
        warn(f"ignored: {' '.join(words)}")
    return None


def checked_order(flags: ShareFlags, connect_argument: str | None) -> "SetupOrder":
    """The order to give; raises UsageError, InsecureSecret, NoResharing, BadSetting, MalformedAddress."""
    from drand.net.handlers import SetupOrder

    connect = flags.connect or connect_argument
    if flags.leader and connect:
        raise click.UsageError("you can't use the leader and connect flags together")
    refuse_resharing(flags)
    if flags.leader:
        check_leader(flags)
    elif not connect:
        raise click.UsageError("the address of the leader is needed to join its group - try the --connect flag")
    source = entropy_program(flags)
    return SetupOrder(
        leader=peer_at(connect, tls=not flags.tls_disable) if connect else None,
        nodes=flags.nodes or 0,
        threshold=flags.threshold or 0,
        timeout_s=flags.timeout,
        beacon_offset_s=flags.beacon_delay,
        secret=shared_secret(flags),
        period_s=flags.period or 0,
        catchup_period_s=flags.catchup_period,
        entropy_script=source,
        entropy_user_only=flags.user_source_only and bool(source),
        scheme_name=flags.scheme or "",
    )


def refuse_resharing(flags: ShareFlags) -> None:
    """Raise UsageError for flags that contradict each other, NoResharing for a resharing."""
    if flags.reshare and flags.from_group:
        raise click.UsageError(
            "--from flag invalid with --reshare - nodes resharing should already have a secret share and group ready"
            " to use"
        )
    if flags.reshare or flags.from_group:
        raise NoResharing("resharing is not available in this version yet")
    if flags.force:
        warn("--force is for a resharing; it is ignored")


def check_leader(flags: ShareFlags) -> None:
    """Raise UsageError or BadSetting where a leader's numbers are missing or cannot work together."""
    if flags.nodes is None or flags.threshold is None:
        raise click.UsageError("leader needs to specify --nodes and --threshold for sharing")
    if flags.period is None:
        raise click.UsageError("leader flag indicated requires the beacon period flag as well")
    if flags.period < 1:
        raise BadSetting("a period of less than a second is too short", hint="--period 3s is the shortest in use")
    if flags.timeout < 1:
        raise BadSetting("a timeout of less than a second is too short", hint="--timeout 10s is the default")
    least = flags.nodes // 2 + 1
    if not least <= flags.threshold <= flags.nodes:
        raise BadSetting(
            f"a threshold of {flags.threshold} for {flags.nodes} nodes is out of range",
            hint=f"--threshold goes from {least} (more than half) to {flags.nodes}",
        )
    if flags.nodes == 1:
        warn("less than 2 nodes is an unsupported, degenerate mode.")


def shared_secret(flags: ShareFlags) -> bytes:
    """The secret's bytes; raises InsecureSecret or BadSetting. A file counts whole, its last newline included."""
    if flags.secret_file is not None and not flags.secret_typed:
        try:
            with flags.secret_file.open("rb") as file:
                secret = file.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise BadSetting(
                f"cannot read the secret file {flags.secret_file}: {error.strerror}", hint="check --secret-file"
            ) from error
    else:
        secret = (flags.secret or "").encode()
    if flags.secret_typed:
        warn("--secret is visible in the process list; --secret-file and DRAND_SHARE_SECRET are not")
    if not secret:
        raise InsecureSecret("no secret specified for share")
    if len(secret) < LEAST_SECRET_BYTES:
        raise InsecureSecret(f"secret is insecure. Should be at least {LEAST_SECRET_BYTES} characters")
    if len(secret) > MAX_SECRET_BYTES:
        raise InsecureSecret(f"the secret is longer than {MAX_SECRET_BYTES} bytes, which no node accepts")
    return secret


def entropy_program(flags: ShareFlags) -> str:
    """The program of --source by its full path, "" for none; raises BadSetting when it is no program."""
    if flags.source is None:
        if flags.user_source_only:
            warn("--user-source-only needs --source; it is ignored")
        return ""
    if not flags.source.is_file() or not os.access(flags.source, os.X_OK):
        raise BadSetting(
            f"cannot use given entropy source: {flags.source} is no program that can be run",
            hint="name an executable that writes at least 32 random bytes to its standard output",
        )
    return str(flags.source.absolute())
