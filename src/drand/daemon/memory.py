"""Not taking memory that a daemon never needs, and giving back what is needed for a moment only.

What is given back is what imports leave behind, and the burst of a key generation.

The C library keeps freed pages for later use; a daemon that waits for the next round has none. It also keeps a heap for
each of gRPC's dozen threads, which all run one after another here. `malloc_trim` and `mallopt` are glibc's: without
them nothing is given back, and that is no error.
"""

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

AFTER_CEREMONY_S = 30.0  # stragglers' calls have ended by then
ARENAS = 2  # heaps for all threads together
_M_ARENA_MAX = -8  # malloc.h
_ROOT_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def share_heaps() -> bool:
    """Let all threads use ARENAS heaps; before the first thread starts. False where the C library cannot."""
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    return choose is not None and bool(choose(_M_ARENA_MAX, ARENAS))


@contextmanager
def without_roots() -> Iterator[None]:
    """While the HTTP server is imported: aiohttp's client comes with it, and reads all roots of the machine, twice.

    They would weigh two megabytes and be used by nobody, since a daemon makes no HTTP requests. gRPC is given its
    roots by drand.net.tls, which reads the same two variables of OpenSSL, later.
    """
    before = {name: os.environ.get(name) for name in _ROOT_VARIABLES}
    os.environ.update(dict.fromkeys(_ROOT_VARIABLES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def settle() -> None:
    """Collect what starting left behind, keep the rest out of later collections, and return free pages."""
    gc.collect()
    gc.freeze()
    trim()


def trim() -> bool:
    """Collect, and return free pages to the system; False where the C library cannot."""
    gc.collect()
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is None:
        return False
    give_back(0)
    return True
