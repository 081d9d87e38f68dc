"""TLS towards an MLLP receiver: what we trust and show, and plain words for what goes wrong.

Sources: HL7 "Transport Specification: MLLP, Release 1" leaves security to the layer below; IHE ITI TF-2 3.19 wants
TLS with certificates on both sides. Alerts: RFC 5246 7.2, RFC 8446 6.2.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from gateway.reporting.channels.mllp_settings import MllpSettings
from gateway.reporting.secrets import Secrets

__all__ = ["Tls"]

EXPIRED, NOT_YET = 10, 9
UNKNOWN_AUTHORITY = frozenset({2, 7, 18, 19, 20, 21, 27})
WRONG_NAME = frozenset({62, 64})
"""X509_V_ERR_... of OpenSSL."""
OF_OUR_CERTIFICATE = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
)
"""Alerts by which a receiver refuses the certificate of its client, or that there is none."""
OF_VERSIONS = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION", "VERSION_TOO_LOW")
ENDED = (
    "the receiver ended the connection during the TLS handshake; does it speak TLS there, and does it take our"
    " certificate (setting client_certificate)?"
)


class _Stamp(NamedTuple):
    """A file as it was when it was read, so that a new one holds with the next connection."""

    path: Path
    modified_ns: int
    size: int


class Tls:
    """How TLS is spoken with one receiver."""

    def __init__(self, host: str, settings: MllpSettings, secrets: Secrets) -> None:
        """Args: host: as in the address; the receiver's certificate must name it unless settings say otherwise."""
        self._settings = settings
        self._secrets = secrets
        self.server_name = settings.server_name or host

    def context(self) -> ssl.SSLContext:
        """What the next connection uses; the files are read again when they have changed.

        Raises:
            ValueError: a file cannot be used; the message names it and the remedy.
        """
        settings = self._settings
        return _context(
            self._stamp(settings.ca),
            self._stamp(settings.client_certificate),
            self._stamp(settings.client_key),
            settings.minimum_tls,
        )

    def words(self, error: BaseException) -> str:
        """Why TLS failed, with the file or setting in question and the remedy; empty when TLS is not why."""
        settings = self._settings
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._of_their_certificate(error)
        if not isinstance(error, ssl.SSLError):
            return ENDED if isinstance(error, ConnectionResetError | ConnectionAbortedError) else ""
        reason = error.reason or ""
        if any(name in reason for name in OF_OUR_CERTIFICATE) or reason.endswith("HANDSHAKE_FAILURE"):
            return self._of_our_certificate(reason)
        if any(name in reason for name in OF_VERSIONS):
            return f"the receiver speaks no TLS {settings.minimum_tls} (setting minimum_tls); it must be updated"
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
            return "what answers is no TLS; write the address as mllp:// if the line is protected otherwise"
        if "EOF" in reason or isinstance(error, ssl.SSLEOFError):
            return ENDED
        return f"TLS failed: {reason or error}"

    def _of_their_certificate(self, error: ssl.SSLCertVerificationError) -> str:
        ca = self._settings.ca
        trusted = f"the secret {ca} (setting ca)" if ca else "what this machine trusts"
        if error.verify_code == EXPIRED:
            text = f"the receiver's certificate, or its authority's in {trusted}, has expired"
            return f"{text}; have it renewed there, and check this machine's clock"
        if error.verify_code == NOT_YET:
            return "the receiver's certificate is not valid yet; check this machine's clock and the receiver's"
        if error.verify_code in UNKNOWN_AUTHORITY:
            remedy = "add it to that file" if ca else "name a file with it in the setting ca"
            return f"the authority that signed the receiver's certificate is not in {trusted}; {remedy}"
        if error.verify_code in WRONG_NAME:
            return (
                f"the receiver's certificate does not name {self.server_name}; correct the address, or give the"
                " name that it has in the setting server_name"
            )
        return f"the receiver's certificate does not pass: {error.verify_message}; it must be replaced there"

    def _of_our_certificate(self, reason: str) -> str:
        name = self._settings.client_certificate
        alert = reason.partition("ALERT_")[2].lower().replace("_", " ") or reason
        if name is None:
            return f"the receiver wants a certificate of us ({alert}); name one in the setting client_certificate"
        return (
            f"the receiver refuses our certificate, the secret {name} ({alert}); have it or its authority trusted"
            " there, or put a new one into that file (setting client_certificate)"
        )

    def _stamp(self, name: str | None) -> _Stamp | None:
        if name is None:
            return None
        path = self._secrets.path(name)
        found = path.stat()
        return _Stamp(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=1024)
def _context(ca: _Stamp | None, certificate: _Stamp | None, key: _Stamp | None, minimum_tls: str) -> ssl.SSLContext:
    """One for all connections with the same files: reading the machine's authorities takes far longer than use."""
    try:
        context = ssl.create_default_context(cafile=None if ca is None else ca.path)
    except (ssl.SSLError, OSError):
        assert ca is not None
        raise ValueError(f"{ca.path}: no certificates of authorities (setting ca); put them there in PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if minimum_tls == "1.3" else ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        _show(context, certificate.path, None if key is None else key.path)
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    files = f"{certificate} (setting client_certificate)" + (f" with {key} (setting client_key)" if key else "")
    asked = []

    def nobody_is_here_to_type() -> bytes:
        asked.append(True)
        return b""

    try:
        context.load_cert_chain(certificate, key, password=nobody_is_here_to_type)
    except (ssl.SSLError, OSError, ValueError) as error:
        if asked:
            raise ValueError(
                f"{key or certificate}: the private key wants a password; put it there without"
            ) from None
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(
                f"{files}: key and certificate do not belong together; put the right ones there"
            ) from None
        raise ValueError(f"{files}: no certificate with its private key; put both there in PEM") from None
