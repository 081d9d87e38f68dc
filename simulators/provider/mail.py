"""A provider's mail server (RFC 5321): it has every mail on disk before it answers 250."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections import Counter
from dataclasses import dataclass
from email import message_from_bytes
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from simulators.ledger import Ledger, LedgerError, instant
from simulators.provider.schedule import Schedule, seconds

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

__all__ = ["MailBehaviour", "MailManner", "MailServer"]


class MailManner(StrEnum):
    """A way to treat one mail, counted by its MAIL command."""

    ACCEPT = "accept"
    """250."""
    LATE = "late"
    """250 after some seconds: ``late:2.5``."""
    BUSY = "busy"
    """After the content: 451, or another code that begins with 4: ``busy:452``."""
    REFUSE = "refuse"
    """After the content: 554, or another code that begins with 5: ``refuse:550``."""
    GREYLIST = "greylist"
    """450 to the recipient."""
    NO_SUCH_BOX = "no-such-box"
    """550 to the recipient."""
    DROP_BEFORE = "drop-before"
    """The connection ends before any content was sent."""
    DROP_AFTER = "drop-after"
    """The mail is kept, but the connection ends without an answer."""


CODES = {MailManner.BUSY: "451", MailManner.REFUSE: "554"}


@dataclass(frozen=True, slots=True)
class MailBehaviour:
    """One treatment.

    Attributes:
        late_s: for `MailManner.LATE`.
        code: of the answer after the content.
    """

    manner: MailManner = MailManner.ACCEPT
    late_s: float = 0.0
    code: str = "250"

    @classmethod
    def parse(cls, text: str) -> MailBehaviour:
        """Read ``accept``, ``late:2.5``, ``busy:452``.

        Raises:
            ValueError: the text is none of these; the message lists them.
        """
        name, _, argument = text.partition(":")
        try:
            manner = MailManner(name)
        except ValueError:
            raise ValueError(f"{name!r} is no behaviour; there are: {', '.join(MailManner)}") from None
        if manner is MailManner.LATE:
            return cls(manner, late_s=seconds(text, argument))
        code = argument or CODES.get(manner, "250")
        if manner not in CODES and argument:
            raise ValueError(f"{text!r}: {name} takes no {argument!r}")
        if manner in CODES and not (code.isdecimal() and len(code) == 3 and code[0] == CODES[manner][0]):
            raise ValueError(f"{text!r}: write a code of three digits that begins with {CODES[manner][0]}")
        return cls(manner, code=code)


class MailServer:
    """Takes mails for any box.

    The ledger gets one ``mail`` line for each copy whose content arrived: its Message-ID, which copy it is, whether
    it was accepted, whether it came over TLS and from which user, and its octets (as text, each character one
    octet).

    Raises:
        LedgerError: the ledger is none of a mail server.
    """

    def __init__(
        self,
        ledger: Ledger,
        schedule: Schedule[MailBehaviour] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        users: dict[str, str] | None = None,
    ) -> None:
        """`tls`: offered with STARTTLS, or from the first octet where `implicit`; `users`: password by name."""
        self._ledger = ledger
        self._schedule = schedule or Schedule(MailBehaviour())
        self._tls, self._implicit, self._users = tls, implicit, users or {}
        self._arrived = 0
        self._copies: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.BaseTransport] = set()
        for line in ledger.lines:
            if line["event"] != "mail":
                raise LedgerError(f"{ledger.name}: no ledger of a mail server, it has a line {line['event']!r}")
            self._copies[line["message_id"]] = line["copy"]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """Listen; returns the address, with the real port when 0 was asked for.

        Raises:
            OSError: the address is taken or not ours.
        """
        from aiosmtpd.smtp import SMTP

        server = self

        class Conversation(SMTP):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                server._open.add(transport)
                super().connection_made(transport)

        loop = asyncio.get_running_loop()
        tls = self._tls if self._implicit else None
        made = await loop.create_server(lambda: Conversation(self, **self._options()), host, port, ssl=tls)
        self._servers.append(made)
        address = made.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for transport in self._open:
            transport.close()
        self._open.clear()
        await asyncio.sleep(0)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"hostname": "mail.provider.invalid", "enable_SMTPUTF8": True}
        if self._tls is not None and not self._implicit:
            options |= {"tls_context": self._tls, "require_starttls": True}
        if self._users:
            # That it is required is said at MAIL: aiosmtpd does not see TLS that was there from the beginning.
            options |= {"authenticator": self._authenticate, "auth_require_tls": "tls_context" in options}
        return options

    # ------------------------------------------------------------ what aiosmtpd calls

    def _authenticate(
        self, _server: SMTP, session: Session, _envelope: Envelope, _mechanism: str, login: LoginPassword
    ) -> AuthResult:
        from aiosmtpd.smtp import AuthResult

        name, password = login.login.decode(), login.password.decode()
        right = name in self._users and self._users[name] == password
        if right:
            session.user = name  # type: ignore[attr-defined]  # aiosmtpd lets a session carry what one likes
        return AuthResult(success=right, handled=False)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Begin a mail."""
        if self._users and getattr(session, "user", None) is None:
            return "530 5.7.0 log in first"
        self._arrived += 1
        session.behaviour = self._schedule.at(self._arrived)  # type: ignore[attr-defined]  # see _authenticate
        envelope.mail_from = address
        if session.behaviour.manner is MailManner.DROP_BEFORE:  # type: ignore[attr-defined]  # see _authenticate
            await self._drop(server)
        return "250 sender taken"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        manner = session.behaviour.manner  # type: ignore[attr-defined]  # see _authenticate
        if manner is MailManner.GREYLIST:
            return "450 4.2.0 come back later"
        if manner is MailManner.NO_SUCH_BOX:
            return "550 5.1.1 no such box"
        envelope.rcpt_tos.append(address)
        return "250 recipient taken"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail; on disk when this answers."""
        behaviour: MailBehaviour = session.behaviour  # type: ignore[attr-defined]  # see _authenticate
        octets = envelope.content if isinstance(envelope.content, bytes) else b""
        name = str(message_from_bytes(octets)["Message-ID"] or "")
        copy = self._copies[name] + 1
        self._ledger.write(
            {
                "event": "mail",
                "message_id": name,
                "copy": copy,
                "accepted": behaviour.manner not in CODES,
                "manner": behaviour.manner.value,
                "from": envelope.mail_from,
                "to": list(envelope.rcpt_tos),
                "tls": session.ssl is not None or self._implicit,
                "user": getattr(session, "user", None),
                "sha256": hashlib.sha256(octets).hexdigest(),
                "octets": octets.decode("latin-1"),
                "at": instant(),
            }
        )
        self._copies[name] = copy
        match behaviour.manner:
            case MailManner.DROP_AFTER:
                await self._drop(server)
            case MailManner.LATE:
                await asyncio.sleep(behaviour.late_s)
            case MailManner.BUSY:
                return f"{behaviour.code} 4.3.0 not now"
            case MailManner.REFUSE:
                return f"{behaviour.code} 5.7.1 not taken"
            case _:
                pass
        return f"250 2.0.0 kept as {self._arrived}"

    @staticmethod
    async def _drop(server: SMTP) -> None:
        assert isinstance(server.transport, asyncio.Transport)  # it just gave us a command
        server.transport.abort()
        await asyncio.Event().wait()  # the end of the connection cancels this
