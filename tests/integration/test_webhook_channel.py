"""Signed posts to a real web service that misbehaves: what each of its answers proves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Clock
from gateway.reporting.channels import channel
from gateway.reporting.channels.base import Answer, Circumstances, Level, Outcome, Secrets
from gateway.reporting.channels.webhook import CHANNEL
from gateway.reporting.channels.webhook.sender import WebhookSender
from gateway.reporting.channels.webhook.settings import WebhookSettings
from gateway.reporting.channels.webhook.signing import key, rightly_signed, signatures
from gateway.reporting.configuration import Delivery
from gateway.reporting.message import ReportMessage
from simulators.ledger import Ledger
from simulators.provider.schedule import Schedule
from simulators.provider.webhook import PostBehaviour, PostServer, signature
from tests.integration.certificates import Certificates
from tests.unit.reporting.examples import reportable
from tests.unit.reporting.stores import body, quantity

KEY = b"0123456789abcdef0123456789abcdef"
OLD_KEY = b"fedcba9876543210fedcba9876543210"
ID = "ABCDEFGHIJKLMNOPQRST"
AGREEMENT = {"by": "Dr. Rivera", "on": date(2026, 3, 1)}


class FarEnd:
    """A web service and a way to it."""

    def __init__(self, server: PostServer, address: str, secrets: Path) -> None:
        self.server, self.address, self.secrets = server, address, secrets

    @property
    def posts(self) -> list[Any]:
        return list(self.server._ledger.lines)

    def sender(self, answer_timeout_s: float = 5, **changes: Any) -> WebhookSender:
        settings = WebhookSettings.model_validate({"keys": ["hook"], **changes})
        delivery = Delivery(connect_timeout_s=5, answer_timeout_s=answer_timeout_s)
        return WebhookSender(self.address, settings, Circumstances(delivery, Secrets(self.secrets), Clock()))

    async def deliver(self, octets: bytes = b'{"x":1}', **changes: Any) -> Answer:
        sender = self.sender(**changes)
        try:
            return await sender.open() or await sender.send(octets, ID)
        finally:
            await sender.close()


@asynccontextmanager
async def far_end(tmp_path: Path, *words: str, scheme: str = "http", **options: Any) -> AsyncIterator[FarEnd]:
    schedule = Schedule.read(words, PostBehaviour.parse, PostBehaviour())
    server = PostServer(Ledger(), schedule, **{"keys": (KEY,), **options})
    _, port = await server.start()
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    for name, content in (("hook", KEY), ("old-hook", OLD_KEY), ("short", b"short"), ("token", b"t0ken-t0ken")):
        (secrets / name).touch(mode=0o600)
        (secrets / name).write_bytes(content)
    try:
        yield FarEnd(server, f"{scheme}://localhost:{port}/inr", secrets)
    finally:
        await server.stop()


# ---------------------------------------------------------------- levels


async def test_an_answer_that_names_the_report_is_delivery(tmp_path: Path) -> None:
    async with far_end(tmp_path) as service:
        answer = await service.deliver()
        assert (answer.outcome, answer.level) == (Outcome.DELIVERED, Level.DELIVERED), answer.text
        assert json.loads(answer.evidence.partition(b"\n\n")[2]) == {"received": ID}
        assert (service.posts[0]["id"], service.posts[0]["idempotency_key"]) == (ID, ID)


@pytest.mark.parametrize(
    ("word", "changes", "outcome", "level"),
    [
        ("unsigned", {}, Outcome.DELIVERED, Level.DELIVERED),
        ("unsigned", {"signed_receipts": True}, Outcome.ACCEPTED, Level.ACCEPTED),
        ("echo", {"signed_receipts": True}, Outcome.DELIVERED, Level.DELIVERED),
        ("forged", {}, Outcome.ACCEPTED, Level.ACCEPTED),
        ("plain", {}, Outcome.ACCEPTED, Level.ACCEPTED),
        ("plain", {"accepted_is_enough": AGREEMENT}, Outcome.DELIVERED, Level.ACCEPTED),
        ("status:204", {}, Outcome.ACCEPTED, Level.ACCEPTED),
        ("endless", {}, Outcome.ACCEPTED, Level.ACCEPTED),
        ("wrong-echo", {}, Outcome.AMBIGUOUS, Level.SENT),
        ("wrong-echo", {"accepted_is_enough": AGREEMENT}, Outcome.AMBIGUOUS, Level.SENT),
        ("drop", {}, Outcome.AMBIGUOUS, Level.SENT),
        ("half", {}, Outcome.AMBIGUOUS, Level.SENT),
        ("late:3600", {"answer_timeout_s": 0.3}, Outcome.AMBIGUOUS, Level.SENT),
        ("status:301", {}, Outcome.REFUSED, Level.SENT),
        ("status:400", {}, Outcome.REFUSED, Level.SENT),
        ("status:403", {}, Outcome.REFUSED, Level.SENT),
        ("status:404", {}, Outcome.REFUSED, Level.SENT),
        ("status:422", {}, Outcome.REFUSED, Level.SENT),
        ("status:408", {}, Outcome.POSTPONED, Level.SENT),
        ("status:500", {}, Outcome.POSTPONED, Level.SENT),
    ],
)
async def test_every_answer_has_its_level_and_a_repetition_is_the_same_report(
    tmp_path: Path, word: str, changes: dict[str, Any], outcome: Outcome, level: Level
) -> None:
    async with far_end(tmp_path, f"1={word}") as service:
        answer = await service.deliver(**changes)
        assert (answer.outcome, answer.level) == (outcome, level), answer.text
        again = await service.deliver()
        assert again.level is Level.DELIVERED
        assert [(post["id"], post["copy"]) for post in service.posts] == [(ID, 1), (ID, 2)]
        assert service.posts[1]["same_octets"] in (True, None)
        assert len(answer.evidence) < 70_000


@pytest.mark.parametrize(
    ("header", "least", "most"), [("7", 7, 7), ("999999999", 86400, 86400), ("soon", None, None)]
)
async def test_retry_after_is_kept_to(tmp_path: Path, header: str, least: float | None, most: float | None) -> None:
    async with far_end(tmp_path, f"*=status:429:{header}") as service:
        answer = await service.deliver()
    assert answer.outcome is Outcome.POSTPONED
    assert (
        (answer.retry_after_s is None)
        if least is None or most is None
        else (least <= (answer.retry_after_s or 0) <= most)
    )


async def test_retry_after_may_be_a_date(tmp_path: Path) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    async with far_end(tmp_path, f"*=status:503:{at}") as service:
        answer = await service.deliver()
    assert 90 < (answer.retry_after_s or 0) <= 100


async def test_keys_change_without_a_gap(tmp_path: Path) -> None:
    """Theirs: old; both of ours sign. Theirs: new; both of ours sign. Then ours is the new one alone."""
    for theirs, ours, right in (
        ((OLD_KEY,), ["hook", "old-hook"], True),
        ((KEY,), ["hook", "old-hook"], True),
        ((KEY, OLD_KEY), ["old-hook"], True),
        ((KEY,), ["old-hook"], False),
    ):
        async with far_end(tmp_path, keys=theirs) as service:
            answer = await service.deliver(keys=ours)
            assert (answer.level is Level.DELIVERED) == right
            assert right or (answer.outcome is Outcome.REFUSED and service.posts[0]["event"] == "unsigned")


async def test_one_client_serves_many_posts_and_is_closed(tmp_path: Path) -> None:
    async with far_end(tmp_path) as service:
        sender = service.sender()
        assert (await sender.send(b"{}", ID)).outcome is Outcome.NOT_SENT
        assert await sender.open() is None
        for _ in range(5):
            assert sender.ready
            assert (await sender.send(b"{}", ID)).level is Level.DELIVERED
        await sender.close()
        assert not sender.ready


# ---------------------------------------------------------------- nothing leaves


async def test_tls_is_checked(tmp_path: Path) -> None:
    own, stranger = tmp_path / "own", tmp_path / "stranger"
    own.mkdir()
    stranger.mkdir()
    certificates, strangers = Certificates(own), Certificates(stranger)
    async with far_end(tmp_path, scheme="https", tls=certificates.server()) as service:
        answer = await service.deliver(ca=str(certificates.authority), token="token")
        assert answer.level is Level.DELIVERED, answer.text
        assert answer.certificate == certificates.fingerprint
        answer = await service.deliver(ca=str(strangers.authority))
        assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
        answer = await service.deliver(ca=str(tmp_path / "no.pem"))
        assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
        assert len(service.posts) == 1


async def test_nobody_there_or_no_key_sends_nothing(tmp_path: Path) -> None:
    async with far_end(tmp_path) as service:
        for name in ("missing", "short"):
            answer = await service.deliver(keys=[name])
            assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
            assert name in answer.text
        assert service.posts == []
    assert (await service.deliver()).outcome is Outcome.NOT_SENT


@pytest.mark.parametrize(
    "address", ["http://clinic.example/inr", "ftp://clinic.example", "https://", "https://u:p@clinic.example/", "x"]
)
def test_addresses_that_cannot_be_used(address: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        CHANNEL.check_address(address)
    assert channel("webhook") is CHANNEL


# ---------------------------------------------------------------- what is sent


def test_the_body_says_what_the_report_says() -> None:
    report = reportable(result=body(quantity("8.0", ">"), pt_seconds=quantity("96.10")))
    octets = CHANNEL.render(report, WebhookSettings(keys=("hook",)))
    assert octets == CHANNEL.render(report, WebhookSettings(keys=("hook",)))
    said = json.loads(octets)
    assert said["schema"] == "inr-gateway/report/1"
    assert said["inr"] == {"text": ">8.0", "value": "8.0", "comparator": ">", "unit": None}
    assert said["pt_seconds"]["value"] == "96.10"
    assert said["taken_at"] == "2026-03-14T07:28:00-04:00"
    assert said["patient"]["provider_patient_id"] == "MRN000001"
    assert not said["test"]
    assert ReportMessage.model_validate_json(octets).id == report.control_id


def test_signatures_are_those_of_the_published_scheme() -> None:
    """The example of the Standard Webhooks reference libraries."""
    secret = key(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    name, at, content = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signatures([secret], name, at, content) == signature(secret, name, at, content) == expected


@given(st.binary(max_size=40), st.text(max_size=20), st.text(max_size=60), st.integers(0, 10**12))
def test_no_noise_is_a_signature(content: bytes, at: str, signed: str, now_s: int) -> None:
    fields = {"webhook-timestamp": at, "webhook-signature": signed}
    assert not rightly_signed([KEY], ID, fields, content, now_s)


@given(st.binary(max_size=40), st.integers(0, 10**10), st.integers(-1000, 1000))
def test_a_right_signature_counts_while_it_is_fresh(content: bytes, at: int, later: int) -> None:
    fields = {"webhook-timestamp": str(at), "webhook-signature": signatures([OLD_KEY, KEY], ID, str(at), content)}
    assert rightly_signed([KEY], ID, fields, content, at + later) == (abs(later) <= 300)
    assert not rightly_signed([KEY], ID, fields, content + b" ", at)
    assert not rightly_signed([KEY], ID[::-1], fields, content, at)


@pytest.mark.parametrize("secret", [b"", b"x" * 23, b"whsec_***", b"whsec_MfKQ9r8="])
def test_a_weak_key_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match=r"octets|base64"):
        key(secret)
