"""The relay: requests a second beside Go's node, and behind nginx's cache."""

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.contestants import contestants, hold, network, say
from bench.http_api import load, wait_for_round_1
from bench.table import Goal, Row
from tests.support.relays import NGINX, Nginx, RelayProcess

PATHS = ("/public/1", "/public/latest")
WORKERS = 2
LEAST_OF_GO = 0.9
PERIOD_S = 3


def measure(samples: int = 3, duration_s: int = 4) -> list[Row]:
    """Node, relay and relay behind nginx, loaded in turns with Go's node."""
    if shutil.which("wrk") is None:
        return [Row(what="relay", unit="requests/s", ours=None, note="wrk is not installed (Debian: apt install wrk)")]
    rates: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as running:
        addresses = {}
        for who in contestants():
            say(f"relay: starting a network, {who.name}")
            made = running.enter_context(network(who, 2))
            group, _ = hold(made, period_s=PERIOD_S, genesis_in_s=1, phase_s=1)
            addresses["go" if who.name == "go" else "node"] = made.nodes[0].public
            wait_for_round_1(made.nodes[0].public, group.genesis_unix_s)
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="drand-bench-")))
        upstream = ("--url", f"http://{addresses['node']}")
        addresses["relay"] = running.enter_context(relay(*upstream, "--workers", str(WORKERS)))
        if NGINX is not None:
            other = running.enter_context(relay(*upstream))
            addresses["nginx"] = running.enter_context(nginx(folder / "nginx", addresses["relay"], other))
        for number in range(samples):
            say(f"relay: sample {number + 1} of {samples}")
            for path in PATHS:
                for name, address in addresses.items():
                    rates.setdefault((path, name), []).append(load(f"http://{address}{path}", duration_s))
    return [row for path in PATHS for row in _rate_rows(path, rates)]


def _rate_rows(path: str, rates: dict[tuple[str, str], list[float]]) -> Iterator[Row]:
    go = statistics.median(rates[path, "go"]) if (path, "go") in rates else None
    goals = {
        "node": None,
        "relay": None if go is None else Goal(least=round(LEAST_OF_GO * go)),
        "nginx": None if go is None else Goal(least=round(go)),
    }
    names = {"node": "node", "relay": f"relay, {WORKERS} workers", "nginx": "relay behind nginx's cache"}
    for name, words in names.items():
        ours = rates.get((path, name))
        yield Row(
            what=f"{words}: {path}",
            unit="requests/s",
            ours=statistics.median(ours) if ours else None,
            go=go,
            goal=goals[name],
            spread=(min(ours), max(ours)) if ours else None,
            note="wrk on the same cores" if ours else "nginx is not installed (Debian: nginx-light)",
        )


@contextmanager
def relay(*flags: str) -> Iterator[str]:
    """A relay in processes of its own; its address."""
    made = RelayProcess(*flags)
    made.start()
    try:
        yield made.address
    finally:
        made.stop()


@contextmanager
def nginx(folder: Path, one: str, two: str) -> Iterator[str]:
    """nginx in front of two relays; its address."""
    made = Nginx(folder, one, two)
    made.start()
    try:
        yield made.address
    finally:
        made.stop()
