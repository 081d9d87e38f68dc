"""Handing a notice to a mail server (RFC 5321; RFC 3207 STARTTLS; RFC 8314 TLS from the first octet)."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from contextlib import suppress

from gateway.reporting.channels.aside import aside
from gateway.reporting.channels.base import Answer, Circumstances, Level, Outcome, SecretError
from gateway.reporting.channels.email.settings import EmailSettings, relay

__all__ = ["EmailSender"]


class EmailSender:
    """A connection to one mail server for one mail. The conversation runs in a thread of its own."""

    def __init__(self, address: str, settings: EmailSettings, circumstances: Circumstances) -> None:
        """Raises ValueError when `address` is no ``smtp://`` or ``smtps://`` server."""
        self._relay = relay(address)
        self._settings = settings
        self._circumstances = circumstances
        self._server: smtplib.SMTP | None = None
        self._certificate = ""

    @property
    def ready(self) -> bool:
        """Whether a connection waits for its mail."""
        return self._server is not None

    async def open(self) -> Answer | None:
        """Connect, secure, log in."""
        if self._server is not None:
            return None
        try:
            self._server = await aside(self._connect)
        except (_UnfitError, SecretError) as error:
            return self._answer(Outcome.NOT_SENT, None, b"", str(error))
        except smtplib.SMTPAuthenticationError as error:
            text = f"the server does not take our name and password ({error.smtp_code})"
            return self._answer(Outcome.NOT_SENT, None, b"", text)
        except smtplib.SMTPResponseException as error:
            return self._answer(Outcome.NOT_SENT, None, b"", f"the server says {_said(error)}")
        except OSError as error:  # smtplib's own among them
            words = error.strerror or str(error) or type(error).__name__
            return self._answer(Outcome.NOT_SENT, None, b"", f"cannot connect: {words}")
        return None

    async def send(self, octets: bytes, control_id: str) -> Answer:  # noqa: ARG002 - it stands in the Message-ID
        """Hand over the mail, and end the connection."""
        server, self._server = self._server, None
        if server is None:
            return self._answer(
                Outcome.NOT_SENT, None, b"", "the connection was closed before the first octet left"
            )
        return await aside(self._hand_over, server, octets)

    async def close(self) -> None:
        """End the connection, if there is one."""
        server, self._server = self._server, None
        if server is not None:
            await aside(_end, server)

    def _connect(self) -> smtplib.SMTP:
        to, delivery = self._relay, self._circumstances.delivery
        trust = self._trust()
        if to.implicit:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                to.host, to.port, timeout=delivery.connect_timeout_s, context=trust
            )
        else:
            server = smtplib.SMTP(to.host, to.port, timeout=delivery.connect_timeout_s)
        try:
            if not to.implicit:
                self._secure(server, trust)
            self._certificate = _certificate(server)
            if self._settings.user is not None and self._settings.password is not None:
                password = self._circumstances.secrets.read(self._settings.password).decode()
                server.login(self._settings.user, password)
            server.ehlo_or_helo_if_needed()
            if server.sock is not None:
                server.sock.settimeout(delivery.answer_timeout_s)
        except BaseException:
            server.close()
            raise
        return server

    def _secure(self, server: smtplib.SMTP, trust: ssl.SSLContext) -> None:
        server.ehlo_or_helo_if_needed()
        if self._relay.may_be_plain(self._settings):
            return
        if not server.has_extn("starttls"):
            raise _UnfitError("the server offers no STARTTLS, and nothing is sent in the clear; use smtps://")
        server.starttls(context=trust)

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._settings.ca)
        except (OSError, ValueError):
            raise _UnfitError(f"{self._settings.ca}: no certificates that can be used") from None

    def _hand_over(self, server: smtplib.SMTP, octets: bytes) -> Answer:
        """One mail transaction. Before the content leaves, nothing has been sent; after it, only 250 proves it."""
        content_leaves = False
        try:
            code, words = server.mail(self._settings.sender)
            if code != 250:
                return self._not_taken(code, words, "the sender")
            for box in self._settings.to:
                code, words = server.rcpt(box)
                if code not in (250, 251):
                    return self._not_taken(code, words, "the recipient")
            content_leaves = True
            code, words = server.data(octets)
            if code != 250:
                return self._not_taken(code, words, "the mail")
            text = "the mail server has it; whether anybody reads it, it does not say"
            return self._answer(Outcome.ACCEPTED, Level.SENT, f"{code} ".encode() + words, text)
        except smtplib.SMTPDataError as error:  # to the command DATA: no content has left
            return self._not_taken(error.smtp_code, _octets(error.smtp_error), "the mail")
        except OSError as error:
            text = f"the connection broke ({type(error).__name__})"
            outcome = Outcome.AMBIGUOUS if content_leaves else Outcome.NOT_SENT
            return self._answer(outcome, None, b"", text)
        finally:
            _end(server)

    def _not_taken(self, code: int, words: bytes, what: str) -> Answer:
        """4yz may go away by itself, 5yz needs a person (RFC 5321 chapter 4.2.1). -1: the connection ended."""
        if code < 0:
            return self._answer(Outcome.NOT_SENT, None, b"", "the connection broke before the mail left")
        outcome = Outcome.POSTPONED if 400 <= code < 500 else Outcome.REFUSED
        text = f"the server does not take {what}: {code} {words.decode('utf-8', 'replace')}"
        return self._answer(outcome, None, b"", text)

    def _answer(self, outcome: Outcome, level: Level | None, evidence: bytes, text: str) -> Answer:
        peer = f"{self._relay.host}:{self._relay.port}"
        most = self._circumstances.delivery.answer_most_octets
        return Answer(outcome, level, evidence[:most], peer, text, self._certificate)


class _UnfitError(Exception):
    """The server cannot be used as it is."""


def _certificate(server: smtplib.SMTP) -> str:
    found = server.sock.getpeercert(binary_form=True) if isinstance(server.sock, ssl.SSLSocket) else None
    return "" if found is None else hashlib.sha256(found).hexdigest()


def _end(server: smtplib.SMTP) -> None:
    if server.sock is not None:
        with suppress(OSError):
            server.sock.settimeout(2)
    with suppress(OSError):
        server.quit()
    server.close()


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_octets(error.smtp_error).decode('utf-8', 'replace')}"


def _octets(words: bytes | str) -> bytes:
    return words if isinstance(words, bytes) else words.encode()
