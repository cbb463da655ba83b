"""Requests a second on the HTTP API, loaded by wrk on the same machine."""

import re
import shutil
import statistics
import subprocess
import time
import urllib.request
from contextlib import ExitStack

from bench.contestants import contestants, hold, network, say
from bench.table import Goal, Row

PATHS = ("/public/1", "/public/latest")
GOAL_A_S = 20_000
CONNECTIONS = 64
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_BAD = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")


def measure(samples: int = 3, duration_s: int = 3) -> list[Row]:
    """One node of a running network of each contestant, loaded in turns: the same noise hits both."""
    if shutil.which("wrk") is None:
        why = "wrk is not installed (Debian: apt install wrk)"
        return [Row(what=f"HTTP {path}", unit="requests/s", ours=None, note=why) for path in PATHS]
    rates: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as running:
        addresses = {}
        for who in contestants():
            say(f"http: starting a network, {who.name}")
            made = running.enter_context(network(who, 2))
            group, _ = hold(made, period_s=2, genesis_in_s=1, phase_s=1)
            addresses[who.name] = made.nodes[0].public
            wait_for_round_1(made.nodes[0].public, group.genesis_unix_s)
        for number in range(samples):
            say(f"http: sample {number + 1} of {samples}")
            for path in PATHS:
                for name, address in addresses.items():
                    rates.setdefault((path, name), []).append(load(f"http://{address}{path}", duration_s))
    return [_row(path, rates) for path in PATHS]


def _row(path: str, rates: dict[tuple[str, str], list[float]]) -> Row:
    ours, go = rates[path, "ours"], rates.get((path, "go"))
    return Row(
        what=f"HTTP {path}",
        unit="requests/s",
        ours=statistics.median(ours),
        go=statistics.median(go) if go else None,
        goal=Goal(least=GOAL_A_S),
        spread=(min(ours), max(ours)),
        note=f"{CONNECTIONS} connections, wrk on the same cores",
    )


def load(url: str, duration_s: int) -> float:
    """Requests a second, every one of them answered with 200; raises RuntimeError otherwise."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration_s}s", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = _RATE.search(text)
    if rate is None or _BAD.search(text):
        raise RuntimeError(f"{url}: {text}")
    return float(rate[1])


def wait_for_round_1(address: str, genesis_unix_s: int) -> None:
    """Until round 1 is stored; Go's HTTP server needs a moment to notice its first rounds."""
    deadline = time.monotonic() + 60
    time.sleep(max(0.0, genesis_unix_s - time.time()))
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/public/1", timeout=10) as answer:
                if answer.status == 200 and answer.read():
                    return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
