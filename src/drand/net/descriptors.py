"""How the file descriptors of a process are shared out, so that strangers' connections cannot use them up.

A node without a free descriptor cannot write its vault's state, and then does not sign. So each port takes a share of
what the system allows; a quarter is left for files and for calls to peers.
"""

import sys
from dataclasses import dataclass

WANTED = 65_536  # all bounds below fit, and as many calls to peers as there are channels
MAX_HTTP = 16_384
MAX_PEERS = 4096  # four connections for each member of the largest group
MAX_CONTROL = 64


@dataclass(frozen=True, slots=True)
class Shares:
    """The most connections that each port takes."""

    http: int
    peers: int
    control: int


def shares_of(limit: int) -> Shares:
    """What each port may take of `limit` descriptors.

    >>> shares_of(1024)
    Shares(http=506, peers=230, control=32)
    """
    control = min(MAX_CONTROL, limit // 32)
    rest = limit - limit // 4 - control
    peers = min(MAX_PEERS, rest * 5 // 16)
    return Shares(http=min(MAX_HTTP, rest - peers), peers=peers, control=control)


def raise_limit() -> int:
    """Have the system allow as many descriptors as it will, WANTED at most; returns how many that are.

    The limit that a shell hands on is often 1024, for the sake of old programs. Go's runtime raises it, too.
    """
    if sys.platform == "win32":
        return WANTED  # there is no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return WANTED if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return soft
    return most
