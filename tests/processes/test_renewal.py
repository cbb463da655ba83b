"""What is renewed while a node runs: its certificate, and the file of its access log. On SIGHUP, without a restart."""

import signal
import socket
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.authority import Authority
from tests.support.processes import Network, Node, Tls


def shown(node: Node, address: str, alpn: str) -> int:
    """The serial number of the certificate that an address of a node shows."""
    assert node.tls is not None
    context = node.tls.context
    context.set_alpn_protocols([alpn])
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


@pytest.mark.slow
def test_a_hangup_signal_takes_up_a_renewed_certificate_and_begins_the_access_log_anew(tmp_path: Path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node0")
    log, old_log = tmp_path / "access.log", tmp_path / "access.log.1"
    with Network(tmp_path, 1, lambda _: Tls(certificate, key, authority.roots)) as network:
        (node,) = network.nodes
        node.make_keys()
        daemon = node.start("--access-log", str(log), "--rate-limit", "0.001", "--burst", "2")
        before = {shown(node, node.private, "h2"), shown(node, node.public, "http/1.1")}
        assert node.get("/before").status == 404
        renewed, renewed_key = authority.issue("renewed")
        certificate.write_bytes(renewed.read_bytes())
        key.write_bytes(renewed_key.read_bytes())
        log.rename(old_log)
        daemon.send(signal.SIGHUP)
        daemon.wait_for("new connections are shown the new certificate")
        after = {shown(node, node.private, "h2"), shown(node, node.public, "http/1.1")}
        assert (len(before), len(after), before & after) == (1, 1, set())
        assert node.get("/after").status == 404
        assert node.get("/too-many").status == 429
        assert daemon.alive
        node.stop()
    assert "GET /before HTTP/1.1" in old_log.read_text()
    assert [line.split('"')[1:3] for line in log.read_text().splitlines()] == [
        ["GET /after HTTP/1.1", " 404 19 "],
        ["GET /too-many HTTP/1.1", " 429 48 "],
    ]
