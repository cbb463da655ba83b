"""The chains that are built in."""

import pytest

from drand.client.chains import PUBLIC_CHAINS, public_chain


@pytest.mark.parametrize("name", PUBLIC_CHAINS)
def test_a_built_in_chain_has_the_hash_that_is_published_for_it(name: str):
    chain = public_chain(name)
    assert chain is not None
    assert public_chain(chain.hash().hex()) == chain, "found by the published hash only"


@pytest.mark.parametrize("name", ["", "mainnet", "QUICKNET", "00" * 32])
def test_no_other_name_or_hash_is_a_built_in_chain(name: str):
    assert public_chain(name) is None
