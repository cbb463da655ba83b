"""Reaching the local daemon and other nodes. Network code is imported only when a command really talks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from collective.errors import BadSetting, CollectiveError
from drand.cli.root import one_line
from drand.model.group import Peer
from drand.model.packets import OUR_VERSION, Metadata

if TYPE_CHECKING:
    from drand.net.control_client import ControlClient
    from drand.net.peer_client import PeerClient

T = TypeVar("T")

WHERE_IT_STANDS = "`drand util status` says where the beacon stands, `drand util status --list-ids` which ones run"


@contextmanager
def daemon(control: str, doing: str = "", hint: str = WHERE_IT_STANDS) -> Iterator["ControlClient"]:
    """The control socket of the local daemon.

    doing   begins the message when the daemon refuses what is asked inside the block, or is not there
    hint    what the operator can try then, where the daemon does not say so itself
    raises  DaemonAbsent, RefusedByDaemon, MalformedAddress
    """
    from drand.net.control_client import ControlClient
    from drand.net.errors import DaemonAbsent, RefusedByDaemon

    with ControlClient(control) as client:
        try:
            yield client
        except RefusedByDaemon as error:
            raise RefusedByDaemon(_after(doing, error.text), hint=error.advice or hint) from error
        except DaemonAbsent as error:
            raise DaemonAbsent(_after(doing, str(error)), hint=error.advice) from error


def _after(doing: str, reason: str) -> str:
    """The words of v1.5.11, which scripts look for, and the reason; dots at their end stand for a colon."""
    separator = " " if doing.endswith("...") else ": "
    return f"{doing}{separator}{reason}" if doing else reason


def about(beacon_id: str | None, chain_hash: bytes = b"") -> Metadata:
    """What rides on a request about one beacon."""
    return Metadata(OUR_VERSION, beacon_id or "", chain_hash)


def peer_at(address: str, *, tls: bool) -> Peer:
    """A node as the operator writes it; the port is 8080 where none is given. Raises MalformedAddress."""
    from drand.net.addresses import DEFAULT_PEER_PORT, parse_host_port
    from drand.net.errors import MalformedAddress

    parsed = parse_host_port(address, default_port=DEFAULT_PEER_PORT)
    if not parsed.host:
        raise MalformedAddress(f"the address {address!r} names no host")
    if not parsed.port:
        raise MalformedAddress(f"nobody can be reached at port 0 of {parsed.host}")
    return Peer(str(parsed), tls)


def trusted_roots(certs_dir: Path | None = None, certificate: Path | None = None) -> bytes | None:
    """The system's roots, those of a folder, and one more; raises BadCertificate or BadSetting."""
    from drand.net.tls import load_roots

    roots = load_roots(certs_dir)
    if certificate is None:
        return roots
    try:
        return (roots or b"") + certificate.read_bytes()
    except OSError as error:
        raise BadSetting(f"cannot read {certificate}: {error.strerror}", hint="check --tls-cert") from error


def ask_nodes(question: Callable[["PeerClient"], Awaitable[T]], roots: bytes | None) -> T:
    """Run `question` with a client of other nodes, and close it."""
    from drand.net.peer_client import PeerClient

    async def run() -> T:
        client = PeerClient(roots)
        try:
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(run())


def named(error: CollectiveError) -> str:
    """An error and what to try, on one line."""
    return one_line(f"{error} ({error.advice})" if error.advice else error)
