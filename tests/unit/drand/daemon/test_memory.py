import ctypes
import gc

import pytest

from drand.daemon import memory


def test_what_is_alive_after_the_start_is_not_looked_at_again():
    before = gc.get_freeze_count()
    try:
        memory.settle()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("there", [True, False])
def test_free_pages_go_back_where_the_c_library_can(there: bool, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    class Library:
        if there:
            malloc_trim = staticmethod(asked.append)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    assert memory.trim() is there
    assert asked == ([0] if there else [])
