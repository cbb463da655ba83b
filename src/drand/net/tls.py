"""Certificates: ours, shown to callers, and the roots that we believe when we call."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc

from drand.net.errors import BadCertificate

if TYPE_CHECKING:
    from cryptography import x509  # three megabytes, imported by those who do have certificates

MAX_PEM_BYTES = 1 << 20
PEM_END = b"-----END CERTIFICATE-----"
OTHER_KEY = "have a certificate issued for a key on P-256, or for an RSA key"


_Pair: TypeAlias = tuple[bytes, bytes]  # certificate chain, key: PEM
_Stamp: TypeAlias = tuple[tuple[int, int, int], ...]  # inode, size, time of change: of either file


class ServerTls:
    """A certificate chain and its key, known to fit each other, and read again when their files have changed.

    Whoever listens with it goes on listening: new connections get the new certificate, those that are open keep theirs.
    """

    def __init__(self, certificate_path: Path, key_path: Path) -> None:
        """Reads both files; raises BadCertificate naming the one at fault."""
        self.certificate_path = certificate_path
        self.key_path = key_path
        self._stamp = self._stamped()
        self._pair = _read_pair(certificate_path, key_path)
        self._contexts: list[ssl.SSLContext] = []

    def __repr__(self) -> str:
        return f"ServerTls(certificate_path={str(self.certificate_path)!r}, key=<redacted>)"

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """What a gRPC server listens with; ALPN is h2, TLS 1.2 or later."""
        shown = self._pair

        def fetch() -> grpc.ServerCertificateConfiguration:
            """What a handshake asks for, in a thread of gRPC's."""
            nonlocal shown
            if shown is self._pair:
                return None  # type: ignore[return-value]  # nothing new, says gRPC's own description
            shown = self._pair
            return _grpc_configuration(shown)

        return grpc.dynamic_ssl_server_credentials(_grpc_configuration(shown), fetch)

    def ssl_context(self) -> ssl.SSLContext:
        """What the HTTP server listens with; TLS 1.2 or later. Raises BadCertificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._load_into(context)
        self._contexts.append(context)
        return context

    def refresh(self) -> bool:
        """Read the files again if they have changed; True when they had.

        raises  BadCertificate when they are no pair now (one of two was replaced yet, say); the old ones stay in use,
                and the next call looks again
        """
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        pair = _read_pair(self.certificate_path, self.key_path)
        self._load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # OpenSSL's opinion, before the one in use is touched
        for context in self._contexts:
            self._load_into(context)
        self._stamp, self._pair = stamp, pair
        return True

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self.certificate_path, self.key_path)
        except (OSError, ssl.SSLError) as error:
            what = f"{self.certificate_path} with {self.key_path}"
            raise BadCertificate(f"OpenSSL refuses {what}: {error}") from error

    def _stamped(self) -> _Stamp:
        """Changes whenever one of the files is replaced or written; follows links, which is how certbot renews."""
        stamps = []
        for path in (self.certificate_path, self.key_path):
            try:
                found = path.stat()
            except OSError:
                stamps.append((0, 0, 0))  # reading it says why
            else:
                stamps.append((found.st_ino, found.st_size, found.st_mtime_ns))
        return tuple(stamps)


def load_server_tls(certificate_path: Path, key_path: Path) -> ServerTls:
    """Read a PEM certificate chain (leaf first) and its PEM key; raises BadCertificate naming the file at fault."""
    return ServerTls(certificate_path, key_path)


def _grpc_configuration(pair: _Pair) -> grpc.ServerCertificateConfiguration:
    certificate_pem, key_pem = pair
    return grpc.ssl_server_certificate_configuration([(key_pem, certificate_pem)])


def _read_pair(certificate_path: Path, key_path: Path) -> _Pair:
    certificate_pem = _read(certificate_path, "certificate")
    key_pem = _read(key_path, "TLS key")
    leaf = _certificates(certificate_pem, certificate_path)[0]
    private = _public_half(key_pem, key_path)
    if _public_key(leaf, certificate_path) != private:
        raise BadCertificate(f"the key in {key_path} does not belong to the certificate in {certificate_path}")
    return certificate_pem, key_pem


def _public_half(key_pem: bytes, path: Path) -> bytes:
    """The public key of a PEM private key, DER; raises BadCertificate."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        key = load_pem_private_key(key_pem, password=None)
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UnsupportedAlgorithm as error:
        raise BadCertificate(f"{path} holds a key of a kind that is not supported: {error}", hint=OTHER_KEY) from error
    except (ValueError, TypeError) as error:
        raise BadCertificate(f"{path} holds no unencrypted PEM private key") from error


def _public_key(leaf: "x509.Certificate", path: Path) -> bytes:
    """The public key in a certificate, DER; raises BadCertificate."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        return leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (UnsupportedAlgorithm, ValueError) as error:
        what = f"the certificate in {path} is for a key that is damaged or of a kind that is not supported"
        raise BadCertificate(f"{what}: {error}", hint=OTHER_KEY) from error


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
