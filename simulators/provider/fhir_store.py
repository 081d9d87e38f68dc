"""What a FHIR server keeps, and how transactions change it (R4 3.1.0: conditional interactions, transactions)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

__all__ = ["Refusal", "Resource", "Resources", "Stored", "outcome"]

Resource = dict[str, Any]

REQUIRED = {
    "Device": (),
    "DiagnosticReport": ("status", "code"),
    "Observation": ("status", "code"),
    "Patient": (),
    "Provenance": ("target", "recorded", "agent"),
}
"""Resources that are taken, and what they must have (minimum cardinality 1 in R4)."""
REASONS = {200: "OK", 201: "Created"}


class Refusal(Exception):  # noqa: N818 - an answer to the client, and no fault of this program
    """The server does not do what was asked: HTTP status and words for an OperationOutcome."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def outcome(code: str, text: str) -> Resource:
    """An OperationOutcome with one error."""
    issue = {"severity": "error", "code": code, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as one change left it."""

    kind: str
    id: str
    version: int
    resource: Resource

    @property
    def location(self) -> str:
        """As it stands in an answer."""
        return f"{self.kind}/{self.id}/_history/{self.version}"


class Resources:
    """The newest version of every resource."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Stored]] = {kind: {} for kind in REQUIRED}

    def put(self, stored: Stored) -> None:
        """Take a version as the newest."""
        self._kept[stored.kind][stored.id] = stored

    def get(self, kind: str, identifier: str) -> Stored | None:
        """The newest version of one resource."""
        return self._kept.get(kind, {}).get(identifier)

    def search(self, kind: str, parameters: Iterable[tuple[str, str]]) -> list[Stored]:
        """Resources that fit all parameters: ``identifier``, ``_tag`` and ``_id``.

        Raises:
            Refusal: another parameter, or no such kind of resource.
        """
        if kind not in self._kept:
            raise Refusal(404, "not-found", f"no resources of type {kind} here")
        found = list(self._kept[kind].values())
        for name, value in parameters:
            if name in ("_summary", "_format", "_count"):
                continue
            if name not in ("identifier", "_tag", "_id"):
                raise Refusal(400, "not-supported", f"no search by {name}")
            found = [each for each in found if _fits(each, name, value)]
        return found

    def transaction(
        self, bundle: object, *, at: str, ignore_if_none_exist: bool = False
    ) -> tuple[Resource, list[Stored]]:
        """What a transaction would answer and change. Nothing is changed before `put`: all of it, or nothing.

        Args:
            bundle: the transaction.
            at: the present, as an instant.
            ignore_if_none_exist: create whatever is asked, as some servers do.

        Raises:
            Refusal: of the whole transaction.
        """
        if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
            raise Refusal(400, "structure", "no Bundle")
        if bundle.get("type") != "transaction" or not bundle.get("entry"):
            raise Refusal(400, "value", "no transaction with entries")
        plans = [self._plan(entry, ignore_if_none_exist) for entry in bundle["entry"]]
        places = {plan.full_url: f"{plan.kind}/{plan.id}" for plan in plans if plan.full_url}
        answers: list[Resource] = []
        changes: list[Stored] = []
        for plan in plans:
            if plan.resource is None:
                found = self._kept[plan.kind][plan.id]
                answers.append(_answer(200, found, at))
                continue
            resource = self._resolved(plan.resource, places)
            about = {**resource.get("meta", {}), "versionId": str(plan.version), "lastUpdated": at}
            stored = Stored(plan.kind, plan.id, plan.version, {**resource, "id": plan.id, "meta": about})
            changes.append(stored)
            answers.append(_answer(201 if plan.version == 1 else 200, stored, at))
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}, changes

    def _plan(self, entry: Any, ignore_if_none_exist: bool) -> _Plan:
        try:
            request, resource = entry["request"], entry["resource"]
            method, url = request["method"], request["url"]
            kind = resource["resourceType"]
        except (KeyError, TypeError):
            raise Refusal(400, "structure", "an entry without request or resource") from None
        _check(kind, resource)
        target, _, search = url.partition("?")
        full_url = entry.get("fullUrl", "")
        if method == "POST" and target == kind:
            condition = request.get("ifNoneExist")
            found = self._one(kind, condition) if condition and not ignore_if_none_exist else None
            if found is not None:
                return _Plan(full_url, kind, found.id, found.version, None)
            return _Plan(full_url, kind, str(uuid4()), 1, resource)
        if method == "PUT" and target == kind and search:
            found = self._one(kind, search)
            if found is None:
                return _Plan(full_url, kind, str(uuid4()), 1, resource)
            return _Plan(full_url, kind, found.id, found.version + 1, resource)
        raise Refusal(400, "not-supported", f"{method} {target} is not supported in a transaction")

    def _one(self, kind: str, condition: str) -> Stored | None:
        """The only resource that fits a condition, or None."""
        parameters = parse_qsl(condition, keep_blank_values=True)
        if not parameters:
            raise Refusal(400, "value", f"{condition!r} is no condition")
        found = self.search(kind, parameters)
        if len(found) > 1:
            raise Refusal(412, "multiple-matches", f"{len(found)} resources fit the condition")
        return found[0] if found else None

    def _resolved(self, content: Any, places: Mapping[str, str]) -> Any:
        """The same with references within the bundle, and searches, put into references that hold here."""
        if isinstance(content, list):
            return [self._resolved(part, places) for part in content]
        if not isinstance(content, dict):
            return content
        resolved = {name: self._resolved(part, places) for name, part in content.items()}
        reference = resolved.get("reference")
        if isinstance(reference, str):
            if reference.startswith("urn:uuid:"):
                if reference not in places:
                    raise Refusal(400, "not-found", f"{reference} is nowhere in the bundle")
                resolved["reference"] = places[reference]
            elif "?" in reference:
                kind, _, condition = reference.partition("?")
                found = self._one(kind, condition)
                if found is None:
                    raise Refusal(412, "not-found", f"nothing fits the reference to a {kind}")
                resolved["reference"] = f"{kind}/{found.id}"
        return resolved


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an entry comes to; `resource` None: what is there stays."""

    full_url: str
    kind: str
    id: str
    version: int
    resource: Resource | None


def _check(kind: str, resource: Resource) -> None:
    if kind not in REQUIRED:
        raise Refusal(404, "not-supported", f"no resources of type {kind} here")
    lacking = [name for name in REQUIRED[kind] if not resource.get(name)]
    if lacking:
        raise Refusal(422, "required", f"{kind} without {', '.join(lacking)}")


def _answer(status: int, stored: Stored, at: str) -> Resource:
    response = {
        "status": f"{status} {REASONS[status]}",
        "location": stored.location,
        "etag": f'W/"{stored.version}"',
        "lastModified": at,
    }
    return {"response": response}


def _fits(stored: Stored, name: str, value: str) -> bool:
    if name == "_id":
        return stored.id == value
    if name == "_tag":
        tags = stored.resource.get("meta", {}).get("tag", [])
        return _has(((tag.get("system"), tag.get("code")) for tag in tags), value)
    return _has(((each.get("system"), each.get("value")) for each in stored.resource.get("identifier", [])), value)


def _has(tokens: Iterator[tuple[str | None, str | None]], wanted: str) -> bool:
    r"""A token search: ``system|value`` or ``value``; ``\|``, ``\,``, ``\$`` and ``\\`` stand for themselves."""
    parts = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\)\|", wanted, maxsplit=1)]
    if len(parts) == 1:
        return any(value == parts[0] for _, value in tokens)
    return any((system or "", value) == (parts[0], parts[1]) for system, value in tokens)


def compact(content: object) -> bytes:
    """JSON as it travels."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
