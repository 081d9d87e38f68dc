"""Sending a transaction over HTTPS: one request at a time, and credit only for its own whole answer."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gateway.reporting.channels.base import Answer, Circumstances, Level, Outcome
from gateway.reporting.channels.fhir.address import check_address, check_protected
from gateway.reporting.channels.fhir.answer import Verdict, asked, judge
from gateway.reporting.channels.fhir.credentials import CredentialError, credentials
from gateway.reporting.channels.fhir.settings import FhirSettings

if TYPE_CHECKING:
    import httpx

__all__ = ["FhirSender", "client_for"]

FHIR_JSON = "application/fhir+json"


def client_for(settings: FhirSettings, circumstances: Circumstances) -> httpx.AsyncClient:
    """An HTTP client that trusts, shows and waits as the settings say, and follows no redirection.

    Raises:
        ValueError: certificates or keys cannot be used.
    """
    import httpx

    delivery = circumstances.delivery
    return httpx.AsyncClient(
        verify=_trust(settings, circumstances),
        timeout=httpx.Timeout(delivery.answer_timeout_s, connect=delivery.connect_timeout_s),
        trust_env=False,
        follow_redirects=False,
        headers={"Accept": FHIR_JSON, "Accept-Encoding": "identity", "User-Agent": "inr-gateway"},
        limits=httpx.Limits(max_connections=2, max_keepalive_connections=2, keepalive_expiry=5.0),
    )


def _trust(settings: FhirSettings, circumstances: Circumstances) -> ssl.SSLContext:
    if settings.ca is None and settings.client_certificate is None:
        return _trust_of_this_machine()
    secrets = circumstances.secrets
    ca = None if settings.ca is None else secrets.path(settings.ca)
    mine = None if settings.client_certificate is None else secrets.path(settings.client_certificate)
    try:
        context = ssl.create_default_context(cafile=ca)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"{ca}: no certificates of authorities: {error}; put a PEM file there") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if mine is not None:
        try:
            context.load_cert_chain(mine, password=_nobody_is_here_to_type)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ValueError(
                f"{mine}: no client certificate: {error}; put chain and private key in one PEM file"
            ) from None
    return context


def _nobody_is_here_to_type() -> str:
    """Without it OpenSSL would ask at the server's terminal, and wait."""
    raise ValueError("the private key wants a password; put it there without")


