"""docs/reference/errors.md has every exception of the source, as the classes themselves describe them."""

import pytest

from collective.errors import CollectiveError
from tests.support.tools import load_tool

TOOL = load_tool("error_reference")
ERRORS = TOOL.errors()


def test_the_page_of_errors_is_up_to_date():
    assert TOOL.PAGE.read_text() == TOOL.page(), "run: python tools/error_reference.py"


def test_no_error_that_a_program_can_meet_is_left_out():
    """What is declared is found by reading the source; here is asked what the loaded classes say."""
    below, found = [CollectiveError], set()
    while below:
        kind = below.pop()
        found.add(kind)
        below += kind.__subclasses__()
    ours = {kind for kind in found if kind.__module__.startswith(("collective.", "drand."))}
    assert len(ours) > 80
    assert {kind for kind in ours if not kind.__name__.startswith("_")} <= set(ERRORS)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_an_error_says_what_it_means_in_a_cell_of_a_table(kind: type[Exception]):
    row = TOOL.row(kind)
    _, name, above, meaning, hint, _, _ = (cell.strip() for cell in row.split("|"))
    assert name.endswith(f"{kind.__name__}`")
    assert above
    assert meaning.endswith(".")
    assert not hint.endswith(".")


@pytest.mark.parametrize("module", ["drand.client.errors", "drand.timelock.errors"])
def test_an_error_that_people_meet_says_what_to_try(module: str):
    """Those that others descend from may leave it to them."""
    kinds = [kind for kind in ERRORS if kind.__module__ == module and not kind.__subclasses__()]
    assert len(kinds) > 5
    assert [kind.__name__ for kind in kinds if not kind.hint] == []
