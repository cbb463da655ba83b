"""TLS keys that nobody can use here: each is refused by name, at the start and when it is renewed."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from drand.net.errors import BadCertificate
from drand.net.tls import load_server_tls
from tests.support.authority import Authority

# openssl ecparam -name secp112r1 -genkey -noout; openssl req -x509 -subj /CN=a.example
UNSUPPORTED_KEY = """-----BEGIN EC PRIVATE KEY-----
MD4CAQEEDs4xfxh+eAdgUhSxSnjAoAcGBSuBBAAGoSADHgAEvof1ze46oGNDjztO
wuiVkC9f/z6wo7IF59qB8A==
-----END EC PRIVATE KEY-----
"""
UNSUPPORTED_CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBMjCB/qADAgECAhQm+Z5b5b7+ex+0jHyqoNdsQ266PjAKBggqhkjOPQQDAjAU
MRIwEAYDVQQDDAlhLmV4YW1wbGUwIBcNMjYxMTI2MjAzMDE0WhgPMjEyNjExMDIy
MDMwMTRaMBQxEjAQBgNVBAMMCWEuZXhhbXBsZTAyMBAGByqGSM49AgEGBSuBBAAG
Ax4ABL6H9c3uOqBjQ487TsLolZAvX/8+sKOyBefagfCjUzBRMB0GA1UdDgQWBBSx
+1qONxEa4MpbxKcy+xS5lLoULDAfBgNVHSMEGDAWgBSx+1qONxEa4MpbxKcy+xS5
lLoULDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCAyMAMCACDhA2RKrNLOtX
6vnKuVQZAg48PRs20pRjahhhho7Ytg==
-----END CERTIFICATE-----
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_key_of_a_kind_that_is_not_supported_is_named(authority: Authority):
    certificate, key = authority.issue("a.example")
    key.write_text(UNSUPPORTED_KEY)
    with pytest.raises(BadCertificate, match=r"a\.example\.key holds a key of a kind that is not supported") as caught:
        load_server_tls(certificate, key)
    assert "P-256" in caught.value.advice


def test_a_certificate_for_a_key_that_is_not_supported_is_named(authority: Authority):
    certificate, key = authority.issue("a.example")
    certificate.write_text(UNSUPPORTED_CERTIFICATE)
    with pytest.raises(BadCertificate, match=r"the certificate in .*a\.example\.pem is for a key .* not supported"):
        load_server_tls(certificate, key)


def test_a_certificate_for_a_key_that_is_no_point_is_named(authority: Authority):
    certificate, key = authority.issue("a.example")
    whole = x509.load_pem_x509_certificate(certificate.read_bytes())
    der = whole.public_bytes(Encoding.DER)
    point = whole.public_key().public_numbers().x.to_bytes(32, "big")  # type: ignore[union-attr]
    spoiled = x509.load_der_x509_certificate(der.replace(point, bytes(31) + b"\x05"))
    certificate.write_bytes(spoiled.public_bytes(Encoding.PEM))
    with pytest.raises(BadCertificate, match=r"the certificate in .*a\.example\.pem is for a key that is damaged"):
        load_server_tls(certificate, key)


def test_a_renewal_that_cannot_be_used_leaves_the_old_pair_in_use(authority: Authority):
    certificate, key = authority.issue("a.example")
    tls = load_server_tls(certificate, key)
    whole = key.read_bytes()
    key.write_text(UNSUPPORTED_KEY)
    for _ in range(2):
        with pytest.raises(BadCertificate, match="not supported"):
            tls.refresh()
    key.write_bytes(whole)
    assert tls.refresh()
