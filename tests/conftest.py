"""Settings all tests share."""

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a test, so no example has a deadline.
settings.register_profile("pydrand", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pydrand")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-transcripts",
        action="store_true",
        help="write tests/transcripts/*.txt anew; read their diff",
    )
