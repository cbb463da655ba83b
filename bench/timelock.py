"""Time locks: how fast a file is locked and opened, and in how much memory, beside `age` where it is installed.

Both read a file and write to /dev/null: what a disk does is the same for both. `age` encrypts to an X25519 key, which
costs it less than a round costs us, once a file.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.contestants import say
from bench.table import Goal, Row
from collective.entropy import random_scalar
from collective.secret import SecretScalar
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import scheme_named
from drand.timelock import X25519Identity
from drand.wire.http_json import beacon_json, chain_info_json

GOAL_MB = 100.0
ROUND = 1000
BLOCK = 1 << 20
WEIGH_EVERY_S = 0.02
DRAND = [sys.executable, "-m", "drand.cli.main", "timelock"]
_SCHEME = "bls-unchained-g1-rfc9380"


class Fixed:
    """Repeatable bytes for keys that protect nothing."""

    def bytes(self, count: int) -> bytes:
        return bytes(range(7, 7 + count))


def measure(size: int = 1_000_000_000, samples: int = 3) -> list[Row]:
    """MB/s of locking and of opening `size` bytes, and our greatest resident memory while doing so."""
    age = shutil.which("age")
    say(f"timelock: {size:,} bytes, {samples} times" + ("" if age else "; no `age` to compare with"))
    with tempfile.TemporaryDirectory(prefix="drand-bench-") as folder:
        place = Place(Path(folder), size)
        ours = [Run(place.lock, place.plain), Run(place.open, place.locked(DRAND_LOCK))]
        theirs = [Run(place.age_lock, place.plain), Run(place.age_open, place.locked(AGE_LOCK))] if age else []
        rows = [
            speed_row(what, size, samples, run, theirs[at] if theirs else None)
            for at, (what, run) in enumerate(zip(("timelock encrypt", "timelock decrypt"), ours, strict=True))
        ]
        weight = max(run.most_kb for run in ours) * 1024 / 1e6
        beside = max(run.most_kb for run in theirs) * 1024 / 1e6 if theirs else None
    note = "`age` in the column of Go" if age else "`age` is not installed"
    return [
        *rows,
        Row(
            what=f"timelock, resident at {size / 1e9:g} GB",
            unit="MB",
            ours=weight,
            go=beside,
            goal=Goal(most=GOAL_MB),
            note=note,
        ),
    ]


def speed_row(what: str, size: int, samples: int, ours: "Run", theirs: "Run | None") -> Row:
    """Take turns, so that a busy machine is busy for both."""
    taken: list[float] = []
    beside: list[float] = []
    for _ in range(samples):
        taken.append(size / 1e6 / ours.seconds())
        if theirs is not None:
            beside.append(size / 1e6 / theirs.seconds())
    return Row(
        what=what,
        unit="MB/s",
        ours=statistics.median(taken),
        go=statistics.median(beside) if beside else None,
        spread=(min(taken), max(taken)),
        note="`age` in the column of Go" if beside else "",
    )


class Run:
    """A command whose output goes nowhere, run with a file as its last argument."""

    def __init__(self, command: Sequence[str], source: Path) -> None:
        self._command = [*command, str(source)]
        self.most_kb = 0

    def seconds(self) -> float:
        started = time.monotonic()
        with Path(os.devnull).open("wb") as nowhere:
            process = subprocess.Popen(self._command, stdout=nowhere, stderr=subprocess.PIPE)
            assert process.stderr is not None
            while process.poll() is None:
                self.most_kb = max(self.most_kb, resident_kb(process.pid))
                time.sleep(WEIGH_EVERY_S)
            taken = time.monotonic() - started
        with process.stderr as said:
            if process.returncode:
                raise RuntimeError(f"{self._command[0]}: {said.read().decode().strip()}")
        return taken


def resident_kb(pid: int) -> int:
    """The greatest resident set of a process so far; its resource usage would count ours, from before its exec."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0  # it has just ended
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


DRAND_LOCK, AGE_LOCK = "drand", "age"


class Place:
    """A folder with a chain, a key and a file of content, and the commands that use them."""

    def __init__(self, folder: Path, size: int) -> None:
        scheme, fixed = scheme_named(_SCHEME), Fixed()
        secret = SecretScalar(random_scalar(fixed, scheme.key_group.order))
        info = ChainInfo(
            public_key=scheme.key_group.encode(scheme.bls.public_key(secret)),
            period_s=3,
            genesis_unix_s=1_700_000_000,
            genesis_seed=bytes(32),
            scheme=scheme,
            beacon_id="bench",
        )
        beacon = Beacon(Round(ROUND), scheme.bls.sign(secret, scheme.digest(ROUND, b"")))
        key = X25519Identity(fixed.bytes(32))
        self._folder = folder
        self.plain = folder / "plain"
        chain, keys = folder / "chain.json", folder / "keys"
        chain.write_bytes(chain_info_json(info))
        keys.write_text(key.encode() + "\n")
        with self.plain.open("wb") as file:
            block = os.urandom(BLOCK)
            for left in range(size, 0, -BLOCK):
                file.write(block[:left])
        self.lock = [*DRAND, "encrypt", "--chain", str(chain), "--round", str(ROUND), "--force"]
        self.open = [*DRAND, "decrypt", "--chain", str(chain), "--beacon", beacon_json(beacon).decode()]
        self.age_lock = ["age", "-r", str(key.recipient)]
        self.age_open = ["age", "-d", "-i", str(keys)]

    def locked(self, by: str) -> Path:
        """The content, locked by one of the two."""
        path = self._folder / by
        command = self.lock if by == DRAND_LOCK else self.age_lock
        subprocess.run([*command, "-o", str(path), str(self.plain)], check=True, stderr=subprocess.PIPE)
        return path
