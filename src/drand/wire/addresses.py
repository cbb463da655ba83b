"""The one thing v1.5.11 demands of a peer's address: that it splits into host and port."""

from collective.errors import Malformed

MAX_ADDRESS_BYTES = 512


def split_host_port(address: str) -> tuple[str, str]:
    """Host and port of `host:port` or `[IPv6]:port`; raises Malformed.

    Neither part is looked at: host and port may be empty or names. Source: Go 1.20, net.SplitHostPort.

    >>> split_host_port("[::1]:8080")
    ('::1', '8080')
    """
    if len(address) > MAX_ADDRESS_BYTES:
        raise Malformed(f"address of {len(address)} characters, at most {MAX_ADDRESS_BYTES} bytes expected")
    if not address.isprintable():  # nor encodable, where the command line was no UTF-8
        raise Malformed(f"address {address!r} holds unprintable characters")
    if len(address.encode()) > MAX_ADDRESS_BYTES:
        raise Malformed(f"address of {len(address.encode())} bytes, at most {MAX_ADDRESS_BYTES} expected")
    head, colon, port = address.rpartition(":")
    if not colon:
        raise _refused(address, "missing port in address")
    host = head
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket:
            raise _refused(address, "missing ']' in address")
        if rest != f":{port}":
            raise _refused(address, "too many colons in address" if rest.startswith(":") else "missing port in address")
    elif ":" in head:
        raise _refused(address, "too many colons in address")
    if "[" in host + port or "]" in host + port:
        raise _refused(address, "unexpected bracket in address")
    return host, port


def _refused(address: str, why: str) -> Malformed:
    return Malformed(f"address {address}: {why}", hint="an address is host:port, or [host]:port for IPv6")
