"""Credentials towards a FHIR server: none, a token from a file, or tokens asked for and kept until they expire.

Sources: RFC 6750 (bearer tokens), RFC 6749 4.4 and 2.3.1 (client credentials), RFC 7523 and SMART App Launch 2.x,
Backend Services (signed assertions).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote
from uuid import uuid4

from gateway.clock import Clock
from gateway.reporting.channels.fhir.address import check_protected
from gateway.reporting.channels.fhir.answer import retry_after_s
from gateway.reporting.channels.fhir.settings import Bearer, ClientCredentials, FhirSettings, SmartBackend
from gateway.reporting.secrets import Secrets

if TYPE_CHECKING:
    import httpx

__all__ = ["CredentialError", "Credentials", "credentials"]

EARLY_S: Final = 30.0
"""A token is renewed so long before it expires."""
LIFE_S: Final = 300.0
"""Of a token whose server does not say how long it holds, and of an assertion (SMART allows five minutes)."""
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class CredentialError(Exception):
    """No token can be had; the message says why. `retry_after_s`: what the token server asked for."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Credentials(Protocol):
    """What a request carries to show who sends it."""

    @property
    def ready(self) -> bool:
        """Whether `headers` has what it needs."""

    async def obtain(self, client: httpx.AsyncClient) -> None:
        """Have a token. Raises CredentialError (so also when the token server cannot be reached)."""

    def headers(self) -> Mapping[str, str]:
        """What to add to a request."""

    def forget(self) -> bool:
        """The server refused them. Returns whether `obtain` may bring others."""


def credentials(settings: FhirSettings, secrets: Secrets, clock: Clock) -> Credentials:
    """The credentials that a destination's settings ask for.

    Raises:
        ValueError: a secret cannot be used, or a token would travel unprotected.
    """
    auth = settings.auth
    if isinstance(auth, Bearer):
        return _FromFile(auth.token, secrets)
    if isinstance(auth, ClientCredentials):
        secrets.read(auth.client_secret)
        return _Asked(auth.token_url, clock, lambda: _shared_secret(auth, secrets), settings)
    if isinstance(auth, SmartBackend):
        _assertion(auth, secrets, clock.now())
        return _Asked(auth.token_url, clock, lambda: _signed(auth, secrets, clock), settings)
    return _None()


class _None:
    ready = True

    async def obtain(self, client: httpx.AsyncClient) -> None:
        pass

    def headers(self) -> Mapping[str, str]:
        return {}

    def forget(self) -> bool:
        return False


class _FromFile:
    """A token in a file; read anew whenever the server refuses it, because somebody else renews it."""

    def __init__(self, name: str, secrets: Secrets) -> None:
        self._name = name
        self._secrets = secrets
        self._token = self._read()

    ready = True

    async def obtain(self, client: httpx.AsyncClient) -> None:
        pass

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> bool:
        refused, self._token = self._token, self._read()
        return self._token != refused

    def _read(self) -> str:
        return self._secrets.read(self._name).decode("ascii", "replace").strip()


@dataclass(frozen=True, slots=True)
class _Form:
    fields: Mapping[str, str]
    headers: Mapping[str, str]


class _Asked:
    """Tokens from a token endpoint."""

    def __init__(self, url: str, clock: Clock, form: Callable[[], _Form], settings: FhirSettings) -> None:
        self._url = check_protected(url, allow_plain_http=settings.allow_plain_http)
        self._clock = clock
        self._form = form
        self._token = ""
        self._until: datetime | None = None

    @property
    def ready(self) -> bool:
        return self._until is not None and self._clock.now() < self._until

    async def obtain(self, client: httpx.AsyncClient) -> None:
        import httpx

        try:
            form = self._form()
            answer = await client.post(
                self._url, data=dict(form.fields), headers={**form.headers, "Accept": "application/json"}
            )
        except (httpx.HTTPError, ValueError) as error:
            raise CredentialError(f"no token: {str(error) or type(error).__name__}") from None
        said = _json(answer.content)
        token = said.get("access_token")
        if answer.status_code != 200 or not isinstance(token, str) or not token:
            words = [str(said[key])[:200] for key in ("error", "error_description") if said.get(key)]
            raise CredentialError(
                "no token: " + "; ".join([f"HTTP {answer.status_code} of the token server", *words]),
                retry_after_s(answer.headers, self._clock.now()),
            )
        life_s = said.get("expires_in")
        seconds = float(life_s) if isinstance(life_s, int | float) and life_s > 0 else LIFE_S
        self._token = token
        self._until = self._clock.now() + timedelta(seconds=max(seconds - EARLY_S, seconds / 2))

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> bool:
        self._token, self._until = "", None
        return True


def _shared_secret(auth: ClientCredentials, secrets: Secrets) -> _Form:
    secret = secrets.read(auth.client_secret).decode()
    fields = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
    if auth.secret_in == "body":
        return _Form(fields | {"client_id": auth.client_id, "client_secret": secret}, {})
    pair = f"{quote(auth.client_id, safe='')}:{quote(secret, safe='')}"
    return _Form(fields, {"Authorization": "Basic " + b64encode(pair.encode()).decode()})


def _signed(auth: SmartBackend, secrets: Secrets, clock: Clock) -> _Form:
    fields = {
        "grant_type": "client_credentials",
        "scope": auth.scope,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": _assertion(auth, secrets, clock.now()),
    }
    return _Form(fields, {})


def _assertion(auth: SmartBackend, secrets: Secrets, now: datetime) -> str:
    """A JWT that says who we are, for this token server, for five minutes, once."""
    import jwt

    claims = {
        "iss": auth.client_id,
        "sub": auth.client_id,
        "aud": auth.token_url,
        "exp": int(now.timestamp() + LIFE_S),
        "iat": int(now.timestamp()),
        "jti": str(uuid4()),
    }
    path = secrets.path(auth.key)
    try:
        return jwt.encode(claims, secrets.read(auth.key), auth.algorithm, headers={"kid": auth.key_id})
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise ValueError(
            f"{path}: cannot sign with {auth.algorithm} ({type(error).__name__}); put a private key in PEM there,"
            " RSA for RS384 or P-384 for ES384"
        ) from None


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
