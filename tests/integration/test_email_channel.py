"""Notices to a real SMTP server that misbehaves: what each of its ways proves, and what a notice never tells."""

from __future__ import annotations

import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.reporting.channels import channel
from gateway.reporting.channels.base import Answer, Circumstances, Level, Outcome, Secrets
from gateway.reporting.channels.email.notice import render
from gateway.reporting.channels.email.sender import EmailSender
from gateway.reporting.channels.email.settings import EmailSettings, check_address
from gateway.reporting.configuration import Delivery, Supplier
from gateway.reporting.reportable import Status
from simulators.ledger import Ledger
from simulators.provider.mail import MailBehaviour, MailServer
from simulators.provider.schedule import Schedule
from tests.integration.certificates import Certificates
from tests.unit.reporting.examples import PATIENT, reportable

BASE = {
    "sender": "noreply@supplier.example",
    "to": ["inr@clinic.example"],
    "portal": "https://portal.example/r/{reference}",
}


def settings(**changes: Any) -> EmailSettings:
    return EmailSettings.model_validate({**BASE, **changes})


class FarEnd:
    """A mail server and a way to it."""

    def __init__(self, server: MailServer, address: str, secrets: Path) -> None:
        self.server, self.address, self.secrets = server, address, secrets

    @property
    def mails(self) -> list[Any]:
        return list(self.server._ledger.lines)

    async def deliver(self, octets: bytes | None = None, answer_timeout_s: float = 5, **changes: Any) -> Answer:
        wanted = settings(**changes)
        delivery = Delivery(connect_timeout_s=5, answer_timeout_s=answer_timeout_s)
        sender = EmailSender(self.address, wanted, Circumstances(delivery, Secrets(self.secrets), Clock()))
        try:
            report = reportable()
            content = octets or render(report, wanted)
            return await sender.open() or await sender.send(content, report.control_id)
        finally:
            await sender.close()


@asynccontextmanager
async def far_end(tmp_path: Path, *words: str, scheme: str = "smtp", **options: Any) -> AsyncIterator[FarEnd]:
    schedule = Schedule.read(words, MailBehaviour.parse, MailBehaviour())
    server = MailServer(Ledger(), schedule, implicit=scheme == "smtps", **options)
    _, port = await server.start()
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    (secrets / "relay").touch(mode=0o600)
    (secrets / "relay").write_bytes(b"correct horse\n")
    try:
        yield FarEnd(server, f"{scheme}://localhost:{port}", secrets)
    finally:
        await server.stop()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


# ---------------------------------------------------------------- the notice


PHI = ("Doe", "Jane", "1948", "MRN000001", "2.50", "SN000123", "564636", "HomeINR", "07:28", "11:28")


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("processing_id", ["P", "T"])
def test_a_notice_tells_nothing_of_patient_or_result(status: Status, processing_id: str) -> None:
    octets = render(reportable(status=status, processing_id=processing_id), settings())
    mail = email.message_from_bytes(octets, policy=default)
    said = octets.decode("ascii") + mail.get_content()
    assert [word for word in PHI if word in said] == []
    assert mail["Message-ID"] == "<ABCDEFGHIJKLMNOPQRST@supplier.example>"
    assert "https://portal.example/r/ABCDEFGHIJKLMNOPQRST" in mail.get_content()
    assert mail["Subject"].startswith("TEST: ") == (processing_id == "T")
    assert ("withdrawn" in mail.get_content()) == (status is Status.RETRACTED)


def test_the_same_report_makes_the_same_mail_whoever_the_patient_is() -> None:
    one, other = reportable(), reportable(patient=replace(PATIENT, family_name="Ångström", given_name="王"))
    assert render(one, settings()) == render(one, settings()) == render(other, settings())


def test_a_supplier_cannot_smuggle_in_a_header() -> None:
    report = reportable(supplier=Supplier(name="Home INR\r\nBcc: eve@example.org"))
    mail = email.message_from_bytes(render(report, settings()), policy=default)
    assert mail["Bcc"] is None
    assert mail["From"].addresses[0].addr_spec == "noreply@supplier.example"


# ---------------------------------------------------------------- levels


async def test_the_servers_250_proves_that_it_was_sent_and_no_more(tmp_path: Path) -> None:
    async with far_end(tmp_path) as server:
        answer = await server.deliver()
        assert (answer.outcome, answer.level) == (Outcome.ACCEPTED, Level.SENT)
        assert answer.evidence.startswith(b"250 ")
        assert server.mails[0]["octets"].encode("latin-1") == render(reportable(), settings())
        assert server.mails[0]["to"] == ["inr@clinic.example"]


