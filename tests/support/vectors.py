"""Test vectors, read from the folder that DRAND_VECTORS names (default: ../shared/vectors beside the checkout)."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def folder() -> Path:
    """Where the vectors are, whether or not they exist."""
    return Path(os.environ.get("DRAND_VECTORS") or ROOT / "../shared/vectors").resolve()


def load(name: str) -> Any:
    """The JSON file `name` (such as "drand/v1.json"); skips the calling test when the folder is absent.

    A file missing from a folder that exists is a failure, not a skip.
    """
    if not folder().is_dir():
        pytest.skip(_absent())
    return _parsed(folder() / name)


def v1_cases(*kinds: str, where: Callable[[Any], bool] = lambda vector: True) -> list[Any]:
    """Parameters for `parametrize`: the vectors of drand/v1.json whose name starts with one of `kinds` and a slash.

    where   chooses among them
    Where there is none, the one parameter is a skip that says so (test_every_kind_is_covered.py tells what lacks).
    """
    if not folder().is_dir():
        return [nothing(_absent())]
    vectors = _parsed(folder() / "drand/v1.json")["vectors"]
    chosen = [pytest.param(one, id=one["name"]) for one in vectors if one["name"].split("/")[0] in kinds and where(one)]
    return chosen or [nothing(f"no such vector of {', '.join(kinds)} in drand/v1.json")]


def named(name: str) -> Any:
    """The vector of drand/v1.json with this name, which another one speaks of; skips where the file lacks it."""
    for vector in load("drand/v1.json")["vectors"]:
        if vector["name"] == name:
            return vector
    return pytest.skip(f"drand/v1.json has no vector {name}")


def beacon_cases(*schemes: str) -> list[Any]:
    """Parameters for `parametrize`: the beacons of drand/beacons.json, of all schemes or of those named."""
    if not folder().is_dir():
        return [nothing(_absent())]
    beacons = _parsed(folder() / "drand/beacons.json")["beacons"]
    chosen = [one for one in beacons if not schemes or one["scheme"] in schemes]
    cases = [pytest.param(one, id=f"{one['chain']}-{one['round']}-{at}") for at, one in enumerate(chosen)]
    return cases or [nothing(f"no beacon of {', '.join(schemes)} in drand/beacons.json")]


def extra_cases(kind: str) -> list[Any]:
    """Parameters for `parametrize`: what drand/beacons.json has beside beacons and chains."""
    if not folder().is_dir():
        return [nothing(_absent())]
    entries = _parsed(folder() / "drand/beacons.json")["extra"].get(kind, [])
    cases = [pytest.param(one, id=f"{kind}-{at}") for at, one in enumerate(entries)]
    return cases or [nothing(f"no {kind} in drand/beacons.json")]


def extra(kind: str) -> list[Any]:
    """All of them at once; skips where there is none."""
    return load("drand/beacons.json")["extra"].get(kind) or pytest.skip(f"no {kind} in drand/beacons.json")


def nothing(reason: str) -> Any:
    """The parameter that stands for no vector at all."""
    return pytest.param(None, id="absent", marks=pytest.mark.skip(reason=reason))


def _absent() -> str:
    return f"no test vectors at {folder()}; set DRAND_VECTORS"


@cache
def _parsed(path: Path) -> Any:
    return json.loads(path.read_text())
