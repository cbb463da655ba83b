"""Why a connection failed, in an operator's words: gRPC's own texts wrap the reason in its own names."""

import re

# What gRPC (1.60 to 1.85) says somewhere in its text -> (what it means, what to try); the first that is found holds.
_MEANINGS: tuple[tuple[str, str, str], ...] = (
    (
        "WRONG_VERSION_NUMBER",
        "it answers in clear text where TLS was expected",
        "one side uses TLS and the other does not: --tls-disable, here or there, makes both agree",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is not signed by a known root",
        "put the root's PEM file into the --certs-dir folder",
    ),
    (
        "Hostname Verification Check failed",
        "its certificate is for another name",
        "dial it by the name in its certificate, or have it get one for this name",
    ),
    (
        "http1.x server",
        "it speaks HTTP/1 and no gRPC",
        "that is an HTTP port: name the port of --private-listen for peers, of --control for a daemon",
    ),
    ("hostname lookup error", "its name does not resolve", "check the spelling of the address, and the DNS"),
    (
        "Socket closed",
        "it closed the connection",
        "a TLS port does that to a call without TLS: leave out --tls-disable if it serves TLS",
    ),
)
_LAST = re.compile(r"last error: [A-Z_]+: (?:ipv[46]:\S+|unix:\S+): (?P<reason>.+)\Z", re.S)
_PREFIX = re.compile(r"\A(?:Failed to connect to remote host|connect failed: addr: \S+ error): ")


def plain_reason(details: str) -> tuple[str, str | None]:
    """(what happened, what to try or None) from the details of a status UNAVAILABLE.

    >>> plain_reason("failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: Failed to connect to "
    ...     "remote host: Connection refused")
    ('Connection refused', None)
    """
    for sign, meaning, hint in _MEANINGS:
        if sign in details:
            return meaning, hint
    found = _LAST.search(details)
    return (_PREFIX.sub("", found["reason"]) if found else details), None
