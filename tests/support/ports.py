"""Ports of 127.0.0.1 for tests, from a range that the kernel gives to nobody by itself."""

import itertools
import os
import socket
from collections.abc import Iterator

FIRST_PORT, PORTS_EACH = 12000, 2500  # below the range that kernels take for outgoing connections


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, each handed out once; two xdist workers never share any."""
    found = list(itertools.islice(_ports, count))
    assert len(found) == count, "no free ports left in this worker's range"
    return found


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def _free_ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    first = FIRST_PORT + worker % 8 * PORTS_EACH
    start = os.getpid() * 97 % PORTS_EACH  # two runs on one machine seldom begin at the same port
    for offset in range(PORTS_EACH):
        port = first + (start + offset) % PORTS_EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


_ports = _free_ports()
