"""Test vectors, read from the folder that DRAND_VECTORS names (default: ../shared/vectors beside the checkout)."""

import json
import os
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


def v1_cases(*kinds: str) -> list[Any]:
    """Parameters for `parametrize`: the vectors of drand/v1.json whose name starts with one of `kinds` and a slash."""
    if not folder().is_dir():
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=_absent()))]
    vectors = _parsed(folder() / "drand/v1.json")["vectors"]
    chosen = [one for one in vectors if one["name"].split("/")[0] in kinds]
    assert chosen, f"no vector of {kinds} in drand/v1.json"
    return [pytest.param(one, id=one["name"]) for one in chosen]


def beacon_cases(*schemes: str) -> list[Any]:
    """Parameters for `parametrize`: the beacons of drand/beacons.json, of all schemes or of those named."""
    if not folder().is_dir():
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=_absent()))]
    beacons = _parsed(folder() / "drand/beacons.json")["beacons"]
    chosen = [one for one in beacons if not schemes or one["scheme"] in schemes]
    return [pytest.param(one, id=f"{one['chain']}-{one['round']}-{at}") for at, one in enumerate(chosen)]


def _absent() -> str:
    return f"no test vectors at {folder()}; set DRAND_VECTORS"


@cache
def _parsed(path: Path) -> Any:
    return json.loads(path.read_text())
