"""The FHIR sender against a FHIR server on a real socket, with every habit that server can have."""

from __future__ import annotations

import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.clock import Clock
from gateway.reporting.channels import channel
from gateway.reporting.channels.base import Answer, Circumstances, Level, Outcome, Sender, Trial
from gateway.reporting.channels.fhir import CHANNEL, FhirSettings, codes
from gateway.reporting.channels.fhir.settings import Bearer, ClientCredentials, SmartBackend
from gateway.reporting.configuration import Delivery
from gateway.reporting.reportable import ReportableResult, Status
from gateway.reporting.secrets import SecretError, Secrets
from simulators.ledger import Ledger
from simulators.provider.fhir import FhirProvider
from simulators.provider.fhir_behaviour import FhirBehaviour
from simulators.provider.oauth import Client, Tokens
from simulators.provider.schedule import Schedule
from tests.integration.certificates import Certificates
from tests.unit.reporting.examples import PATIENT
from tests.unit.reporting.fhir.variants import ALL_THREE, VARIANTS, at_home
from tests.unit.reporting.stores import body, quantity

IMPATIENCE = Delivery(connect_timeout_s=1, answer_timeout_s=0.3)


def circumstances(secrets: Path | None = None, delivery: Delivery = IMPATIENCE) -> Circumstances:
    return Circumstances(delivery, Secrets(secrets), Clock())


@dataclass
class FarEnd:
    """A server, and what it holds."""

    address: str
    ledger: Ledger
    secrets: Path
    settings: FhirSettings
    tokens: Tokens | None = None

    def sender(self, **changes: Any) -> Sender:
        settings = self.settings.model_copy(update=changes)
        return CHANNEL.sender(self.address, settings, circumstances(self.secrets))

    def stored(self, kind: str = "Observation") -> Counter[str]:
        """First versions by identifier."""
        lines = [line for line in self.ledger.lines if line["event"] == "stored" and line["kind"] == kind]
        return Counter(
            each["value"]
            for line in lines
            if line["version"] == 1
            for each in line["resource"].get("identifier", line["resource"]["meta"].get("tag", []))[:1]
        )

    def requests(self) -> list[dict[str, Any]]:
        return [dict(line) for line in self.ledger.lines if line["event"] == "request"]


@asynccontextmanager
async def server(
    secrets: Path,
    *words: str,
    settings: FhirSettings | None = None,
    tokens: Tokens | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[FarEnd]:
    ledger = Ledger()
    schedule = Schedule.read(words, FhirBehaviour.parse, FhirBehaviour())
    serving = FhirProvider(ledger, schedule, tokens=tokens, tls=tls)
    host, port = await serving.start()
    scheme = "http" if tls is None else "https"
    try:
        yield FarEnd(f"{scheme}://{host}:{port}/fhir", ledger, secrets, settings or FhirSettings(), tokens)
    finally:
        await serving.stop()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    return folder


def keep(secrets: Path, name: str, content: bytes) -> str:
    path = secrets / name
    path.touch(mode=0o600)
    path.write_bytes(content)
    return name


async def deliver(sender: Sender, report: ReportableResult | None = None) -> Answer:
    report = report or at_home()
    unable = await sender.open()
    return unable or await sender.send(CHANNEL.render(report, FhirSettings()), report.control_id)


# ---------------------------------------------------------------- the straight way


async def test_a_report_arrives_and_its_answer_is_kept_as_it_came(secrets: Path) -> None:
    async with server(secrets) as far_end:
        sender = far_end.sender()
        before = sender.ready
        answer = await deliver(sender)
        assert (before, sender.ready) == (False, True)
        await sender.close()
    assert (answer.outcome, answer.level, answer.text) == (Outcome.DELIVERED, Level.DELIVERED, "")
    head, _, content = answer.evidence.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    statuses = [entry["response"]["status"] for entry in json.loads(content)["entry"]]
    assert statuses == ["201 Created"] * 6
    assert answer.peer.startswith(far_end.address)
    assert answer.certificate == ""
    (request,) = far_end.requests()
    assert request["request_id"] == at_home().control_id
    assert request["octets"].encode("latin-1") == CHANNEL.render(at_home(), FhirSettings())


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "conditional patient"])
async def test_every_variant_twice_leaves_one_of_each(secrets: Path, name: str) -> None:
    report, settings = VARIANTS[name]
    octets = CHANNEL.render(report, settings)
    async with server(secrets) as far_end:
        sender = far_end.sender()
        await sender.open()
        for _ in range(2):
            answer = await sender.send(octets, report.control_id)
            assert answer.outcome is Outcome.DELIVERED, answer.text
        await sender.close()
    for kind in ("Device", "Observation", "DiagnosticReport"):
        assert set(far_end.stored(kind).values()) <= {1}


