import ctypes
import gc
import os
import subprocess
import sys

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


NEEDED_BY_OTHERS = (
    "Crypto",  # schemes on BN254
    "Cryptodome",
    "concurrent.futures.process",
    "cryptography.x509",  # nodes with certificates
    "drand.client",
    "drand.sim",
    "gmpy2",
    "multiprocessing",
    "prometheus_client",  # nodes with a metrics port
    "py_arkworks_bls12381",  # timelock, and machines without blst
    "py_ecc",
    "rich",
)
STARTED = """
import sys
from drand.cli import start
from drand.daemon.memory import without_roots
with without_roots():
    import drand.daemon.daemon
from aiohttp import connector
from collective.groups.bls12381 import bls12381
assert bls12381().name
print(*sys.modules)
print(connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"])
"""


def test_a_daemon_does_not_carry_what_others_need():
    environment = {**os.environ, "DRAND_BLS_BACKEND": ""}
    ran = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True, env=environment)
    modules, roots = ran.stdout.splitlines()
    loaded = {".".join(name.split(".")[:length]) for name in modules.split() for length in (1, 2, 3)}
    allowed = {"py_arkworks_bls12381"} if "pyblst" not in loaded else set()
    assert loaded & set(NEEDED_BY_OTHERS) <= allowed
    assert roots == "0", "an HTTP client's roots in a process that makes no HTTP requests"


@pytest.mark.parametrize("before", [None, "/some/roots.pem"])
def test_the_machines_roots_are_as_before_once_the_imports_are_done(
    before: str | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if before is not None:
        monkeypatch.setenv("SSL_CERT_FILE", before)
    with memory.without_roots():
        assert os.environ["SSL_CERT_FILE"] == os.environ["SSL_CERT_DIR"] == os.devnull
    assert os.environ.get("SSL_CERT_FILE") == before
    with pytest.raises(ImportError), memory.without_roots():
        raise ImportError
    assert os.environ.get("SSL_CERT_FILE") == before
