"""Certificates: what is refused before a socket is opened, and calls between peers over TLS."""

import asyncio
import errno
import os
import socket
import ssl
from pathlib import Path
from typing import IO, Any

import pytest
from cryptography import x509

from collective.clock import SystemClock
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import OUR_VERSION, Metadata, SyncRequest
from drand.net import namesakes
from drand.net.addresses import HostPort
from drand.net.errors import BadCertificate, PeerUnreachable
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.peer_client import PeerClient
from drand.net.peer_server import PeerServer
from drand.net.tls import load_roots, load_server_tls
from tests.support.authority import Authority, self_signed
from tests.support.served import INFO, ToldNode

OURS = Metadata(OUR_VERSION, "default")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_peers_speak_over_tls_when_the_root_is_in_the_folder(authority: Authority):
    server = PeerServer(ToldNode())
    bound = await server.start(HostPort("127.0.0.1", 0), load_server_tls(*authority.issue("localhost")))
    client = PeerClient(load_roots(authority.roots))
    for host in ("localhost", "127.0.0.1"):
        peer = Peer(f"{host}:{bound.port}", tls=True)
        assert await client.chain_info(peer, OURS) == INFO
        async with client.sync(peer, SyncRequest(Round(1), "default"), patience_s=30) as batches:
            assert await anext(batches)
    await client.close()
    await server.stop(0)


async def test_self_signed_certificates_of_one_name_are_each_believed(tmp_path: Path):
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    pairs = [self_signed(tmp_path / f"node{number}", "Acme Co") for number in range(4)]
    for certificate, _ in pairs[:3]:
        (trusted / certificate.name).write_bytes(certificate.read_bytes())
    servers = [PeerServer(ToldNode()) for _ in pairs]
    peers = []
    for server, pair in zip(servers, pairs, strict=True):
        bound = await server.start(HostPort("127.0.0.1", 0), load_server_tls(*pair))
        peers.append(Peer(str(bound), tls=True))
    client = PeerClient(load_roots(trusted))
    for peer in peers[:3]:
        async with client.sync(peer, SyncRequest(Round(1), "default"), patience_s=30) as batches:
            assert await anext(batches)
        assert await client.chain_info(peer, OURS) == INFO
    with pytest.raises(PeerUnreachable, match="not signed by a known root"):
        await client.chain_info(peers[3], OURS)
    await asyncio.gather(*(server.stop(0) for server in servers))
    with pytest.raises(PeerUnreachable, match="Connection refused"):
        await PeerClient(load_roots(trusted)).chain_info(peers[0], OURS)
    await client.close()


async def test_a_namesake_that_shows_another_trusted_certificate_is_believed_again(tmp_path: Path):
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    pairs = [self_signed(tmp_path / f"node{number}", "Acme Co") for number in range(2)]
    for certificate, _ in pairs:
        (trusted / certificate.name).write_bytes(certificate.read_bytes())
    client = PeerClient(load_roots(trusted))
    port = 0
    for pair in pairs:
        server = PeerServer(ToldNode())
        port = (await server.start(HostPort("127.0.0.1", port), load_server_tls(*pair))).port
        peer = Peer(f"127.0.0.1:{port}", tls=True)
        assert any([await reached(client, peer) for _ in range(4)])  # the first may tell that the last server is gone
        await server.stop(0)
    await client.close()


async def reached(client: PeerClient, peer: Peer) -> bool:
    try:
        await client.home(peer, OURS)
    except PeerUnreachable:
        return False
    return True


async def test_an_unknown_root_a_wrong_name_and_clear_text_are_told_apart(authority: Authority, tmp_path: Path):
    server = PeerServer(ToldNode())
    bound = await server.start(HostPort("127.0.0.1", 0), load_server_tls(*authority.issue("elsewhere.example")))
    stranger = PeerClient(load_roots(None))
    with pytest.raises(PeerUnreachable) as unknown_root:
        await stranger.home(Peer(str(bound), tls=True), OURS)
    assert "--certs-dir" in unknown_root.value.advice
    friend = PeerClient(load_roots(authority.roots))
    with pytest.raises(PeerUnreachable):
        await friend.home(Peer(f"localhost:{bound.port}", tls=True), OURS)
    with pytest.raises(PeerUnreachable):
        await friend.home(Peer(str(bound), tls=False), OURS)
    plain = PeerServer(ToldNode())
    address = await plain.start(HostPort("127.0.0.1", 0))
    with pytest.raises(PeerUnreachable) as clear_text:
        await friend.home(Peer(str(address), tls=True), OURS)
    assert "clear text" in str(clear_text.value)
    assert "--tls-disable" in clear_text.value.advice
    for client in (stranger, friend):
        await client.close()
    for running in (server, plain):
        await running.stop(0)


