"""What docs/howto/run-a-node.md quotes, the program really says."""

import ast
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from collective.clock import SystemClock
from drand.cli.root import UTIL
from drand.daemon.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "run-a-node.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, title
    return found[1]


def quoted(text: str) -> list[str]:
    """What stands in backticks in the first column of a section's tables."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [quote for cell in cells for quote in re.findall(r"`([^`]+)`", cell)]


def spoken() -> str:
    """Every text in the source, one a line; an f-string's values are gaps, and docstrings are not spoken."""
    nodes = [node for path in (ROOT / "src").rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    silent = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in silent]
    return "\n".join(node.value for node in texts if isinstance(node.value, str))


SPOKEN = spoken()
TROUBLES = [quote for quote in quoted(section("When it goes wrong")) if "drand share" not in quote]


def test_there_are_troubles():
    assert len(TROUBLES) > 15


@pytest.mark.parametrize("text", TROUBLES)
def test_an_error_in_the_table_is_one_that_the_program_prints(text: str):
    assert text in SPOKEN


def test_a_metric_in_the_table_is_one_that_is_served():
    registry: CollectorRegistry = Metrics(SystemClock()).registry
    served = {family.name for family in registry.collect()}
    labels = {"remote_host", "peer_address", "node"}
    named = set(quoted(section("Watch"))) - labels
    assert len(named) >= 8
    assert named <= served


def test_a_util_command_on_the_page_exists():
    named = set(re.findall(r"drand util ([a-z-]+)", PAGE))
    assert {"abandon", "backup", "check", "migrate", "self-sign", "status"} <= named
    assert named <= set(UTIL)
