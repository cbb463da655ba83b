"""Settings all tests share."""

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a test, so no example has a deadline. In CI every run draws the same examples: whether a
# change is accepted must not be a matter of luck. At a developer's desk every run draws new ones.
settings.register_profile(
    "pydrand", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("pydrand")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-transcripts",
        action="store_true",
        help="write tests/transcripts/*.txt anew; read their diff",
    )
