"""Certificates: ours, shown to callers, and the roots that we believe when we call."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from drand.net.errors import BadCertificate

if TYPE_CHECKING:
    from cryptography import x509  # three megabytes, imported by those who do have certificates

MAX_PEM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A certificate chain and its key, read once and known to fit each other."""

    certificate_path: Path
    key_path: Path
    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return f"ServerTls(certificate_path={str(self.certificate_path)!r}, key=<redacted>)"

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """What a gRPC server listens with; ALPN is h2, TLS 1.2 or later."""
        return grpc.ssl_server_credentials([(self.key_pem, self.certificate_pem)])

    def ssl_context(self) -> ssl.SSLContext:
        """What the HTTP server listens with; TLS 1.2 or later."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate_path, self.key_path)
        except (OSError, ssl.SSLError) as error:
            raise BadCertificate(f"OpenSSL refuses {self.certificate_path} with {self.key_path}: {error}") from error
        return context


def load_server_tls(certificate_path: Path, key_path: Path) -> ServerTls:
    """Read a PEM certificate chain (leaf first) and its PEM key; raises BadCertificate naming the file at fault."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    certificate_pem = _read(certificate_path, "certificate")
    key_pem = _read(key_path, "TLS key")
    leaf = _certificates(certificate_pem, certificate_path)[0]
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadCertificate(f"{key_path} holds no unencrypted PEM private key") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise BadCertificate(f"the key in {key_path} does not belong to the certificate in {certificate_path}")
    return ServerTls(certificate_path, key_path, certificate_pem, key_pem)


def load_roots(certs_dir: Path | None) -> bytes | None:
    """The roots for calling peers, as one PEM text: the system's, plus every file of `certs_dir`.

    Every file there must be PEM, as in v1.5.11. None when there are no roots at all: gRPC then takes its built-in ones.
    gRPC's own `root_certificates` replaces the defaults, so the system's roots must be in the text.
    """
    extra = b"".join(_read_root(path) for path in _files(certs_dir)) if certs_dir is not None else b""
    return (system_roots() + extra) or None


def system_roots() -> bytes:
    """The roots that this machine believes, as PEM; SSL_CERT_FILE and SSL_CERT_DIR are honoured. May be empty."""
    places = ssl.get_default_verify_paths()
    if places.cafile is not None:
        return Path(places.cafile).read_bytes().rstrip() + b"\n"
    if places.capath is None:
        return b""
    return b"".join(
        path.read_bytes().rstrip() + b"\n" for path in sorted(Path(places.capath).glob("*.pem")) if path.is_file()
    )


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise BadCertificate(f"cannot list the certificate folder {folder}: {error.strerror}") from error


def _read_root(path: Path) -> bytes:
    pem = _read(path, "certificate")
    try:
        _certificates(pem, path)
    except BadCertificate as error:
        raise BadCertificate(str(error), hint="keep nothing but PEM certificates in the --certs-dir folder") from error
    return pem.rstrip() + b"\n"


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PEM_BYTES + 1)
    except OSError as error:
        raise BadCertificate(f"cannot read the {what} {path}: {error.strerror}") from error
    if len(data) > MAX_PEM_BYTES:
        raise BadCertificate(f"the {what} {path} is larger than {MAX_PEM_BYTES} bytes: it is no PEM file")
    return data


def _certificates(pem: bytes, path: Path) -> "list[x509.Certificate]":
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BadCertificate(f"{path} holds no PEM certificate") from error