async def test_versions_follow_each_other_in_one_resource(secrets: Path) -> None:
    first = at_home(result=ALL_THREE)
    versions = [
        first,
        replace(first, version=2, status=Status.CORRECTED, result=body(quantity("2.70"))),
        replace(first, version=3, status=Status.RETRACTED),
    ]
    async with server(secrets) as far_end:
        sender = far_end.sender()
        for version in versions:
            assert (await deliver(sender, version)).outcome is Outcome.DELIVERED
        await sender.close()
    kept = [line["resource"] for line in far_end.ledger.lines if line["event"] == "stored"]
    shown = [each for each in kept if codes.US_CORE_OBSERVATION in each["meta"]["profile"]]
    shown = [each for each in shown if each["code"]["text"] == "INR"]
    assert [each["status"] for each in shown] == ["final", "corrected", "entered-in-error"]
    assert len({each["id"] for each in shown}) == 1
    assert b'"value":2.70,' in far_end.requests()[1]["octets"].encode("latin-1")


async def test_withdrawn_from_one_patient_and_anew_for_another(secrets: Path) -> None:
    other = replace(PATIENT, provider_patient_id="MRN000002")
    reports = [at_home(), at_home(version=2, status=Status.RETRACTED), at_home(version=3, patient=other)]
    async with server(secrets) as far_end:
        sender = far_end.sender()
        for report in reports:
            assert (await deliver(sender, report)).outcome is Outcome.DELIVERED
        await sender.close()
    newest = {
        line["id"]: line["resource"]
        for line in far_end.ledger.lines
        if line["event"] == "stored" and line["kind"] == "DiagnosticReport"
    }
    assert sorted((each["subject"]["identifier"]["value"], each["status"]) for each in newest.values()) == [
        ("MRN000001", "entered-in-error"),
        ("MRN000002", "final"),
    ]


# ---------------------------------------------------------------- servers that misbehave


@pytest.mark.parametrize(
    ("word", "outcome", "level", "says"),
    [
        ("accepted", Outcome.ACCEPTED, Level.ACCEPTED, "202"),
        ("status:400", Outcome.REFUSED, Level.SENT, "the server was told to"),
        ("status:401", Outcome.REFUSED, Level.SENT, "credentials"),
        ("status:404", Outcome.REFUSED, Level.SENT, "no FHIR server"),
        ("status:409", Outcome.POSTPONED, Level.SENT, "409"),
        ("status:412", Outcome.REFUSED, Level.SENT, "two or more"),
        ("status:422", Outcome.REFUSED, Level.SENT, "422"),
        ("status:429:7", Outcome.POSTPONED, Level.SENT, "429"),
        ("status:503:7", Outcome.AMBIGUOUS, Level.SENT, "503"),
        ("entry:412", Outcome.REFUSED, Level.SENT, "entry 6 (Provenance): this entry was refused"),
        ("entry:503", Outcome.AMBIGUOUS, Level.SENT, "entry 6"),
        ("late:5", Outcome.AMBIGUOUS, Level.SENT, "no whole answer within 0.3 s"),
        ("drop", Outcome.AMBIGUOUS, Level.SENT, "disconnected"),
        ("half", Outcome.AMBIGUOUS, Level.SENT, "closed connection"),
        ("stored-500", Outcome.AMBIGUOUS, Level.SENT, "500"),
        ("short", Outcome.AMBIGUOUS, Level.SENT, "5 entries for 6 requests"),
        ("wrong", Outcome.AMBIGUOUS, Level.SENT, "another resource"),
        ("no-bundle", Outcome.AMBIGUOUS, Level.SENT, "no response to a transaction"),
        ("endless", Outcome.AMBIGUOUS, Level.SENT, "longer than 65536 octets"),
    ],
)
async def test_whatever_it_does_nothing_is_credited_and_the_next_try_is(
    secrets: Path, word: str, outcome: Outcome, level: Level, says: str
) -> None:
    async with server(secrets, f"1={word}") as far_end:
        sender = far_end.sender()
        answer = await deliver(sender)
        assert (answer.outcome, answer.level) == (outcome, level)
        assert says in answer.text
        assert answer.retry_after_s == (7 if word.endswith(":7") else None)
        assert (await deliver(sender)).outcome is Outcome.DELIVERED
        await sender.close()
    assert set(far_end.stored().values()) == {1}
    assert far_end.requests()[0]["sha256"] == far_end.requests()[1]["sha256"]


