import pytest

from collective.errors import MalformedPoint
from drand.model.schemes import MAX_KNOWN_KEYS, SCHEME_NAMES, _decoded_key, scheme_named


@pytest.mark.parametrize("name", SCHEME_NAMES)
def test_a_key_is_decoded_once_and_a_refused_one_is_refused_again(name):
    scheme = scheme_named(name)
    data = scheme.key_group.encode(scheme.key_group.generator())
    assert scheme.decode_key(data) is scheme.decode_key(bytes(bytearray(data)))
    for _ in range(2):
        with pytest.raises(MalformedPoint):
            scheme.decode_key(data[:-1])


def test_no_more_keys_are_remembered_than_are_bounded():
    assert _decoded_key.cache_info().maxsize == MAX_KNOWN_KEYS
