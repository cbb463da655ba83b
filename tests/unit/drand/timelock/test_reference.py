"""The page about the timelock library and the code say the same."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import drand.timelock
from drand.timelock import Inspection, Lock, TlockRecipient, X25519Identity, X25519Recipient

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "reference" / "timelock.md").read_text()
FUNCTIONS = [name for name in drand.timelock.__all__ if inspect.isfunction(getattr(drand.timelock, name))]


@pytest.mark.parametrize("name", drand.timelock.__all__)
def test_every_public_name_is_on_the_page(name: str):
    assert re.search(rf"`{name}\b", PAGE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_on_the_page(name: str):
    for argument in inspect.signature(getattr(drand.timelock, name)).parameters.values():
        default = "" if argument.default is argument.empty else f"={argument.default}"
        assert f"{argument.name}{default}" in PAGE, argument


@pytest.mark.parametrize("kind", [Inspection, Lock, TlockRecipient, X25519Recipient, X25519Identity])
def test_every_public_method_and_attribute_is_on_the_page(kind: type):
    names = {name for name in vars(kind) if not name.startswith("_")} - {"wrap", "unwrap"}
    names |= {field.name for field in fields(kind)} if kind in (Inspection, Lock) else set()
    for name in names:
        assert re.search(rf"\b{name}\b", PAGE), f"{kind.__name__}.{name}"


def test_nothing_on_the_page_has_gone():
    for name in re.findall(r"^\| `(\w+)\(", PAGE, re.M):
        assert hasattr(drand.timelock, name), name