async def test_half_an_answer_is_kept_as_evidence(secrets: Path) -> None:
    async with server(secrets, "1=half") as far_end:
        sender = far_end.sender()
        answer = await deliver(sender)
        await sender.close()
    assert answer.evidence.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"transaction-response"' in answer.evidence


async def test_nobody_there_and_a_way_that_is_closed() -> None:
    sender = CHANNEL.sender("http://127.0.0.1:9/fhir", FhirSettings(), circumstances())
    answer = await deliver(sender)
    assert (answer.outcome, answer.level, answer.evidence) == (Outcome.NOT_SENT, None, b"")
    await sender.close()
    answer = await sender.send(b"{}", "X")
    assert answer.outcome is Outcome.NOT_SENT


async def test_a_server_that_ignores_the_condition_is_found_out(secrets: Path) -> None:
    def make_trial(family_name: str) -> Trial:
        report = at_home(processing_id="T", patient=replace(PATIENT, family_name=family_name))
        return Trial(report, CHANNEL.render(report, FhirSettings()))

    probe = CHANNEL.probe
    assert probe is not None
    for word, name, danger in (
        ("*=accept", "keeps-one", False),
        ("*=ignore-condition", "ignores-if-none-exist", True),
        ("*=status:422", "not-delivered", True),
        ("2=status:412", "repetition-refused", True),
        ("*=entry:201", "keeps-none", True),
    ):
        async with server(secrets, word) as far_end:
            (finding,) = await probe(far_end.address, FhirSettings(), circumstances(secrets), make_trial)
        assert (finding.name, finding.danger) == (name, danger)


async def test_two_of_the_same_already_there_stop_it(secrets: Path) -> None:
    async with server(secrets, "1-2=ignore-condition") as far_end:
        sender = far_end.sender()
        await deliver(sender)
        await deliver(sender)
        answer = await deliver(sender)
        await sender.close()
    assert answer.outcome is Outcome.REFUSED
    assert "two or more" in answer.text


async def test_a_patient_by_search_must_be_known_there(secrets: Path) -> None:
    report, settings = VARIANTS["conditional patient"]
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "https://clinic.example/mrn", "value": "MRN000001"}],
    }
    entry = {"resource": patient, "request": {"method": "POST", "url": "Patient"}}
    async with server(secrets) as far_end:
        sender = far_end.sender()
        await sender.open()
        octets = CHANNEL.render(report, settings)
        assert (await sender.send(octets, "X")).outcome is Outcome.REFUSED
        admission = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}).encode()
        assert (await sender.send(admission, "Y")).outcome is Outcome.DELIVERED
        assert (await sender.send(octets, "X")).outcome is Outcome.DELIVERED
        await sender.close()
    subjects = {line["resource"]["subject"]["reference"] for line in far_end.ledger.lines
                if line["event"] == "stored" and "subject" in line["resource"]}  # fmt: skip
    assert len(subjects) == 1
    assert subjects.pop().startswith("Patient/")


