"""Every test that asks for a suite runs over both implementations of the integers."""

import importlib.util

import pytest

from collective.groups.bn import bn254, bn256

WITHOUT_GMPY2 = pytest.mark.skipif(importlib.util.find_spec("gmpy2") is None, reason="gmpy2 is not installed")
INTEGERS = [pytest.param("gmpy2", marks=WITHOUT_GMPY2), "python"]
MAKERS = {"BN254": bn254, "BN256": bn256}


@pytest.fixture(params=INTEGERS)
def integers_name(request):
    return request.param


@pytest.fixture(params=sorted(MAKERS))
def suite(request, integers_name):
    return MAKERS[request.param](integers_name)


@pytest.fixture
def suite254(integers_name):
    return bn254(integers_name)


@pytest.fixture(params=["g1", "g2"])
def group(request, suite):
    return getattr(suite, request.param)
