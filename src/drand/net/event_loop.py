"""The one event loop of a process."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end: on uvloop, or on asyncio's own loop where uvloop is not installed (Windows, PyPy)."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
        return
    uvloop.run(main)
