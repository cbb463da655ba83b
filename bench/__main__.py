"""`python -m bench`: all measurements, or the named ones, as one Markdown table on stdout; progress goes to stderr."""

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from subprocess import SubprocessError

from bench import client, dkg, http_api, lateness, relay, startup, streams, sync_speed, timelock, verify
from bench.contestants import GO_VARIABLE, contestants, say
from bench.table import Row, markdown
from collective.errors import CollectiveError

# name -> (full run, quick run)
MEASUREMENTS: dict[str, tuple[Callable[[], list[Row]], Callable[[], list[Row]]]] = {
    "verify": (verify.measure, lambda: verify.measure(count=1000, samples=2)),
    "client": (client.measure, lambda: client.measure(count=4000, samples=2)),
    "startup": (startup.measure, lambda: startup.measure(samples=3)),
    "http": (http_api.measure, lambda: http_api.measure(samples=1, duration_s=2)),
    "relay": (relay.measure, lambda: relay.measure(samples=1, duration_s=2)),
    "streams": (streams.measure, lambda: streams.measure(rounds=3)),
    "sync": (sync_speed.measure, lambda: sync_speed.measure(rounds=2000, samples=1)),
    "dkg": (dkg.measure, lambda: dkg.measure(sizes=(4, 8), samples=1)),
    "timelock": (timelock.measure, lambda: timelock.measure(size=50_000_000, samples=1)),
    "lateness": (lateness.measure, lambda: lateness.measure(sizes=(3,), rounds=6, period_s=1)),
}
FAILED = "failed"
ALSO_CALLED = {"memory": "lateness"}  # a node is weighed after the rounds whose lateness was measured


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Measure this implementation, beside Go's where {GO_VARIABLE} names a drand v1.5 binary.",
    )
    choices = [*MEASUREMENTS, *ALSO_CALLED]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(choices)} (default all)")
    parser.add_argument("--quick", action="store_true", help="fewer samples, no network of sixteen; under two minutes")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in choices]
    if unknown:
        parser.error(f"unknown measurement {unknown[0]!r}; there are {', '.join(choices)}")
    return chosen


def main() -> None:
    """Measure, and print the table."""
    chosen = parse()
    wanted = {ALSO_CALLED.get(name, name) for name in chosen.names} or set(MEASUREMENTS)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="drand-bench-pyc-") as compiled:
        keep_bytecode(compiled)
        for who in contestants():
            startup.start_s(who)  # compiles what an installation has compiled, and reads it from the disk once
        rows = [row for name in MEASUREMENTS if name in wanted for row in attempted(name, chosen.quick)]
    print(heading(chosen.quick), markdown(rows), sep="\n\n")
    say(f"took {time.monotonic() - started:.0f} s")
    if any(row.ours is None and row.note.startswith(FAILED) for row in rows):
        sys.exit(1)


def attempted(name: str, quick: bool) -> list[Row]:
    """The rows of one measurement; one row that says why where it fails, so that the others are not lost with it."""
    try:
        return MEASUREMENTS[name][quick]()
    except (CollectiveError, RuntimeError, OSError, SubprocessError) as error:
        say(f"{name}: {error}")
        return [Row(what=name, unit="", ours=None, note=f"{FAILED}: {' '.join(str(error).split())[:120]}")]


def keep_bytecode(folder: str) -> None:
    """Let the daemons use compiled modules, as any installed package does, wherever this is run and however."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder


def heading(quick: bool) -> str:
    """What was run, when, on what."""
    words = " ".join([GO_VARIABLE + "=... "] * (len(contestants()) > 1) + ["python -m bench", *sys.argv[1:]])
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"`{words.replace('  ', ' ')}`, {datetime.datetime.now(datetime.UTC):%d %B %Y}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}; "
        f"load average at the end {load}" + (" (quick run: few samples)" if quick else "") + "."
    )


if __name__ == "__main__":
    main()
