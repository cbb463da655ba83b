"""A seed repeats a run exactly, in this process and in any other."""

import os
import subprocess
import sys

from drand.sim.drand_world import DrandWorld
from drand.sim.scenario import scenario_of

PROGRAM = """
from drand.sim.drand_world import DrandWorld
from drand.sim.scenario import scenario_of
print(DrandWorld(3, scenario_of(3)).run().trace)
"""


def trace(seed: int) -> str:
    return DrandWorld(seed, scenario_of(seed)).run().trace


def test_the_same_seed_gives_the_same_trace():
    first, second = DrandWorld(10, scenario_of(10)).run(), DrandWorld(10, scenario_of(10)).run()
    assert first == second
    assert first.steps > 1000


def test_another_seed_gives_another_trace():
    assert len({trace(seed) for seed in (0, 13, 26)}) == 3


def test_the_trace_does_not_depend_on_how_this_process_hashes_strings():
    traces = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        traces.add(done.stdout.strip())
    assert traces == {trace(3)}
