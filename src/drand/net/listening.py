"""Binding ports, with the operating system's own reason when it fails (gRPC gives none)."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import grpc

from collective.errors import CollectiveError
from drand.net.addresses import HostPort, UnixPath
from drand.net.errors import CannotListen, PortTaken

OWNER_ONLY = 0o177  # umask that leaves 0600
PROBE_TIMEOUT_S = 1.0


def cannot_listen(what: str, address: object, error: OSError) -> CollectiveError:
    """The error for a socket that could not be bound: taken by somebody else, or not ours to use."""
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"the {what} address {address} is taken")
    reason = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        reason = f"the name does not resolve ({reason})"
    return CannotListen(f"cannot listen for {what} on {address}: {reason}")


def bind_tcp(
    server: grpc.aio.Server, address: HostPort, what: str, credentials: grpc.ServerCredentials | None = None
) -> int:
    """Bind `server` to a TCP address; returns the port. Raises PortTaken or CannotListen.

    The address is tried with a plain socket first: that one tells why it cannot be had.
    """
    _try_tcp(address, what)
    try:
        if credentials is None:
            return server.add_insecure_port(address.bind_target)
        return server.add_secure_port(address.bind_target, credentials)
    except RuntimeError as error:
        raise PortTaken(f"the {what} address {address} cannot be bound") from error


def _try_tcp(address: HostPort, what: str) -> None:
    host = address.host or None
    try:
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)  # on Linux, two sockets with SO_REUSEADDR may bind; only one may listen
    except OSError as error:
        raise cannot_listen(what, address, error) from error


async def open_listeners(address: HostPort, *, backlog: int, shared: bool) -> list[socket.socket]:
    """Sockets that listen on every address that `address` stands for, at least one; raises OSError.

    shared   other processes of ours listen on the same port (SO_REUSEPORT)
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as opened:
        listeners = []
        for family, kind, protocol, _, place in dict.fromkeys(found):
            try:
                one = opened.enter_context(socket.socket(family, kind, protocol))
            except OSError:
                if family == socket.AF_INET6 and len(found) > 1:
                    continue  # a machine whose kernel has no IPv6
                raise
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if shared:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(place)
            one.listen(backlog)
            listeners.append(one)
        opened.pop_all()
    return listeners


def bind_unix(server: grpc.aio.Server, address: UnixPath, what: str) -> None:
    """Bind `server` to a Unix socket of mode 0600.

    A socket file left behind by a killed daemon is removed, but only when nobody listens on it; any other file at the
    path is left alone. Raises PortTaken or CannotListen.
    """
    path = address.path
    _clear_stale(path, what)
    try:
        with _umask(OWNER_ONLY):
            server.add_insecure_port(address.target)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    except (RuntimeError, OSError) as error:
        reason = "no such folder" if not path.parent.is_dir() else "not permitted, or the path is too long"
        raise CannotListen(f"cannot listen for {what} on {address}: {reason}") from error


def _clear_stale(path: Path, what: str) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_listen(what, path, error) from error
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"cannot listen for {what} on {path}: a file that is no socket is there")
    if is_listening(path):
        raise PortTaken(f"the {what} socket {path} is taken")
    path.unlink(missing_ok=True)


def is_listening(path: Path) -> bool:
    """Somebody accepts connections on the Unix socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # no permission, backlog full: somebody else's, so not ours to remove
            return True
    return True


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