# ---------------------------------------------------------------- credentials


def shared_secret(secrets: Path, where: Any = "header") -> tuple[Client, Callable[[str], Any]]:
    keep(secrets, "client", b"s3cr:t %\n")
    client = Client("inr gateway", secret="s3cr:t %")
    return client, lambda url: ClientCredentials(
        kind="client_credentials", token_url=url, client_id=client.id, client_secret="client", secret_in=where
    )


def signing(secrets: Path, algorithm: Any) -> tuple[Client, Callable[[str], Any]]:
    key: Any = (
        rsa.generate_private_key(65537, 2048) if algorithm == "RS384" else ec.generate_private_key(ec.SECP384R1())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    keep(secrets, "key.pem", pem)
    client = Client("inr-gateway", public_key=public.decode())
    return client, lambda url: SmartBackend(
        kind="smart", token_url=url, client_id=client.id, key="key.pem", key_id="k1", algorithm=algorithm
    )


@pytest.mark.parametrize("way", ["header", "body", "RS384", "ES384"])
async def test_tokens_are_asked_for_once_and_again_when_refused(secrets: Path, way: str) -> None:
    client, auth = shared_secret(secrets, way) if way in ("header", "body") else signing(secrets, way)
    tokens = Tokens(client)
    async with server(secrets, tokens=tokens) as far_end:
        sender = far_end.sender(auth=auth(tokens.url))
        for _ in range(3):
            assert (await deliver(sender)).outcome is Outcome.DELIVERED
        assert tokens.given == 1
        tokens.revoke()
        assert (await deliver(sender)).outcome is Outcome.DELIVERED
        assert tokens.given == 2
        await sender.close()
    assert len(far_end.requests()) == 4
    assert set(far_end.stored().values()) == {1}


class Shifted(Clock):
    """A clock that can be put forward."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


async def test_a_token_is_renewed_before_it_expires(secrets: Path) -> None:
    client, auth = shared_secret(secrets)
    tokens, clock = Tokens(client, life_s=300), Shifted()
    async with server(secrets, tokens=tokens) as far_end:
        settings = FhirSettings(auth=auth(tokens.url))
        sender = CHANNEL.sender(far_end.address, settings, Circumstances(IMPATIENCE, Secrets(secrets), clock))
        assert (await deliver(sender)).outcome is Outcome.DELIVERED
        holds = []
        for seconds in (269, 271):
            clock.ahead = timedelta(seconds=seconds)
            holds.append(sender.ready)
        assert holds == [True, False]
        assert (await deliver(sender)).outcome is Outcome.DELIVERED
        await sender.close()
    assert tokens.given == 2


async def test_credentials_that_are_refused_come_to_a_person(secrets: Path) -> None:
    client, auth = shared_secret(secrets)
    keep(secrets, "client", b"another")
    tokens = Tokens(client)
    async with server(secrets, tokens=tokens) as far_end:
        sender = far_end.sender(auth=auth(tokens.url))
        answer = await deliver(sender)
        assert answer.outcome is Outcome.NOT_SENT
        assert "invalid_client" in answer.text
        assert not sender.ready
        await sender.close()
    assert far_end.requests() == []


async def test_a_server_that_refuses_every_token_is_asked_twice_and_no_more(secrets: Path) -> None:
    client, auth = shared_secret(secrets)
    tokens = Tokens(client)
    async with server(secrets, "*=status:403", tokens=tokens) as far_end:
        sender = far_end.sender(auth=auth(tokens.url))
        answer = await deliver(sender)
        await sender.close()
    assert answer.outcome is Outcome.REFUSED
    assert "credentials" in answer.text
    assert len(far_end.requests()) == tokens.given == 2


async def test_a_token_in_a_file_is_read_again_when_refused(secrets: Path) -> None:
    client, _ = shared_secret(secrets)
    tokens = Tokens(client)
    keep(secrets, "token", b"old\n")
    async with server(secrets, tokens=tokens) as far_end:
        sender = far_end.sender(auth=Bearer(kind="bearer", token="token"))
        assert (await deliver(sender)).outcome is Outcome.REFUSED
        tokens._tokens["new"] = float("inf")
        keep(secrets, "token", b"new\n")
        assert (await deliver(sender)).outcome is Outcome.DELIVERED
        await sender.close()


async def test_no_secret_no_sender(secrets: Path) -> None:
    _, auth = shared_secret(secrets)
    (secrets / "client").unlink()
    settings = FhirSettings(auth=auth("https://login.example/token"))
    with pytest.raises(SecretError, match="client"):
        CHANNEL.sender("https://ehr.example", settings, circumstances(secrets))
    keep(secrets, "key.pem", b"no key")
    smart = SmartBackend(
        kind="smart", token_url="https://login.example/token", client_id="x", key="key.pem", key_id="1"
    )
    with pytest.raises(ValueError, match=r"key.pem: cannot sign with RS384"):
        CHANNEL.sender("https://ehr.example", FhirSettings(auth=smart), circumstances(secrets))


def test_neither_reports_nor_secrets_travel_in_the_clear(secrets: Path) -> None:
    _, auth = shared_secret(secrets)
    with pytest.raises(ValueError, match="not encrypted"):
        CHANNEL.sender("http://192.0.2.1/fhir", FhirSettings(), circumstances())
    settings = FhirSettings(auth=auth("http://192.0.2.1/token"))
    with pytest.raises(ValueError, match="not encrypted"):
        CHANNEL.sender("https://ehr.example", settings, circumstances(secrets))
    CHANNEL.sender("http://192.0.2.1/fhir", FhirSettings(allow_plain_http=True), circumstances())


# ---------------------------------------------------------------- certificates


async def test_the_servers_certificate_must_be_signed_by_whom_we_trust(tmp_path: Path, secrets: Path) -> None:
    certificates = Certificates(tmp_path)
    ca = keep(secrets, "ca.pem", certificates.authority.read_bytes())
    async with server(secrets, tls=certificates.server()) as far_end:
        stranger = far_end.sender()
        answer = await deliver(stranger)
        assert answer.outcome is Outcome.NOT_SENT
        assert "certificate" in answer.text.lower()
        await stranger.close()
        sender = far_end.sender(ca=ca)
        answer = await deliver(sender)
        assert answer.outcome is Outcome.DELIVERED
        assert answer.certificate == certificates.fingerprint
        await sender.close()


async def test_a_client_certificate_is_shown_where_one_is_set(tmp_path: Path, secrets: Path) -> None:
    certificates = Certificates(tmp_path)
    ca = keep(secrets, "ca.pem", certificates.authority.read_bytes())
    mine = keep(
        secrets, "mine.pem", b"".join((tmp_path / f"server.{part}").read_bytes() for part in ("pem", "key"))
    )
    context = certificates.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.authority)
    async with server(secrets, tls=context) as far_end:
        sender = far_end.sender(ca=ca)
        assert (await deliver(sender)).outcome is not Outcome.DELIVERED
        await sender.close()
        sender = far_end.sender(ca=ca, client_certificate=mine)
        assert (await deliver(sender)).outcome is Outcome.DELIVERED
        await sender.close()


def test_files_that_are_no_certificates_are_named(secrets: Path) -> None:
    keep(secrets, "ca.pem", b"nothing")
    for settings in (FhirSettings(ca="ca.pem"), FhirSettings(client_certificate="ca.pem")):
        with pytest.raises(ValueError, match=r"ca.pem: no .*; put"):
            CHANNEL.sender("https://ehr.example", settings, circumstances(secrets))


def test_the_channel_is_known_by_its_name() -> None:
    assert channel("fhir") is CHANNEL