@lru_cache(maxsize=1)
def _trust_of_this_machine() -> ssl.SSLContext:
    """One for all destinations: reading the machine's authorities takes longer than a delivery."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class FhirSender:
    """A way to one FHIR server; its connection is kept between reports."""

    def __init__(self, address: str, settings: FhirSettings, circumstances: Circumstances) -> None:
        """Nothing is sent before `open`.

        Raises:
            ValueError: the address, a secret or a certificate cannot be used.
        """
        self._url = check_protected(check_address(address), allow_plain_http=settings.allow_plain_http)
        self._settings = settings
        self._circumstances = circumstances
        self._credentials = credentials(settings, circumstances.secrets, circumstances.clock)
        _trust(settings, circumstances)
        self._client: httpx.AsyncClient | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a client with credentials that have not expired."""
        return self._client is not None and self._credentials.ready

    async def open(self) -> Answer | None:
        """Have a client and credentials. The connection itself is made by the first request."""
        try:
            if self._client is None:
                self._client = client_for(self._settings, self._circumstances)
            if not self._credentials.ready:
                await self._credentials.obtain(self._client)
        except CredentialError as error:
            return self._not_sent(str(error), error.retry_after_s)
        except ValueError as error:
            return self._not_sent(str(error))
        return None

    async def send(self, octets: bytes, control_id: str) -> Answer:
        """Send one transaction and wait for its answer. Refused credentials are renewed once."""
        if self._client is None:
            return self._not_sent("the way was closed before the first octet left")
        answer, verdict = await self._exchange(self._client, octets, control_id)
        if verdict is not None and verdict.renew:
            try:
                may_try_again = self._credentials.forget()
                if may_try_again:
                    await self._credentials.obtain(self._client)
                    answer, _ = await self._exchange(self._client, octets, control_id)
            except (CredentialError, ValueError) as error:
                self._credentials.forget()
                return _with(answer, f"{answer.text}; {error}")
        return answer

    async def close(self) -> None:
        """Close the connection, if there is one. A token is kept until it expires."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _exchange(
        self, client: httpx.AsyncClient, octets: bytes, control_id: str
    ) -> tuple[Answer, Verdict | None]:
        import httpx

        delivery = self._circumstances.delivery
        headers = {
            **self._credentials.headers(),
            "Content-Type": FHIR_JSON,
            "Prefer": "return=minimal",
            "X-Request-Id": control_id,
        }
        hearing = _Hearing(self._url)
        try:
            async with (
                asyncio.timeout(delivery.connect_timeout_s + delivery.answer_timeout_s),
                client.stream("POST", self._url, content=octets, headers=headers) as response,
            ):
                await hearing.listen(response, delivery.answer_most_octets)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return self._not_sent(_cause(error, f"no connection within {delivery.connect_timeout_s:g} s")), None
        except (TimeoutError, httpx.TimeoutException):
            return hearing.unclear(f"no whole answer within {delivery.answer_timeout_s:g} s"), None
        except (httpx.HTTPError, httpx.StreamError) as error:
            return hearing.unclear(_cause(error, "the connection broke")), None
        if hearing.too_long:
            return hearing.unclear(f"the answer is longer than {delivery.answer_most_octets} octets"), None
        now = self._circumstances.clock.now()
        verdict = judge(hearing.status, hearing.headers, bytes(hearing.body), asked(octets), now)
        return hearing.answer(verdict), verdict

    def _not_sent(self, text: str, retry_after_s: float | None = None) -> Answer:
        return Answer(Outcome.NOT_SENT, None, b"", self._url, text, retry_after_s=retry_after_s)


class _Hearing:
    """What came of one answer, as far as it came."""

    def __init__(self, url: str) -> None:
        self.status = 0
        self.headers: httpx.Headers | dict[str, str] = {}
        self.body = bytearray()
        self.too_long = False
        self._head = b""
        self._peer = url
        self._certificate = ""

    async def listen(self, response: httpx.Response, most_octets: int) -> None:
        """Take head and body. The body is kept as it travelled: nothing was asked to be compressed."""
        extensions = response.extensions
        self.status, self.headers = response.status_code, response.headers
        version, reason = extensions.get("http_version", b"HTTP/1.1"), extensions.get("reason_phrase", b"")
        lines = [b"%s %d %s" % (version, self.status, reason)]
        lines += [b"%s: %s" % field for field in response.headers.raw]
        self._head = b"\r\n".join(lines) + b"\r\n\r\n"
        self._note_peer(extensions.get("network_stream"))
        async for piece in response.aiter_raw():
            self.body += piece
            if len(self.body) > most_octets:
                del self.body[most_octets:]
                self.too_long = True
                return

    def answer(self, verdict: Verdict) -> Answer:
        """The answer as it is stored."""
        return Answer(
            verdict.outcome,
            verdict.level,
            self._head + bytes(self.body),
            self._peer,
            verdict.text,
            self._certificate,
            verdict.retry_after_s,
        )

    def unclear(self, text: str) -> Answer:
        """No usable answer."""
        return self.answer(Verdict(Outcome.AMBIGUOUS, Level.SENT, text))

    def _note_peer(self, stream: Any) -> None:
        if stream is None:
            return
        address = stream.get_extra_info("server_addr")
        if address is not None:
            self._peer = f"{self._peer} ({address[0]}:{address[1]})"
        tls = stream.get_extra_info("ssl_object")
        der = None if tls is None else tls.getpeercert(binary_form=True)
        if der:
            self._certificate = hashlib.sha256(der).hexdigest()


def _cause(error: Exception, otherwise: str) -> str:
    """The words of the first cause: httpx wraps the system's own."""
    found: BaseException = error
    while (cause := found.__cause__ or found.__context__) is not None:
        found = cause
    words = str(found) or str(error)
    return words if words else otherwise


def _with(answer: Answer, text: str) -> Answer:
    return Answer(
        answer.outcome, answer.level, answer.evidence, answer.peer, text, answer.certificate, answer.retry_after_s
    )
