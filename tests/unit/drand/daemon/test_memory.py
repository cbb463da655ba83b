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


@pytest.mark.parametrize(("answer", "told"), [(1, True), (0, False), (None, False)])
def test_threads_share_heaps_where_the_c_library_can(answer: int | None, told: bool, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[int, int]] = []

    def mallopt(what: int, value: int) -> int:
        asked.append((what, value))
        return answer or 0

    library = type("Library", (), {} if answer is None else {"mallopt": staticmethod(mallopt)})
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert memory.share_heaps() is told
    assert asked == ([] if answer is None else [(-8, memory.ARENAS)])


@pytest.mark.parametrize("there", [True, False])
def test_free_pages_go_back_where_the_c_library_can(there: bool, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    class Library:
        if there:
            malloc_trim = staticmethod(asked.append)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    assert memory.trim() is there
    assert asked == ([0] if there else [])
