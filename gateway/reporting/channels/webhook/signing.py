"""Signatures of posts and of their answers, as in Standard Webhooks 1.0.0. Pure.

Signed is ``id.timestamp.body`` with HMAC-SHA256; the header carries ``v1,`` and base64, one for each key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

__all__ = ["KEY_LEAST_OCTETS", "key", "rightly_signed", "signatures"]

KEY_LEAST_OCTETS = 24
PREFIX = b"whsec_"


def key(secret: bytes) -> bytes:
    """The key in a secret: ``whsec_`` and base64, or the octets themselves.

    Raises:
        ValueError: it is too short, or no base64.
    """
    found = secret.strip()
    if found.startswith(PREFIX):
        try:
            found = base64.b64decode(found.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError("after whsec_ it is no base64") from None
    if len(found) < KEY_LEAST_OCTETS:
        raise ValueError(f"it has fewer than {KEY_LEAST_OCTETS} octets")
    return found


def signatures(keys: Sequence[bytes], name: str, timestamp: str, body: bytes) -> str:
    """The value of the header ``webhook-signature``."""
    return " ".join(_signature(each, name, timestamp, body) for each in keys)


def rightly_signed(
    keys: Sequence[bytes],
    name: str,
    fields: Mapping[str, str],
    body: bytes,
    now_s: float,
    tolerance_s: float = 300.0,
) -> bool:
    """Whether an answer's headers hold a signature by one of the keys over our id, its time and its content."""
    timestamp = fields.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 16):
        return False
    if abs(now_s - int(timestamp)) > tolerance_s:
        return False
    given = fields.get("webhook-signature", "").encode("latin-1", "replace").split(b" ")
    wanted = [_signature(each, name, timestamp, body).encode() for each in keys]
    return any(hmac.compare_digest(one, other) for one in wanted for other in given)


def _signature(secret: bytes, name: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(secret, f"{name}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")
