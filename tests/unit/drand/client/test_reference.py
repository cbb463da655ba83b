"""The page about the client and the code say the same."""

import ast
import copy
import inspect
import pickle
import re
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import drand.client
from drand.client import AsyncClient, Client, HttpSource, Observer, Policy, Provenance, VerifiedBeacon, errors
from drand.errors import EXIT_FAILURE, EXIT_INVALID, EXIT_TOO_EARLY, exit_code
from drand.model.chain import Round

DOCS = Path(__file__).resolve().parents[4] / "docs"
PAGE = (DOCS / "reference" / "client.md").read_text()
FAMILY = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ClientError) and kind.__module__ == errors.__name__
}


def parent(kind: type) -> type:
    return next(base for base in kind.__bases__ if base in FAMILY.values())


def tree(text: str) -> dict[str, str | None]:
    """name -> the name it is indented under."""
    above: list[tuple[int, str]] = []
    found: dict[str, str | None] = {}
    for line in text.splitlines():
        match = re.match(r"( *)([A-Z]\w+)(  |$)", line)
        if match is None:
            continue
        depth, name = len(match[1]), match[2]
        above = [one for one in above if one[0] < depth]
        found[name] = above[-1][1] if above else None
        above.append((depth, name))
    return found


def test_the_tree_of_errors_is_the_tree_of_classes_on_the_page_and_in_the_module():
    real = {name: None if kind is errors.ClientError else parent(kind).__name__ for name, kind in FAMILY.items()}
    block = re.search(r"```\n(ClientError.*?)```", PAGE, re.S)
    assert block is not None
    assert tree(block[1]) == real
    documented = inspect.getdoc(errors)
    assert documented is not None
    assert tree(documented.partition("\n\n")[2]) == real
    assert block[1].strip() in documented


def test_every_error_descends_from_one_and_says_what_it_is():
    for name, kind in FAMILY.items():
        assert kind.__doc__, name


def test_the_exit_codes_of_the_command_line_tell_lies_from_silence():
    assert exit_code(errors.ForgedBeacon("s", "w")) == EXIT_INVALID
    assert exit_code(errors.WrongChain("s", "w")) == EXIT_INVALID
    assert exit_code(errors.NoHonestSource("w", {})) == EXIT_INVALID
    assert exit_code(errors.RoundTooEarly(5, 100, 50.0)) == EXIT_TOO_EARLY
    assert exit_code(errors.SourceTimeout("s", "w")) == EXIT_FAILURE
    assert exit_code(errors.NoSourceAnswered("w", {})) == EXIT_FAILURE


@pytest.mark.parametrize("name", drand.client.__all__)
def test_every_public_name_exists_and_is_on_a_page(name: str):
    assert getattr(drand.client, name) is not None
    assert name in PAGE


@pytest.mark.parametrize("kind", [Client, AsyncClient, VerifiedBeacon, Observer])
def test_every_public_method_and_attribute_is_on_the_page(kind: type):
    names = [name for name in vars(kind) if not name.startswith("_")]
    assert names
    for name in names:
        assert re.search(rf"`{name}\b", PAGE), f"{kind.__name__}.{name}"


def test_every_argument_and_every_setting_is_on_the_page():
    blocking = set(inspect.signature(Client.__init__).parameters) - {"self"}
    awaited = set(inspect.signature(AsyncClient.__init__).parameters) - {"self"}
    assert awaited - blocking == {"clock", "sleep"}
    assert blocking <= awaited
    for name in awaited | {field.name for field in fields(Policy)}:
        assert f"`{name}`" in PAGE, name


def test_the_two_faces_have_the_same_methods():
    for name in vars(Client):
        if not name.startswith("_"):
            assert hasattr(AsyncClient, name), name


def test_the_code_of_the_how_to_at_least_compiles():
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "howto" / "use-the-client.md").read_text(), re.S)
    assert len(blocks) >= 6
    for block in blocks:
        wrapped = "async def page():\n" + "\n".join("    " + line for line in block.splitlines()) + "\n    ...\n"
        assert compile(wrapped, "use-the-client.md", "exec")


def test_names_that_do_not_exist_are_refused():
    with pytest.raises(AttributeError):
        drand.client.Nothing  # noqa: B018
    assert set(drand.client.__all__) <= set(dir(drand.client)), "a notebook offers the names"
    seen = [node.name for node in ast.parse(inspect.getsource(drand.client)).body if isinstance(node, ast.FunctionDef)]
    assert "__getattr__" not in seen, "a type checker would take any name for one of ours"


def all_errors() -> list[errors.ClientError]:
    beacon = a_beacon()
    return [
        errors.ForgedBeacon("s", "w", hint="h"),
        errors.RateLimited("s", "w", retry_after_s=3.0),
        errors.SourceBehind("s", "w", beacon),
        errors.RoundTooEarly(5, 100, 50.0),
        errors.ClockSuspect("w", 3.0),
        errors.ChainRetired("w", {"s": errors.RoundMissing("s", "w")}, beacon),
        errors.ClientClosed("w"),
    ]


def a_beacon() -> VerifiedBeacon:
    origin = Provenance("https://relay.example", 1.0)
    return VerifiedBeacon(chain_hash=bytes(32), round=Round(7), signature=b"s", due_unix_s=9, provenance=origin)


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: type(error).__name__)
def test_an_error_comes_whole_out_of_another_process(error: errors.ClientError):
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again), again.advice) == (type(error), str(error), error.advice)
        assert repr(vars(again)) == repr(vars(error))


def test_what_people_look_at_says_what_it_is():
    assert repr(a_beacon()) == (
        f"<VerifiedBeacon round 7 of chain 0000000000000000, randomness {sha256(b's').hexdigest()}, "
        "from https://relay.example>"
    )
    sources: list[Any] = [HttpSource("https://me:secret@relay.example"), "grpc://node.example:4444"]
    with Client("quicknet", sources) as client:
        shown = "<Client of chain 52db9ba70e0cc0f6 at https://relay.example, grpc://node.example:4444"
        assert repr(client) == shown + ">"
    assert repr(client) == shown + ", closed>"
