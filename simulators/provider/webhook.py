"""A provider's web service for signed reports (signatures as in Standard Webhooks).

Each post is on disk before it is answered. The signature is checked over ``id.timestamp.body`` with HMAC-SHA256; a
post that lacks a right one gets 401.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from simulators.ledger import Ledger, LedgerError, instant
from simulators.provider.http import Broken, HttpServer, Reply, Request
from simulators.provider.schedule import Schedule, seconds

__all__ = ["PostBehaviour", "PostManner", "PostServer", "signature"]

TOLERANCE_S = 300.0


class PostManner(StrEnum):
    """A way to answer one post."""

    ECHO = "echo"
    """200 with ``{"received": ID}``, signed."""
    UNSIGNED = "unsigned"
    """The same without a signature."""
    FORGED = "forged"
    """The same with a signature that is wrong."""
    PLAIN = "plain"
    """202 without content."""
    WRONG_ECHO = "wrong-echo"
    """200 that names another id."""
    LATE = "late"
    """`ECHO` after some seconds: ``late:2.5``."""
    STATUS = "status"
    """This status, and Retry-After if given: ``status:503``, ``status:429:7``. The post is not kept."""
    DROP = "drop"
    """The post is kept, but the connection ends without an answer."""
    HALF = "half"
    """The first half of an answer, then the connection ends."""
    ENDLESS = "endless"
    """An answer of a megabyte."""


@dataclass(frozen=True, slots=True)
class PostBehaviour:
    """One answer.

    Attributes:
        late_s: for `PostManner.LATE`.
        status: for `PostManner.STATUS`.
        retry_after: what stands in the header of that name; empty: none.
    """

    manner: PostManner = PostManner.ECHO
    late_s: float = 0.0
    status: int = 200
    retry_after: str = ""

    @classmethod
    def parse(cls, text: str) -> PostBehaviour:
        """Read ``echo``, ``late:2.5``, ``status:429:7``.

        Raises:
            ValueError: the text is none of these; the message lists them.
        """
        name, _, argument = text.partition(":")
        try:
            manner = PostManner(name)
        except ValueError:
            raise ValueError(f"{name!r} is no behaviour; there are: {', '.join(PostManner)}") from None
        if manner is PostManner.LATE:
            return cls(manner, late_s=seconds(text, argument))
        if manner is PostManner.STATUS:
            code, _, after = argument.partition(":")
            if not (code.isdecimal() and 200 <= int(code) <= 599):
                raise ValueError(
                    f"{text!r}: write status:CODE or status:CODE:RETRY-AFTER, for example status:503:7"
                )
            return cls(manner, status=int(code), retry_after=after)
        if argument:
            raise ValueError(f"{text!r}: {name} takes no {argument!r}; only late:SECONDS and status:CODE do")
        return cls(manner)


class PostServer(HttpServer):
    """Takes posts at any path.

    The ledger gets one ``post`` line for each: its webhook-id, which copy it is, whether it was kept, whether its
    octets are those of the first kept copy, and its octets (as text, each character one octet). A post without a
    right signature gets an ``unsigned`` line.

    Args:
        keys: any of them may have signed; answers are signed with all. Empty: nothing is checked or signed.

    Raises:
        LedgerError: the ledger is none of a web service.
    """

    def __init__(
        self,
        ledger: Ledger,
        schedule: Schedule[PostBehaviour] | None = None,
        *,
        keys: tuple[bytes, ...] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls)
        self._ledger = ledger
        self._schedule = schedule or Schedule(PostBehaviour())
        self._keys = keys
        self._arrived = 0
        self._copies: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        for line in ledger.lines:
            if line["event"] not in ("post", "unsigned"):
                raise LedgerError(f"{ledger.name}: no ledger of a web service, it has a line {line['event']!r}")
            if line["event"] == "post":
                self._copies[line["id"]] = line["copy"]
                if line["accepted"]:
                    self._first.setdefault(line["id"], line["sha256"])

    async def _answer(self, request: Request) -> Reply:
        name = request.headers.get("webhook-id", "")
        if self._keys and not self._rightly_signed(request.headers, request.body):
            self._ledger.write({"event": "unsigned", "id": name, "at": instant()})
            return Reply(401)
        self._arrived += 1
        behaviour = self._schedule.at(self._arrived)
        self._keep(name, request.headers, request.body, behaviour)
        if behaviour.manner is PostManner.LATE:
            await asyncio.sleep(behaviour.late_s)
        return self._said(name, behaviour)

    def _rightly_signed(self, fields: Mapping[str, str], body: bytes) -> bool:
        at = fields.get("webhook-timestamp", "")
        if not at.isdecimal() or abs(time.time() - int(at)) > TOLERANCE_S:
            return False
        wanted = [signature(key, fields.get("webhook-id", ""), at, body) for key in self._keys]
        given = fields.get("webhook-signature", "").split(" ")
        return any(hmac.compare_digest(one, other) for one in wanted for other in given)

    def _keep(self, name: str, fields: Mapping[str, str], body: bytes, behaviour: PostBehaviour) -> None:
        """Store a post; on disk when this returns."""
        digest = hashlib.sha256(body).hexdigest()
        accepted = behaviour.manner is not PostManner.STATUS
        first = self._first.get(name)
        self._copies[name] += 1
        self._ledger.write(
            {
                "event": "post",
                "id": name,
                "idempotency_key": fields.get("idempotency-key", ""),
                "copy": self._copies[name],
                "accepted": accepted,
                "manner": behaviour.manner.value,
                "same_octets": None if first is None else first == digest,
                "sha256": digest,
                "octets": body.decode("latin-1"),
                "at": instant(),
            }
        )
        if accepted:
            self._first.setdefault(name, digest)

    def _said(self, name: str, behaviour: PostBehaviour) -> Reply:
        manner = behaviour.manner
        said = "SOMETHING-ELSE" if manner is PostManner.WRONG_ECHO else name
        body = json.dumps({"received": said}).encode()
        reply = Reply(200, body, {"Content-Type": "application/json", **self._signed(name, body, manner)})
        match manner:
            case PostManner.DROP:
                return replace(reply, broken=Broken.SILENT)
            case PostManner.HALF:
                return replace(reply, broken=Broken.HALF)
            case PostManner.STATUS:
                after = {"Retry-After": behaviour.retry_after} if behaviour.retry_after else {}
                return Reply(behaviour.status, headers=after)
            case PostManner.PLAIN:
                return Reply(202)
            case PostManner.ENDLESS:
                return Reply(200, b" " * 1_000_000)
            case _:
                return reply

    def _signed(self, name: str, body: bytes, manner: PostManner) -> dict[str, str]:
        if not self._keys or manner is PostManner.UNSIGNED:
            return {}
        at = str(int(time.time()))
        keys = (b"not the key",) if manner is PostManner.FORGED else self._keys
        return {
            "webhook-id": name,
            "webhook-timestamp": at,
            "webhook-signature": " ".join(signature(key, name, at, body) for key in keys),
        }


def signature(key: bytes, name: str, at: str, body: bytes) -> str:
    """``v1,`` and the base64 of HMAC-SHA256 over ``name.at.body`` (Standard Webhooks 1.0.0)."""
    digest = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")
