"""A token endpoint (RFC 6749 4.4, RFC 7523; SMART Backend Services): knows its client and gives tokens."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from simulators.provider.fhir_store import compact
from simulators.provider.http import Reply, Request

__all__ = ["Client", "Tokens"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client.

    Attributes:
        secret: shared secret; empty for a client that signs.
        public_key: PEM, for a client that signs its assertions (RS384 or ES384).
    """

    id: str
    secret: str = ""
    public_key: str = ""


class Tokens:
    """Gives out bearer tokens.

    Attributes:
        given: how many were given out.
        url: this endpoint as clients know it: the audience of their assertions.
    """

    def __init__(self, client: Client, life_s: float = 300.0) -> None:
        """`life_s`: how long a token holds."""
        self._client = client
        self._life_s = life_s
        self._tokens: dict[str, float] = {}
        self._assertions: set[str] = set()
        self.given = 0
        self.url = ""

    def fits(self, request: Request) -> bool:
        """Whether a request carries a token that holds."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind == "Bearer" and self._tokens.get(token, 0.0) > time.monotonic()

    def revoke(self) -> None:
        """Take back all tokens, as a server does that was started anew."""
        self._tokens.clear()

    def answer(self, request: Request) -> Reply:
        """Answer a request for a token."""
        form = dict(parse_qsl(request.body.decode("latin-1")))
        if request.method != "POST" or form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", "write grant_type=client_credentials")
        why_not = self._doubts(request, form)
        if why_not:
            return _refused(401, "invalid_client", why_not)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = time.monotonic() + self._life_s
        self.given += 1
        said = {"access_token": token, "token_type": "bearer", "expires_in": int(self._life_s)}
        return Reply(200, compact(said | {"scope": form.get("scope", "")}), JSON)

    def _doubts(self, request: Request, form: dict[str, str]) -> str:
        if self._client.public_key:
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                return "a signed assertion is wanted"
            return self._doubts_of_assertion(form.get("client_assertion", ""))
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        kind, _, pair = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            try:
                name, _, secret = base64.b64decode(pair, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return "the header cannot be read"
            name, secret = unquote(name), unquote(secret)
        fits = name == self._client.id and secrets.compare_digest(secret.encode(), self._client.secret.encode())
        return "" if fits else "client or secret is wrong"

    def _doubts_of_assertion(self, assertion: str) -> str:
        import jwt

        try:
            if not jwt.get_unverified_header(assertion).get("kid"):
                return "kid is missing"
            claims = jwt.decode(
                assertion,
                self._client.public_key,
                algorithms=["RS384", "ES384"],
                audience=self.url,
                issuer=self._client.id,
                subject=self._client.id,
                options={"require": ["iss", "sub", "aud", "exp", "jti"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            return f"the assertion does not hold: {error}"
        if claims["exp"] > time.time() + 300 + 5:
            return "the assertion holds for more than five minutes"
        if claims["jti"] in self._assertions:
            return "the assertion was used before"
        self._assertions.add(claims["jti"])
        return ""


def _refused(status: int, error: str, text: str) -> Reply:
    return Reply(status, compact({"error": error, "error_description": text}), JSON)
