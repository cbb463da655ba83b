"""Addresses as people and peers write them: host:port, control ports and paths, and who called."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

from drand.net.errors import MalformedAddress

DEFAULT_PEER_PORT = 8080  # what generate-keypair offers when no port is given
LOOPBACK = "127.0.0.1"
MAX_PORT = 65535

PROXY_HEADERS = ("x-real-ip", "x-forwarded-for")  # in which a proxy says who calls

# Callers whose address says nothing, so that a proxy's word counts instead (v1.5.11, net/peer.go, isPrivate).
_BEHIND_A_PROXY = ("10.", "127.", "192.168", "100.64.", "172.16.", "169.254.")


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP address. `host` carries no brackets; it is empty for "every interface"."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def bind_target(self) -> str:
        """The address as a gRPC server binds it; every interface when no host is named."""
        return str(self) if self.host else f"[::]:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it; False for a name other than localhost, which may be any machine's."""
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return self.host == "localhost"

    @property
    def dial_target(self) -> str:
        """The address as a client on this machine dials it."""
        return str(self) if self.host not in ("", "0.0.0.0", "::") else f"{LOOPBACK}:{self.port}"  # noqa: S104


@dataclass(frozen=True, slots=True)
class UnixPath:
    """A Unix domain socket."""

    path: Path

    def __str__(self) -> str:
        return f"unix://{self.path}"

    @property
    def target(self) -> str:
        """The address as gRPC dials and binds it."""
        return f"unix:{self.path}"


ControlAddress: TypeAlias = HostPort | UnixPath


def parse_port(text: str) -> int:
    """A port number, 0 to 65535 (0: any free one); raises MalformedAddress."""
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise MalformedAddress(f"{text!r} is no port number; ports go from 1 to {MAX_PORT}")
    return int(text)


def parse_host_port(text: str, *, default_port: int | None = None) -> HostPort:
    """`host:port` or `[v6]:port`; without a port only where `default_port` is given. Raises MalformedAddress.

    >>> parse_host_port("[::1]:80")
    HostPort(host='::1', port=80)
    """
    if any(character.isspace() or not character.isprintable() for character in text):
        raise MalformedAddress(f"the address {text!r} holds white space or control characters")
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or not host or (rest and not rest.startswith(":")):
            raise MalformedAddress(f"the address {text!r} does not close its bracket before the port")
        port = rest[1:] if rest else ""
    else:
        host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
        if ":" in host:
            raise MalformedAddress(f"the address {text!r} has too many colons; put an IPv6 host in brackets")
    if port:
        return HostPort(host, parse_port(port))
    if default_port is None:
        raise MalformedAddress(f"address {text}: missing port in address")
    return HostPort(host, default_port)


def parse_control(text: str) -> ControlAddress:
    """A control address: `8888` (this machine only), `host:port`, or `unix:///path` (also `unix:/path`, `unix:path`).

    `localhost` is 127.0.0.1: nobody outside this machine gets in unless the operator names another interface.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("//") else path
        if not path:
            raise MalformedAddress(f"{text!r} names no socket file")
        return UnixPath(Path(path))
    if ":" not in text:
        return HostPort(LOOPBACK, parse_port(text))
    address = parse_host_port(text)
    return HostPort(LOOPBACK, address.port) if address.host in ("", "localhost") else address


def caller(peer: str, headers: Mapping[str, str]) -> str:
    """Who called, for log lines only: a proxy's word replaces an address that is private or unknown.

    peer      gRPC's or HTTP's view: `ipv4:1.2.3.4:5`, `1.2.3.4:5`, `unix:`
    headers   lower-case names; `x-real-ip` is believed before `x-forwarded-for` (its first value)
    Anybody can write these headers: never base a decision or a quota on the result.
    Source: drand v1.5.11, net/peer.go, RemoteAddress.
    """
    address = socket_address(peer)
    if address and not address.startswith(_BEHIND_A_PROXY):
        return address
    claimed = headers.get("x-real-ip") or headers.get("x-forwarded-for", "").partition(",")[0]
    return claimed.strip()[:64] or address


def socket_address(peer: str) -> str:
    """gRPC's name of a caller as plain `ip:port` (`[ip]:port` for IPv6); empty for a Unix socket."""
    kind, separator, rest = peer.partition(":")
    if kind == "unix":
        return ""
    if separator and kind in ("ipv4", "ipv6"):
        return rest.replace("%5B", "[").replace("%5D", "]")
    return peer


def socket_ip(peer: str) -> str:
    """The ip of a caller as the kernel saw it: what quotas are counted by."""
    return socket_address(peer).rpartition(":")[0]
