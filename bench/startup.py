"""How long a daemon takes to answer, and how long `drand --version` takes."""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.contestants import Contestant, contestants, make_keys, say, wait_answering
from bench.table import Goal, Row
from drand.cli.local_network import LocalNetwork


def measure(samples: int = 7) -> list[Row]:
    """Wall time from spawning to the first answered ping, and of `drand --version`; contestants take turns."""
    say(f"start-up: {samples} starts of each")
    return [
        _row("start-up, until a ping is answered", samples, start_s),
        _row("`drand --version`", samples, version_s, Goal(most=0.150)),
    ]


def _row(what: str, samples: int, once: Callable[[Contestant], float], goal: Goal | None = None) -> Row:
    taken: dict[str, list[float]] = {who.name: [] for who in contestants()}
    for _ in range(samples):
        for who in contestants():
            taken[who.name].append(once(who))
    ours = taken["ours"]
    go = statistics.median(taken["go"]) if "go" in taken else None
    return Row(what=what, unit="s", ours=statistics.median(ours), go=go, goal=goal, spread=(min(ours), max(ours)))


def start_s(who: Contestant) -> float:
    """Seconds from spawning a daemon that has its keys to its first answered ping."""
    with tempfile.TemporaryDirectory(prefix="drand-bench-") as folder:
        made = LocalNetwork(Path(folder), 1, who.command)
        (node,) = made.nodes
        make_keys(node)
        started = time.monotonic()
        try:
            node.start()
            wait_answering(node, peers=False)
            return time.monotonic() - started
        finally:
            made.stop()


def version_s(who: Contestant) -> float:
    """Seconds that `drand --version` takes."""
    started = time.monotonic()
    subprocess.run([*who.command, "--version"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started
