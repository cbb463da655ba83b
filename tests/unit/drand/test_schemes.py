from dataclasses import replace

import pytest

from collective.errors import MalformedPoint
from collective.groups.bls12381 import bls12381
from drand.model.schemes import MAX_KNOWN_KEYS, SCHEME_NAMES, _decoded_key, scheme_named


@pytest.mark.parametrize("name", SCHEME_NAMES)
def test_a_key_is_decoded_once_and_a_refused_one_is_refused_again(name):
    scheme = scheme_named(name)
    data = scheme.key_group.encode(scheme.key_group.generator())
    assert scheme.decode_key(data) is scheme.decode_key(bytes(bytearray(data)))
    for _ in range(2):
        with pytest.raises(MalformedPoint):
            scheme.decode_key(data[:-1])


def test_a_key_decoded_by_one_backend_is_not_given_to_another():
    ours = scheme_named("pedersen-bls-chained")
    other = replace(ours, bls=replace(ours.bls, suite=bls12381("arkworks")))
    data = ours.key_group.encode(ours.key_group.generator())
    assert ours == other
    for scheme in (ours, other):
        assert scheme.key_group.equal(scheme.decode_key(data), scheme.key_group.generator())


def test_no_more_keys_are_remembered_than_are_bounded():
    assert _decoded_key.cache_info().maxsize == MAX_KNOWN_KEYS
