"""Commands are tested without the variables of whoever runs the tests."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_variables_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DRAND_") and name != "DRAND_VECTORS"]:
        monkeypatch.delenv(name)
