"""The dashboard and the alerts ask for metrics that are served, and the how-to knows every alert."""

import json
import re
import tomllib
from pathlib import Path

from prometheus_client import CollectorRegistry

from collective.clock import SystemClock
from drand.daemon.metrics import Metrics
from drand.relay.metrics import MetricsPort, RelayCollector

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "deploy" / "prometheus" / "drand.rules.yml").read_text()
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "drand.json").read_text())
HOW_TO = (ROOT / "docs" / "howto" / "monitor.md").read_text()
NAME = re.compile(r"\b(?:[a-z]+_)+[a-z]+\b(?!\()")
# what PromQL and Prometheus themselves call so, and the labels
NOT_METRICS = {"group_right", "beacon_id", "peer_address", "remote_host", "api_method"}
SUFFIXES = ("_total", "_bucket", "_sum", "_count")


def served() -> set[str]:
    relay = MetricsPort(RelayCollector(lambda: (), dict, {}, lambda: 0)).registry
    registries: tuple[CollectorRegistry, ...] = (Metrics(SystemClock()).registry, relay)
    return {family.name for registry in registries for family in registry.collect()}


def asked(expression: str) -> set[str]:
    """The metrics in an expression, without the suffixes of counters and histograms."""
    bare = re.sub(r'"[^"]*"', "", expression)
    names = set(NAME.findall(bare)) - NOT_METRICS
    return {next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name) for name in names}


def rules() -> dict[str, str]:
    """alert -> expression."""
    found = re.findall(r"- alert: (\w+)\n\s+expr: (?:>-\n)?(.*?)\n\s+(?:for|labels):", RULES, re.S)
    assert len(found) == RULES.count("- alert:")
    return dict(found)


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def test_an_alert_asks_for_metrics_that_are_served():
    names = set().union(*map(asked, rules().values())) - {"up"}
    assert len(names) > 8
    assert {re.sub("_total$", "", name) for name in names} <= {re.sub("_total$", "", name) for name in served()}


def test_a_panel_asks_for_metrics_that_are_served():
    names = set().union(*map(asked, expressions()))
    assert len(names) > 12
    assert names <= served() | {"process_cpu_seconds"}


def test_the_how_to_says_what_to_do_about_every_alert():
    named = set(re.findall(r"^\| `(Drand\w+)`(?:, `(Drand\w+)`)?", HOW_TO, re.M))
    assert {name for pair in named for name in pair if name} == set(rules())


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").glob("*/*.md")]
    assert [page for page in pages if not page.startswith("decisions/") and f"({page})" not in index] == []


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        re.match(r"[\w-]+", line)[0] for line in (*project["dependencies"], *project["optional-dependencies"]["fast"])
    }
    rows = re.findall(r"^\| (.+?) \|", (ROOT / "docs" / "decisions" / "0013-dependencies.md").read_text(), re.M)
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row)} - {"fast"} == wanted


def test_every_link_between_documents_leads_to_a_file():
    dead = []
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not (page.parent / target).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []
