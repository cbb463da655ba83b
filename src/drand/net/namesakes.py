"""Trusted certificates of one and the same name: which of them a peer shows is found out before gRPC calls it.

gRPC's TLS looks for a certificate's issuer by name, and takes the first of that name whose key is not named otherwise.
Go's generator of self-signed certificates calls all of them "O=Acme Co" and names no key, so of a folder of those one
alone would ever be believed; Go itself tries them all. Where roots have no such namesakes, nothing here is done.
"""

import asyncio
import ssl
from collections import defaultdict
from functools import cached_property

from drand.model.group import Peer
from drand.net.addresses import parse_host_port
from drand.net.errors import PeerUnreachable
from drand.net.grpc_reasons import plain_reason
from drand.net.tls import PEM_END, system_roots

LOOK_S = 5.0  # how long a peer may take to show its certificate


class Roots:
    """The roots that peers are checked against (PEM; None: gRPC's built-in ones), and the namesakes among them."""

    def __init__(self, pem: bytes | None) -> None:
        self.pem = pem

    @cached_property
    def namesakes(self) -> dict[bytes, bytes]:
        """The PEM by the DER of certificates whose subject is another one's too. The system's are not looked at."""
        added = (self.pem or b"").removeprefix(system_roots())
        if added.count(PEM_END) < 2:
            return {}
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        by_subject = defaultdict(set)
        for certificate in x509.load_pem_x509_certificates(added):
            by_subject[certificate.subject.public_bytes()].add(certificate)
        several = [certificate for group in by_subject.values() if len(group) > 1 for certificate in group]
        return {one.public_bytes(Encoding.DER): one.public_bytes(Encoding.PEM) for one in several}

    @cached_property
    def _without_namesakes(self) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        system = system_roots()
        added = x509.load_pem_x509_certificates((self.pem or b"").removeprefix(system))
        encoded = [(one.public_bytes(Encoding.DER), one.public_bytes(Encoding.PEM)) for one in added]
        return system + b"".join(pem for der, pem in encoded if der not in self.namesakes)

    async def for_peer(self, peer: Peer) -> bytes | None:
        """The roots for calling `peer`: of the namesakes the one that it shows now, which the call then checks.

        raises  PeerUnreachable when there are namesakes and it shows no certificate
        """
        if not self.namesakes:
            return self.pem
        own = self.namesakes.get(await _shown_by(peer))
        return self._without_namesakes + own if own is not None else self.pem


async def _shown_by(peer: Peer) -> bytes:
    """The certificate that a peer shows, as DER, checked in no way. Raises PeerUnreachable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is said or heard on this connection
    context.set_alpn_protocols(["h2"])
    address = parse_host_port(peer.address)
    try:
        async with asyncio.timeout(LOOK_S):
            _, writer = await asyncio.open_connection(
                address.host, address.port, ssl=context, server_hostname=address.host
            )
    except TimeoutError:
        raise PeerUnreachable(f"{peer.address} did not show its certificate in time") from None
    except UnicodeError:
        raise PeerUnreachable(f"{peer.address} is unreachable: its host is no name") from None
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError)  # asyncio's words for it differ from the system's
        reason, hint = plain_reason("Connection refused" if refused else error.strerror or str(error))
        raise PeerUnreachable(f"{peer.address} is unreachable: {reason}", hint=hint) from error
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown or b""
