"""The texts that gRPC gave for real failed connections, and what an operator reads instead."""

import pytest

from drand.net.grpc_reasons import plain_reason

ALL = "failed to connect to all addresses; last error: "
TLS = "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:"


@pytest.mark.parametrize(
    ("details", "reason", "hint"),
    [
        (
            ALL + "UNKNOWN: ipv4:127.0.0.1:9: Failed to connect to remote host: Connection refused",
            "Connection refused",
            None,
        ),
        (
            ALL + "UNKNOWN: ipv6:%5B::1%5D:9: Failed to connect to remote host: Timeout occurred: FD Shutdown",
            None,
            None,
        ),
        (
            ALL + "FAILED_PRECONDITION: unix:/nope: connect failed: addr: unix:/nope error: No such file or directory",
            "No such file or directory",
            None,
        ),
        (
            ALL + "INTERNAL: ipv4:127.0.0.1:1: Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame, got "
            "frame type 80) (Trying to connect an http1.x server (HTTP status 400))",
            "it speaks HTTP/1 and no gRPC",
            "--private-listen",
        ),
        (
            ALL + f"UNKNOWN: ipv4:127.0.0.1:1: {TLS}100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER: "
            "Invalid certificate verification context: OK",
            "it answers in clear text where TLS was expected",
            "--tls-disable",
        ),
        (
            ALL + f"UNKNOWN: ipv4:127.0.0.1:1: {TLS}1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: "
            "self signed certificate: OK",
            "its certificate is not signed by a known root",
            "--certs-dir",
        ),
        (
            ALL + "UNKNOWN: ipv4:127.0.0.1:1: Custom verification check failed with error: UNAUTHENTICATED: Hostname "
            "Verification Check failed.",
            "its certificate is for another name",
            "certificate",
        ),
        (ALL + "UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed", "it closed the connection", "--tls-disable"),
        (
            "errors resolving no.example:80: [field:hostname lookup error:address lookup failed for no.example:80: "
            "Domain name not found]",
            "its name does not resolve",
            "DNS",
        ),
        ("keepalive watchdog timeout", "keepalive watchdog timeout", None),
    ],
)
def test_the_reason_is_named_without_the_words_of_grpc(details: str, reason: str | None, hint: str | None):
    said, advice = plain_reason(details)
    assert said == (reason or "Timeout occurred: FD Shutdown")
    assert "last error" not in said
    assert (advice is None) if hint is None else (hint in (advice or ""))
