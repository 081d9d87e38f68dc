"""Posting a report, and what the answer proves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from gateway.reporting.channels.agreement import kept
from gateway.reporting.channels.base import Answer, Circumstances, Level, Outcome, SecretError
from gateway.reporting.channels.webhook.settings import WebhookSettings, check_address
from gateway.reporting.channels.webhook.signing import key, rightly_signed, signatures

if TYPE_CHECKING:
    import httpx

__all__ = ["WebhookSender"]

NOT_NOW = frozenset({408, 425, 429})
RETRY_AFTER_MOST_S = 86_400.0


class WebhookSender:
    """A client of one web service; its connections are kept between posts."""

    def __init__(self, address: str, settings: WebhookSettings, circumstances: Circumstances) -> None:
        """Raises ValueError when `address` is no web service's."""
        self._address = check_address(address)
        self._settings = settings
        self._circumstances = circumstances
        self._client: httpx.AsyncClient | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a client. It connects when it posts."""
        return self._client is not None

    async def open(self) -> Answer | None:
        """Make a client, unless there is one."""
        if self.ready:
            return None
        import httpx

        try:
            self._keys()
            trust = ssl.create_default_context(cafile=self._settings.ca)
        except (OSError, ValueError) as error:
            words = (
                f"{self._settings.ca}: no certificates that can be used" if isinstance(error, OSError) else error
            )
            return self._answer(Outcome.NOT_SENT, None, str(words))
        delivery = self._circumstances.delivery
        patience = httpx.Timeout(delivery.answer_timeout_s, connect=delivery.connect_timeout_s)
        # Not what the environment says of proxies and netrc: a report goes where its destination says.
        self._client = httpx.AsyncClient(verify=trust, timeout=patience, trust_env=False, follow_redirects=False)
        return None

    async def send(self, octets: bytes, control_id: str) -> Answer:
        """Post the report and read the answer."""
        import httpx

        client = self._client
        if client is None:
            return self._answer(Outcome.NOT_SENT, None, "not opened")
        patience_s = self._circumstances.delivery.answer_timeout_s
        try:
            keys = self._keys()
            request = client.build_request(
                "POST", self._address, content=octets, headers=self._headers(keys, octets, control_id)
            )
            async with asyncio.timeout(patience_s + self._circumstances.delivery.connect_timeout_s):
                said = await self._said(client, request)
        except SecretError as error:
            return self._answer(Outcome.NOT_SENT, None, str(error))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return self._answer(Outcome.NOT_SENT, None, f"cannot connect: {str(error) or type(error).__name__}")
        except (httpx.TimeoutException, TimeoutError):
            await self.close()
            return self._answer(Outcome.AMBIGUOUS, Level.SENT, f"no whole answer within {patience_s:g} s")
        except (httpx.HTTPError, OSError) as error:
            await self.close()
            text = f"the connection broke before the whole answer came ({type(error).__name__})"
            return self._answer(Outcome.AMBIGUOUS, Level.SENT, text)
        return self._judged(said, keys, control_id)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _keys(self) -> list[bytes]:
        """Raises SecretError."""
        found = []
        for name in self._settings.keys:
            try:
                found.append(key(self._circumstances.secrets.read(name)))
            except SecretError:
                raise
            except ValueError as error:
                raise SecretError(f"secret {name}: cannot sign: {error}; put whsec_ and base64 there") from None
        return found

    def _headers(self, keys: list[bytes], octets: bytes, control_id: str) -> dict[str, str]:
        timestamp = str(int(time.time()))  # not the gateway's clock, which a rig sets: the far end compares it
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "inr-gateway",
            "Idempotency-Key": control_id,
            "webhook-id": control_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signatures(keys, control_id, timestamp, octets),
        }
        if self._settings.token is not None:
            token = self._circumstances.secrets.read(self._settings.token).decode("latin-1")
            headers["Authorization"] = f"Bearer {token}"
        return headers

    async def _said(self, client: httpx.AsyncClient, request: httpx.Request) -> _Said:
        most = self._circumstances.delivery.answer_most_octets
        response = await client.send(request, stream=True)
        try:
            stream = response.extensions.get("network_stream")
            tls = None if stream is None else stream.get_extra_info("ssl_object")
            certificate = None if tls is None else tls.getpeercert(binary_form=True)
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > most:
                    break
            digest = "" if certificate is None else hashlib.sha256(certificate).hexdigest()
            whole = len(body) <= most
            return _Said(response.status_code, response.headers, bytes(body[:most]), whole, digest)
        finally:
            await response.aclose()

    def _judged(self, said: _Said, keys: list[bytes], control_id: str) -> Answer:
        if 200 <= said.status < 300:
            outcome, level, text = self._taken(said, keys, control_id)
        elif said.status in NOT_NOW or said.status >= 500:
            outcome, level, text = Outcome.POSTPONED, Level.SENT, f"the service cannot take it now ({said.status})"
        elif said.status in (401, 403):
            text = f"the service does not take our key or token ({said.status})"
            outcome, level = Outcome.REFUSED, Level.SENT
        else:
            outcome, level, text = Outcome.REFUSED, Level.SENT, f"the service refuses it ({said.status})"
        after_s = self._retry_after_s(said.fields) if outcome is Outcome.POSTPONED else None
        evidence = f"HTTP {said.status}\n\n".encode() + said.body
        return Answer(outcome, level, evidence, self._address, text, said.certificate, after_s)

    def _taken(self, said: _Said, keys: list[bytes], control_id: str) -> tuple[Outcome, Level, str]:
        """What a 2xx proves; see the channel's docstring."""
        named = _named(said.body) if said.whole else None
        if named is not None and named != control_id:
            text = "the answer names another report and is not counted"
            return Outcome.AMBIGUOUS, Level.SENT, text
        signed = "webhook-signature" in said.fields
        right = signed and rightly_signed(keys, control_id, said.fields, said.body, time.time())
        doubt = ""
        if named is None:
            doubt = "no word that the application has it"
        elif signed and not right:
            doubt = "its receipt is wrongly signed"
        elif self._settings.signed_receipts and not signed:
            doubt = "its receipt is not signed"
        if not doubt:
            return Outcome.DELIVERED, Level.DELIVERED, ""
        outcome, text = kept(self._settings.accepted_is_enough, f"the service answered {said.status}; {doubt}")
        return outcome, Level.ACCEPTED, text

    def _retry_after_s(self, fields: Mapping[str, str]) -> float | None:
        """Retry-After in seconds or as a date (RFC 9110 chapter 10.2.3), a day at most."""
        text = fields.get("retry-after", "").strip()
        if text.isascii() and text.isdecimal():
            return min(float(text[:9]), RETRY_AFTER_MOST_S)
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
        return min(max(seconds, 0.0), RETRY_AFTER_MOST_S)

    def _answer(self, outcome: Outcome, level: Level | None, text: str) -> Answer:
        return Answer(outcome, level, b"", self._address, text)


class _Said(NamedTuple):
    """An answer as far as it was read."""

    status: int
    fields: Mapping[str, str]
    body: bytes
    whole: bool
    certificate: str


def _named(body: bytes) -> str | None:
    """What the member ``received`` of an answer says; None where there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = content.get("received") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None
