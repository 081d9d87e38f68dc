"""A certificate authority of the test's own, and a server certificate for localhost by it."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificates:
    """Files in a folder.

    Attributes:
        authority: the authority's certificate, PEM.
        fingerprint: SHA-256 of the server's certificate, hexadecimal.
    """

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        self._folder = folder
        self._own = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        root = (
            _begun(self._name, self._name, self._own.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs=True), critical=True)
            .sign(self._own, hashes.SHA256())
        )
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self.issue("server", "localhost", "127.0.0.1")
        certificate = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
        self.fingerprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def issue(self, stem: str, *names: str, begins_day: int = -1, ends_day: int = 1) -> tuple[Path, Path]:
        """A certificate and its key: ``<stem>.pem`` and ``<stem>.key``; days count from today."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else stem)])
        begun = _begun(subject, self._name, key.public_key(), begins_day, ends_day).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._own.public_key()), critical=False
        )
        if names:
            begun = begun.add_extension(
                x509.SubjectAlternativeName([_named(name) for name in names]), critical=False
            )
        certificate = begun.sign(self._own, hashes.SHA256())
        paths = self._folder / f"{stem}.pem", self._folder / f"{stem}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def server(self, stem: str = "server") -> ssl.SSLContext:
        """What a server on localhost uses."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        return context


def _named(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdecimal() else x509.DNSName(name)


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begins_day: int = -1,
    ends_day: int = 1,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins_day))
        .not_valid_after(now + timedelta(days=ends_day))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
