"""docs/reference/http.md has every route, and every route on it is there."""

import ast
import re
from pathlib import Path

import pytest

from drand.net import http_v2
from drand.net.http_content import Answer, Request
from drand.net.http_page import TYPES
from drand.net.http_routes import NOT_FOUND, HttpRoutes
from tests.support.served import GENESIS, INFO, PERIOD, MemoryChain

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "http.md").read_text()
ROUTES = sorted(
    set(re.findall(r"`(/[^` ]*)`", "\n".join(line.split("|")[1] for line in PAGE.splitlines() if "|" in line)))
)


def example(route: str) -> str:
    made = route.replace("CHAIN", INFO.hash().hex()).replace("ID", "default").replace("ROUND", "2")
    return made.replace("from=A&to=B", "from=1&to=2").replace("FILE", "page.css")


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_on_the_page_is_there(route: str):
    routes = HttpRoutes()
    routes.register(MemoryChain(), default=True)
    path, _, query = example(route).partition("?")
    answer = routes.answer(Request("GET", path, (("accept", "text/html"),), query), float(GENESIS + 2 * PERIOD))
    assert answer not in (NOT_FOUND, http_v2.NO_ROUTE)
    assert not isinstance(answer, Answer) or answer.status == 200 or route.endswith("signers")


def words_of_routes() -> set[str]:
    """The fixed words of all path patterns in the code."""
    found: set[str] = set()
    for name in ("http_routes.py", "http_v2.py"):
        tree = ast.parse((ROOT / "src" / "drand" / "net" / name).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
    return found - {""}


def test_the_page_has_every_route():
    parts = {part for route in ROUTES for part in re.split(r"[/?]", route)} | set(
        re.findall(r"`([a-z0-9]+\.[a-z]+)`", PAGE)
    )
    assert words_of_routes() - parts == set()


def test_the_page_has_every_part_of_the_page_for_people():
    assert all(f"`{name}`" in PAGE for name in TYPES if name != "index.html")
