"""The provider's system: a FHIR R4 server that has everything on disk before it answers.

Sources: FHIR R4 3.1.0 (RESTful API), 3.1.1 (search). It does transactions with references within the bundle and
conditional references, conditional create and update, search by identifier, tag and id, and read.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections import Counter
from dataclasses import replace
from typing import Any

from simulators.ledger import Ledger, LedgerError, instant
from simulators.provider.fhir_behaviour import FhirBehaviour, FhirManner
from simulators.provider.fhir_store import Refusal, Resource, Resources, Stored, compact, outcome
from simulators.provider.http import Broken, HttpServer, Reply, Request
from simulators.provider.oauth import Tokens
from simulators.provider.schedule import Schedule

__all__ = ["FhirProvider"]

FHIR_JSON = {"Content-Type": "application/fhir+json"}
TOKEN_PATH = "/token"
STORES_NOTHING = frozenset({FhirManner.ENTRY, FhirManner.ACCEPTED})


class FhirProvider(HttpServer):
    """A FHIR server at any path; with `tokens` also a token endpoint at ``/token``.

    The ledger gets one ``request`` line for each request that would change something: its octets (as text, each
    character one octet), which copy it is, the manner of the answer and its status; and one ``stored`` line for
    each version of a resource.

    Raises:
        LedgerError: the ledger is none of a FHIR server.
    """

    def __init__(
        self,
        ledger: Ledger,
        schedule: Schedule[FhirBehaviour] | None = None,
        *,
        tokens: Tokens | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls)
        self._ledger = ledger
        self._schedule = schedule or Schedule(FhirBehaviour())
        self._tokens = tokens
        self._scheme = "http" if tls is None else "https"
        self._resources = Resources()
        self._arrived = 0
        self._copies: Counter[str] = Counter()
        for line in ledger.lines:
            if line["event"] == "stored":
                self._resources.put(Stored(line["kind"], line["id"], line["version"], line["resource"]))
            elif line["event"] == "request":
                self._copies[line["sha256"]] = line["copy"]
            else:
                raise LedgerError(f"{ledger.name}: no ledger of a FHIR server, it has a line {line['event']!r}")

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """The same; the address of the token endpoint is known then."""
        address = await super().start(host, port)
        if self._tokens is not None:
            self._tokens.url = f"{self._scheme}://{address[0]}:{address[1]}{TOKEN_PATH}"
        return address

    async def _answer(self, request: Request) -> Reply:
        if self._tokens is not None:
            if request.path == TOKEN_PATH:
                return self._tokens.answer(request)
            if not self._tokens.fits(request):
                return _failure(401, "login", "a token is wanted")
        if request.method == "GET":
            try:
                return self._look(request)
            except Refusal as refusal:
                return _failure(refusal.status, refusal.code, str(refusal))
        self._arrived += 1
        behaviour = self._schedule.at(self._arrived)
        reply = self._change(request, behaviour)
        if behaviour.manner is FhirManner.LATE:
            await asyncio.sleep(behaviour.late_s)
        return reply

    def _look(self, request: Request) -> Reply:
        kind, _, identifier = request.path.rsplit("/fhir", 1)[-1].strip("/").partition("/")
        if identifier:
            found = self._resources.get(kind, identifier)
            if found is None:
                raise Refusal(404, "not-found", f"no {kind} of this id")
            return Reply(200, compact(found.resource), FHIR_JSON)
        matches = self._resources.search(kind, request.query)
        bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "total": len(matches)}
        if ("_summary", "count") not in request.query and matches:
            bundle["entry"] = [{"resource": each.resource, "search": {"mode": "match"}} for each in matches]
        return Reply(200, compact(bundle), FHIR_JSON)

    def _change(self, request: Request, behaviour: FhirBehaviour) -> Reply:
        """Do what is asked, as far as the behaviour lets it; on disk when this returns."""
        changes: list[Stored] = []
        try:
            if behaviour.manner is FhirManner.STATUS:
                raise Refusal(behaviour.status, "transient", "the server was told to")
            answer, changes = self._planned(request, behaviour)
        except Refusal as refusal:
            reply = _failure(refusal.status, refusal.code, str(refusal), behaviour.retry_after)
        else:
            reply = _spoilt(answer, behaviour)
        if behaviour.manner in STORES_NOTHING:
            changes = []
        digest = hashlib.sha256(request.body).hexdigest()
        self._copies[digest] += 1
        line = {
            "event": "request",
            "method": request.method,
            "request_id": request.headers.get("x-request-id", ""),
            "copy": self._copies[digest],
            "manner": behaviour.manner.value,
            "status": reply.status,
            "changed": len(changes),
            "sha256": digest,
            "octets": request.body.decode("latin-1"),
            "at": instant(),
        }
        kept = [
            {
                "event": "stored",
                "kind": each.kind,
                "id": each.id,
                "version": each.version,
                "resource": each.resource,
            }
            for each in changes
        ]
        self._ledger.write(line, *kept)
        for each in changes:
            self._resources.put(each)
        return reply

    def _planned(self, request: Request, behaviour: FhirBehaviour) -> tuple[Resource, list[Stored]]:
        try:
            content: Any = json.loads(request.body)
        except ValueError:
            raise Refusal(400, "structure", "no JSON") from None
        if request.method == "POST" and isinstance(content, dict) and content.get("resourceType") == "Bundle":
            ignores = behaviour.manner is FhirManner.IGNORE_CONDITION
            return self._resources.transaction(content, at=instant(), ignore_if_none_exist=ignores)
        raise Refusal(405, "not-supported", f"{request.method} of a single resource is not supported here")


def _spoilt(answer: Resource, behaviour: FhirBehaviour) -> Reply:
    """The answer as the behaviour lets it out."""
    reply = Reply(200, compact(answer), FHIR_JSON)
    entries = answer["entry"]
    match behaviour.manner:
        case FhirManner.STATUS:
            return _failure(
                behaviour.status, "transient", "the server was told to answer so", behaviour.retry_after
            )
        case FhirManner.ENTRY:
            failed = {"status": str(behaviour.status), "outcome": outcome("processing", "this entry was refused")}
            return replace(reply, body=compact({**answer, "entry": [*entries[:-1], {"response": failed}]}))
        case FhirManner.ACCEPTED:
            return Reply(202)
        case FhirManner.DROP:
            return replace(reply, broken=Broken.SILENT)
        case FhirManner.HALF:
            return replace(reply, broken=Broken.HALF)
        case FhirManner.STORED_500:
            return _failure(500, "timeout", "the gateway gave up")
        case FhirManner.SHORT:
            return replace(reply, body=compact({**answer, "entry": entries[:-1]}))
        case FhirManner.WRONG:
            return replace(reply, body=compact({**answer, "entry": entries[::-1]}))
        case FhirManner.NO_BUNDLE:
            return replace(reply, body=compact(outcome("informational", "all is well")))
        case FhirManner.ENDLESS:
            return replace(reply, body=b" " * 1_000_000 + reply.body)
        case _:
            return reply


def _failure(status: int, code: str, text: str, retry_after: str = "") -> Reply:
    headers = {**FHIR_JSON, "Retry-After": retry_after} if retry_after else FHIR_JSON
    return Reply(status, compact(outcome(code, text)), headers)
