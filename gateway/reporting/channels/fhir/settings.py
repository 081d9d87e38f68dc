"""What one FHIR server wants otherwise than the next: codes, units, identifiers, references, credentials."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway.configuration import Section
from gateway.reporting.channels.base import ChannelSettings

__all__ = ["Auth", "Bearer", "ClientCredentials", "Code", "FhirSettings", "NoAuth", "SmartBackend"]

Uri = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s|,$\\&#]{1,400}$")]
"""An absolute URI without the characters that part the values of a FHIR search (R4 3.1.1.4)."""
Secret = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$")]
"""Name of a file in the folder ``[delivery] secrets``."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Token = Annotated[str, StringConstraints(pattern=r"^[^\s]+(\s[^\s]+)*$", max_length=60)]
"""FHIR's data type code."""
_SYSTEM = "an absolute URI like urn:oid:2.25.98 or https://clinic.example/mrn"
_FLAG = "true or false"
_CODE = 'a table like {code = "46418-0", display = "INR in Capillary blood by Coagulation assay"}'


class Code(Section):
    """One coding as the receiver wants it; LOINC unless another system is named."""

    code: Token
    display: Annotated[str, StringConstraints(max_length=400)] = ""
    system: Annotated[Uri, Field(description=_SYSTEM)] = "http://loinc.org"


class NoAuth(Section):
    """No credentials: the network or the client certificate must say who we are."""

    kind: Literal["none"] = "none"


class Bearer(Section):
    """A token that somebody else renews in its file (RFC 6750)."""

    kind: Literal["bearer"]
    token: Secret


class ClientCredentials(Section):
    """OAuth 2.0 client credentials (RFC 6749, 4.4) with a shared secret."""

    kind: Literal["client_credentials"]
    token_url: Uri
    client_id: Text
    client_secret: Secret
    scope: Annotated[str, StringConstraints(max_length=1000)] = ""
    secret_in: Annotated[Literal["header", "body"], Field(description="header or body")] = "header"
    """Where the secret stands: HTTP Basic, or the form (RFC 6749, 2.3.1)."""


class SmartBackend(Section):
    """SMART Backend Services: a signed assertion instead of a secret (SMART App Launch 2.x, RFC 7523)."""

    kind: Literal["smart"]
    token_url: Uri
    client_id: Text
    key: Secret
    """Private key, PEM: RSA for RS384, P-384 for ES384."""
    key_id: Text
    """``kid`` of the public key in the set that was registered with the server."""
    algorithm: Annotated[Literal["RS384", "ES384"], Field(description="RS384 or ES384")] = "RS384"
    scope: Annotated[str, StringConstraints(max_length=1000)] = (
        "system/Observation.write system/DiagnosticReport.write system/Device.write system/Provenance.write"
    )


Auth = Annotated[NoAuth | Bearer | ClientCredentials | SmartBackend, Field(discriminator="kind")]


class FhirSettings(ChannelSettings):
    """Settings of a destination of channel ``fhir``. The address is the server's base URL.

    The five LOINC codes of the INR stand in one value set of US quality measures; the one that holds unless told
    otherwise says what was really done: capillary blood. The Quick value has no capillary LOINC code, so it goes
    under its device term alone.
    """

    inr: Annotated[Code, Field(description=_CODE)] = Code(
        code="46418-0", display="INR in Capillary blood by Coagulation assay"
    )
    pt_seconds: Annotated[Code, Field(description=_CODE)] = Code(
        code="46417-2", display="Prothrombin time (PT) in Capillary blood by Coagulation assay"
    )
    quick_percent: Annotated[Code | None, Field(description=_CODE)] = None
    device_codes: Annotated[bool, Field(description=_FLAG)] = True
    """IEEE 11073-10101 terms as second codings of the reported observations; the device's own always have them."""
    inr_unit: Annotated[Literal["{INR}", "1", "{ratio}"], Field(description="{INR}, 1 or {ratio}")] = "{INR}"
    """UCUM code of the INR; all three mean the plain number 1."""
    flags: Annotated[bool, Field(description=_FLAG)] = True
    """Target range and interpretation, where limits are known. Off-range marks are always sent."""
    identifier_system: Annotated[Uri | None, Field(description=_SYSTEM)] = None
    """System of our identifiers; without it ``urn:oid:`` with the supplier's ``application_oid``."""
    patient_identifier_system: Annotated[Uri | None, Field(description=_SYSTEM)] = None
    """System of the provider's patient ids; without it the OID in the destination's ``facility``."""
    order_identifier_system: Annotated[Uri | None, Field(description=_SYSTEM)] = None
    patient_reference: Annotated[
        Literal["logical", "conditional", "literal"], Field(description="logical, conditional or literal")
    ] = "logical"
    """How the patient is named: by identifier; by a search that the server resolves within the transaction; or the
    provider's patient id is itself the id of the Patient resource."""
    device_observations: Annotated[Literal["inr", "all", "none"], Field(description="inr, all or none")] = "inr"
    """The meter's own view beside the report (Personal Health Device guide), where meter and hub are known: of the
    INR, or of every quantity. Some servers take no more than eight entries in a transaction with conditions; with
    INR, PT and Quick that is what ``inr`` comes to."""
    provenance: Annotated[Literal["tagged", "plain", "none"], Field(description="tagged, plain or none")] = "tagged"
    """A Provenance has no identifier. ``tagged`` lets the server find an earlier copy by its tag; ``plain`` makes
    a further one with every repetition, for servers that cannot search by tag."""
    profiles: Annotated[bool, Field(description=_FLAG)] = True
    """Whether resources name the profiles that they fit; some servers refuse profiles they do not know."""
    auth: Annotated[
        Auth,
        Field(
            description="a table whose kind is none, bearer (token), client_credentials (token_url, client_id,"
            " client_secret) or smart (token_url, client_id, key, key_id)"
        ),
    ] = NoAuth()
    ca: Annotated[Secret | None, Field(description="name of a PEM file in the folder [delivery] secrets")] = None
    """The authorities that may have signed the server's certificate, instead of those the machine trusts."""
    client_certificate: Annotated[
        Secret | None, Field(description="name of a PEM file in the folder [delivery] secrets")
    ] = None
    """Certificate chain and private key in one file."""
    allow_plain_http: Annotated[bool, Field(description=_FLAG)] = False
    """``http://`` to another machine, for a line that is protected otherwise."""