@pytest.mark.parametrize(
    ("word", "outcome", "kept"),
    [
        ("busy:452", Outcome.POSTPONED, 1),
        ("refuse:550", Outcome.REFUSED, 1),
        ("greylist", Outcome.POSTPONED, 0),
        ("no-such-box", Outcome.REFUSED, 0),
        ("drop-before", Outcome.NOT_SENT, 0),
        ("drop-after", Outcome.AMBIGUOUS, 1),
        ("late:3600", Outcome.AMBIGUOUS, 1),
    ],
)
async def test_every_misbehaviour_has_its_outcome_and_none_proves_anything(
    tmp_path: Path, word: str, outcome: Outcome, kept: int
) -> None:
    async with far_end(tmp_path, f"1={word}") as server:
        answer = await server.deliver(answer_timeout_s=0.3 if "late" in word else 5)
        assert (answer.outcome, answer.level) == (outcome, None), answer.text
        assert len(server.mails) == kept
        again = await server.deliver()
        assert again.level is Level.SENT
        assert {mail["message_id"] for mail in server.mails} == {"<ABCDEFGHIJKLMNOPQRST@supplier.example>"}
        assert {mail["sha256"] for mail in server.mails} == {server.mails[0]["sha256"]}


async def test_one_refused_box_of_several_refuses_the_mail(tmp_path: Path) -> None:
    async with far_end(tmp_path, "1=no-such-box") as server:
        answer = await server.deliver(to=["a@clinic.example", "b@clinic.example"])
    assert answer.outcome is Outcome.REFUSED


async def test_nobody_there_sends_nothing(tmp_path: Path) -> None:
    async with far_end(tmp_path) as server:
        pass
    answer = await server.deliver()
    assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
    assert "cannot connect" in answer.text


# ---------------------------------------------------------------- TLS


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_tls_with_a_certificate_that_is_vouched_for(
    tmp_path: Path, certificates: Certificates, scheme: str
) -> None:
    users = {"inr": "correct horse"}
    async with far_end(tmp_path, scheme=scheme, tls=certificates.server(), users=users) as server:
        answer = await server.deliver(ca=str(certificates.authority), user="inr", password="relay")
        assert (answer.outcome, answer.level) == (Outcome.ACCEPTED, Level.SENT), answer.text
        assert answer.certificate == certificates.fingerprint
        assert (server.mails[0]["tls"], server.mails[0]["user"]) == (True, "inr")


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_sends_nothing(
    tmp_path: Path, certificates: Certificates, scheme: str
) -> None:
    stranger = Certificates(tmp_path)
    async with far_end(tmp_path, scheme=scheme, tls=certificates.server()) as server:
        answer = await server.deliver(ca=str(stranger.authority))
        assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
        assert server.mails == []


async def test_a_server_without_starttls_gets_nothing_where_tls_is_wanted(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with far_end(tmp_path) as server:
        answer = await server.deliver(ca=str(certificates.authority))
        assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
        assert "STARTTLS" in answer.text
        assert server.mails == []


async def test_a_wrong_password_is_named_but_not_told(tmp_path: Path, certificates: Certificates) -> None:
    async with far_end(tmp_path, tls=certificates.server(), users={"inr": "another"}) as server:
        answer = await server.deliver(ca=str(certificates.authority), user="inr", password="relay")
    assert answer.outcome is Outcome.NOT_SENT
    assert "correct horse" not in answer.text


async def test_a_missing_secret_or_authority_is_named(tmp_path: Path) -> None:
    async with far_end(tmp_path) as server:
        answer = await server.deliver(user="inr", password="missing")
        assert answer.outcome is Outcome.NOT_SENT
        assert "missing" in answer.text
        answer = await server.deliver(ca=str(tmp_path / "no.pem"))
        assert answer.outcome is Outcome.NOT_SENT
        assert "no.pem" in answer.text


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"portal": "http://portal.example/"},
        {"portal": "https://portal.example/a b"},
        {"to": []},
        {"to": ["Jane Doe <jane@clinic.example>"]},
        {"to": ["a@b\r\nBcc: c@d"]},
        {"user": "inr"},
    ],
)
def test_settings_that_cannot_be_used(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        settings(**wrong)


@pytest.mark.parametrize("address", ["smtp://relay.example:587", "smtps://relay.example", "smtp://[::1]:25"])
def test_addresses_that_can_be_used(address: str) -> None:
    assert channel("email").check_address(address) == address


@pytest.mark.parametrize(
    "address", ["mailto:a@b", "smtp://", "smtp://u:p@relay", "smtp://relay/x", "smtp://relay:0"]
)
def test_addresses_that_cannot(address: str) -> None:
    with pytest.raises(ValueError, match=r"smtp|only host"):
        check_address(address)


def test_tls_may_be_done_without_on_this_machine_alone() -> None:
    from gateway.reporting.channels.email.settings import relay

    plain = settings()
    assert [relay(f"smtp://{host}:25").may_be_plain(plain) for host in ("127.0.0.1", "localhost", "[::1]")] == [
        True
    ] * 3
    assert [relay(f"smtp://{host}:25").may_be_plain(plain) for host in ("10.0.0.1", "relay.example")] == [False] * 2