def shown(port: int, alpn: str) -> str:
    """The name in the certificate that a port shows to a new connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, context.wrap_socket(plain) as connection:
        assert connection.selected_alpn_protocol() == alpn
        der = connection.getpeercert(binary_form=True)
    assert der is not None
    (name,) = x509.load_der_x509_certificate(der).subject
    return str(name.value)


async def test_a_renewed_certificate_is_shown_without_a_restart_and_open_connections_go_on(authority: Authority):
    certificate, key = authority.issue("old.example")
    renewed, renewed_key = authority.issue("new.example")
    tls = load_server_tls(certificate, key)
    peers, http = PeerServer(ToldNode()), HttpServer(HttpRoutes(), SystemClock())
    ports = {
        "h2": (await peers.start(HostPort("127.0.0.1", 0), tls)).port,
        "http/1.1": (await http.start(HostPort("127.0.0.1", 0), tls)).port,
    }
    client = PeerClient(load_roots(authority.roots))
    peer = Peer(f"127.0.0.1:{ports['h2']}", tls=True)
    await client.home(peer, OURS)

    async def all_show(name: str) -> bool:
        return {await asyncio.to_thread(shown, port, alpn) for alpn, port in ports.items()} == {name}

    assert not tls.refresh()
    assert await all_show("old.example")
    certificate.write_bytes(renewed.read_bytes())
    with pytest.raises(BadCertificate, match="does not belong"):
        tls.refresh()
    assert await all_show("old.example"), "half a renewal changes nothing"
    key.write_bytes(renewed_key.read_bytes())
    assert tls.refresh()
    assert not tls.refresh()
    for _ in range(2):
        assert await all_show("new.example")
    await client.home(peer, OURS)
    await client.close()
    await peers.stop(0)
    await http.stop()


def test_a_missing_file_is_named(authority: Authority, tmp_path: Path):
    certificate, key = authority.issue("a.example")
    with pytest.raises(BadCertificate, match=r"cannot read the certificate .*gone\.pem: No such file"):
        load_server_tls(tmp_path / "gone.pem", key)
    with pytest.raises(BadCertificate, match=r"cannot read the TLS key .*gone\.key: No such file"):
        load_server_tls(certificate, tmp_path / "gone.key")


def test_a_key_that_this_user_may_not_read_is_named(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    """Root may read every file, so it is the opening that is refused."""
    certificate, key = authority.issue("a.example")
    opened = Path.open

    def refused(self: Path, mode: str) -> IO[Any]:
        if self == key:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return opened(self, mode)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(BadCertificate, match=r"cannot read the TLS key .*a\.example\.key: Permission denied"):
        load_server_tls(certificate, key)


def test_a_key_of_another_certificate_is_refused(authority: Authority):
    first, second = authority.issue("a.example"), authority.issue("b.example")
    with pytest.raises(BadCertificate, match="does not belong"):
        load_server_tls(first[0], second[1])


def test_files_that_hold_something_else_are_refused(authority: Authority, tmp_path: Path):
    certificate, key = authority.issue("a.example")
    with pytest.raises(BadCertificate, match="holds no PEM certificate"):
        load_server_tls(key, key)
    with pytest.raises(BadCertificate, match="no unencrypted PEM private key"):
        load_server_tls(certificate, certificate)
    (tmp_path / "big.pem").write_bytes(bytes(2 << 20))
    with pytest.raises(BadCertificate, match="larger than"):
        load_server_tls(tmp_path / "big.pem", key)


def test_every_file_of_the_folder_of_roots_must_be_a_certificate(authority: Authority, tmp_path: Path):
    (authority.roots / "notes.txt").write_text("not a certificate")
    with pytest.raises(BadCertificate, match=r"notes\.txt"):
        load_roots(authority.roots)
    with pytest.raises(BadCertificate, match="cannot list"):
        load_roots(tmp_path / "nowhere")


def test_our_roots_come_beside_those_of_the_system(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    system = Authority(tmp_path / "roots", "the system's")
    monkeypatch.setenv("SSL_CERT_FILE", str(system.root_path))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    assert load_roots(None) == system.root_path.read_bytes()
    both = load_roots(authority.roots)
    assert both == system.root_path.read_bytes() + authority.root_path.read_bytes()


def test_the_key_is_not_printed(authority: Authority):
    tls = load_server_tls(*authority.issue("a.example"))
    assert "PRIVATE" not in repr(tls)


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
async def test_a_peer_whose_host_is_no_name_is_unreachable(host: str):
    with pytest.raises(PeerUnreachable, match="its host is no name"):
        await namesakes._shown_by(Peer(f"{host}:1", tls=True))
