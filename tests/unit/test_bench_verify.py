"""The bench of verification runs; what it measures is nobody's test."""

from bench.verify import measure

from tests.support.suites import SCHEMES


def test_every_backend_gets_its_row() -> None:
    rows = measure(count=3, rounds=1, only=["g1-rfc9380", "chained"])
    assert len(rows) == sum(name.startswith("bls12381") for name in SCHEMES)
    for row in rows:
        assert row.single_us > 0
        assert row.batched_us > 0
        assert row.ratio > 0
