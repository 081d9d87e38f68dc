"""Files over real SFTP to a server that misbehaves: what each of its ways proves, and no file is there twice."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from gateway.clock import Clock
from gateway.reporting.channels import channel
from gateway.reporting.channels.agreement import Agreement
from gateway.reporting.channels.base import Answer, Circumstances, Level, Outcome, Secrets
from gateway.reporting.channels.sftp.sender import ReceiptSftpSender, SftpSender
from gateway.reporting.channels.sftp.sender import sender as make_sender
from gateway.reporting.channels.sftp.settings import SftpSettings, check_address
from gateway.reporting.configuration import Delivery
from simulators.ledger import Ledger
from simulators.provider.files import FileBehaviour, FileServer
from simulators.provider.schedule import Schedule

OCTETS = b"%PDF-1.4 " + bytes(range(256)) * 40
ID = "ABCDEFGHIJKLMNOPQRST"
NAME = f"INR_{ID}.pdf"
RECEIPTS: dict[str, Any] = {"receipt": "../receipts/{name}.ok", "refusal": "../errors/{name}.err"}
AGREEMENT = Agreement(by="Dr. Rivera", on=date(2026, 3, 1))


class FarEnd:
    """A server and a way to it."""

    def __init__(self, server: FileServer, port: int, secrets: Path) -> None:
        self.server, self.port, self.secrets = server, port, secrets
        self.address = f"sftp://inr@127.0.0.1:{port}/inbox"

    @property
    def lines(self) -> list[Any]:
        return [line for line in self.server._ledger.lines if line["event"] == "file"]

    def sender(self, *, answer_timeout_s: float = 5.0, **settings: Any) -> SftpSender:
        wanted: dict[str, Any] = {
            "password": "partner",
            "host_keys": (self.server.fingerprint,),
            "receipt_wait_s": 0.0,
            **settings,
        }
        delivery = Delivery(connect_timeout_s=5, answer_timeout_s=answer_timeout_s)
        circumstances = Circumstances(delivery, Secrets(self.secrets), Clock())
        return make_sender(self.address, SftpSettings(**wanted), circumstances)

    async def deliver(self, octets: bytes = OCTETS, control_id: str = ID, **settings: Any) -> Answer:
        sender = self.sender(**settings)
        try:
            return await sender.open() or await sender.send(octets, control_id)
        finally:
            await sender.close()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    keep(folder, "partner", b"hunter2-hunter2")
    return folder


def keep(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.touch(mode=0o600)
    path.write_bytes(content)


@asynccontextmanager
async def far_end(tmp_path: Path, secrets: Path, *words: str, **options: Any) -> AsyncIterator[FarEnd]:
    schedule = Schedule.read(words, FileBehaviour.parse, FileBehaviour())
    users = {"inr": "hunter2-hunter2"}
    server = FileServer(Ledger(), tmp_path / "partner", schedule, **{"users": users, **options})
    _, port = await server.start()
    try:
        yield FarEnd(server, port, secrets)
    finally:
        await server.stop()


# ---------------------------------------------------------------- levels


async def test_a_file_that_was_read_back_is_accepted(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets, "*=no-receipt") as partner:
        answer = await partner.deliver()
        assert not hasattr(partner.sender(), "receipt")  # nothing to look for
        assert (answer.outcome, answer.level) == (Outcome.ACCEPTED, Level.ACCEPTED)
        assert hashlib.sha256(OCTETS).hexdigest().encode() in answer.evidence
        assert (partner.server.folder / "inbox" / NAME).read_bytes() == OCTETS
        assert [path.name for path in (partner.server.folder / "inbox").iterdir()] == [NAME]
        assert len(bytes.fromhex(answer.certificate)) == 32


async def test_the_partners_receipt_is_delivery(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets) as partner:
        answer = await partner.deliver(**RECEIPTS, receipt_wait_s=5)
    assert (answer.outcome, answer.level) == (Outcome.DELIVERED, Level.DELIVERED)
    assert answer.evidence.startswith(f"received {NAME} sha256=".encode())


async def test_a_receipt_that_comes_late_is_found_without_another_upload(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets, "*=late:0.3") as partner:
        sender = partner.sender(**RECEIPTS)
        assert isinstance(sender, ReceiptSftpSender)
        assert await sender.open() is None
        assert (await sender.send(OCTETS, ID)).outcome is Outcome.ACCEPTED
        assert await sender.receipt(OCTETS, ID) is None
        found = None
        async with asyncio.timeout(5):
            while found is None:
                found = await sender.receipt(OCTETS, ID)
        await sender.close()
        assert (found.outcome, found.level) == (Outcome.DELIVERED, Level.DELIVERED)
        assert len(partner.lines) == 1


async def test_waiting_for_a_receipt_finds_it(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets, "*=late:0.2") as partner:
        answer = await partner.deliver(**RECEIPTS, receipt_wait_s=5)
    assert answer.level is Level.DELIVERED


async def test_a_resend_finds_the_same_file_and_does_not_write_it_again(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets, "*=no-receipt") as partner:
        first, second = await partner.deliver(), await partner.deliver()
        assert (second.outcome, second.level) == (first.outcome, first.level)
        assert second.evidence == first.evidence
        assert len(partner.lines) == 1


async def test_another_file_of_that_name_is_not_overwritten(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets) as partner:
        there = partner.server.folder / "inbox" / NAME
        for content in (b"somebody else's", b"x" * len(OCTETS)):
            there.write_bytes(content)
            answer = await partner.deliver()
            assert answer.outcome is Outcome.REFUSED
            assert answer.level is None
            assert "other content" in answer.text
            assert there.read_bytes() == content


async def test_a_signed_agreement_makes_accepted_enough_and_the_evidence_no_better(
    tmp_path: Path, secrets: Path
) -> None:
    async with far_end(tmp_path, secrets, "*=no-receipt") as partner:
        answer = await partner.deliver(accepted_is_enough=AGREEMENT)
    assert (answer.outcome, answer.level) == (Outcome.DELIVERED, Level.ACCEPTED)
    assert "Dr. Rivera, 2026-03-01" in answer.text


async def test_a_receipt_for_other_octets_does_not_count_where_a_digest_is_agreed(
    tmp_path: Path, secrets: Path
) -> None:
    async with far_end(tmp_path, secrets, "1=wrong-receipt", "2=receipt") as partner:
        wrong = await partner.deliver(**RECEIPTS, receipt_has_digest=True)
        right = await partner.deliver(control_id=ID[::-1], **RECEIPTS, receipt_has_digest=True, receipt_wait_s=5)
    assert wrong.level is Level.ACCEPTED
    assert right.level is Level.DELIVERED


async def test_what_the_partner_cannot_use_goes_to_a_person(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets, "*=reject") as partner:
        answer = await partner.deliver(**RECEIPTS, receipt_wait_s=5)
    assert answer.outcome is Outcome.REFUSED
    assert "unknown patient id" in answer.text


async def test_a_file_that_is_taken_away_at_once_is_accepted(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets, "1=take-silently", "2=take-away") as partner:
        silent = await partner.deliver(**RECEIPTS)
        told = await partner.deliver(control_id=ID[::-1], **RECEIPTS, receipt_wait_s=5)
    assert (silent.outcome, silent.level) == (Outcome.ACCEPTED, Level.ACCEPTED)
    assert b"taken away" in silent.evidence
    assert told.level is Level.DELIVERED


async def test_a_letter_box_proves_only_that_it_was_sent(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets, "*=no-reading") as partner:
        refused = await partner.deliver()
        answer = await partner.deliver(read_back=False)
    assert refused.outcome is Outcome.REFUSED
    assert (answer.outcome, answer.level) == (Outcome.ACCEPTED, Level.SENT)


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("word", "outcome", "level"),
    [
        ("deny", Outcome.REFUSED, None),
        ("disk-full:4000", Outcome.POSTPONED, None),
        ("disk-full:0", Outcome.POSTPONED, None),
        ("drop:4000", Outcome.AMBIGUOUS, None),
        ("drop-rename", Outcome.AMBIGUOUS, Level.SENT),
    ],
)
async def test_every_failure_has_its_outcome_and_the_next_try_delivers(
    tmp_path: Path, secrets: Path, word: str, outcome: Outcome, level: Level | None
) -> None:
    async with far_end(tmp_path, secrets, f"1={word}") as partner:
        answer = await partner.deliver()
        assert (answer.outcome, answer.level) == (outcome, level), answer.text
        again = await partner.deliver(**RECEIPTS, receipt_wait_s=5)
        assert again.level is Level.DELIVERED, again.text
        assert [(line["copy"], line["same_octets"]) for line in partner.lines] == [(1, True)]
        assert partner.lines[0]["sha256"] == hashlib.sha256(OCTETS).hexdigest()


async def test_a_missing_folder_needs_a_person(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets) as partner:
        partner.address = f"sftp://inr@127.0.0.1:{partner.port}/no/such/folder"
        answer = await partner.deliver()
    assert answer.outcome is Outcome.REFUSED
    assert "writing the file" in answer.text


async def test_a_host_key_that_is_not_the_pinned_one_ends_it_before_anything_leaves(
    tmp_path: Path, secrets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with far_end(tmp_path, secrets) as partner:
            answer = await partner.deliver(host_keys=("SHA256:" + "A" * 43,))
            assert partner.lines == []
            assert partner.server.fingerprint in answer.text
    assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
    assert "hunter2" not in caplog.text


async def test_a_known_hosts_file_pins_too(tmp_path: Path, secrets: Path) -> None:
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    async with far_end(tmp_path, secrets, host_key=host_key.export_private_key()) as partner:
        known = tmp_path / "known_hosts"
        public = host_key.export_public_key().decode().strip()
        known.write_text(f"[127.0.0.1]:{partner.port} {public}\n", encoding="ascii")
        assert (await partner.deliver(host_keys=(), known_hosts=known)).level is Level.ACCEPTED
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
        known.write_text(f"[127.0.0.1]:{partner.port} {other}\n", encoding="ascii")
        answer = await partner.deliver(host_keys=(), known_hosts=known)
        assert answer.outcome is Outcome.NOT_SENT
        known.unlink()
        answer = await partner.deliver(host_keys=(), known_hosts=known)
        assert answer.outcome is Outcome.NOT_SENT
        assert str(known) in answer.text
        known.write_text("this is no line of such a file\n", encoding="ascii")
        assert (await partner.deliver(host_keys=(), known_hosts=known)).outcome is Outcome.NOT_SENT


async def test_a_key_logs_in(tmp_path: Path, secrets: Path) -> None:
    own = asyncssh.generate_private_key("ssh-ed25519")
    keep(secrets, "own-key", own.export_private_key("pkcs8-pem", passphrase="open sesame"))
    keep(secrets, "own-pass", b"open sesame\n")
    keep(secrets, "no-key", b"nonsense")
    keys = own.export_public_key().decode()
    async with far_end(tmp_path, secrets, keys=keys, users={}) as partner:
        login: dict[str, Any] = {"password": None, "key": "own-key", "key_passphrase": "own-pass"}
        assert (await partner.deliver(**login)).level is Level.ACCEPTED
        answer = await partner.deliver(password=None, key="no-key")
        assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
        assert "secret no-key" in answer.text
        answer = await partner.deliver(password=None, key="missing")
        assert answer.outcome is Outcome.NOT_SENT
        assert str(secrets / "missing") in answer.text


async def test_a_wrong_password_or_nobody_there_sends_nothing(tmp_path: Path, secrets: Path) -> None:
    keep(secrets, "wrong", b"not it")
    async with far_end(tmp_path, secrets) as partner:
        answer = await partner.deliver(password="wrong")
        assert (answer.outcome, answer.level) == (Outcome.NOT_SENT, None)
        assert "not it" not in answer.text
    answer = await partner.deliver()
    assert answer.outcome is Outcome.NOT_SENT


async def test_one_connection_serves_many_files(tmp_path: Path, secrets: Path) -> None:
    async with far_end(tmp_path, secrets, "*=no-receipt") as partner:
        sender = partner.sender()
        assert await sender.open() is None
        for number in range(10):
            assert sender.ready
            assert await sender.open() is None
            assert (await sender.send(OCTETS, f"CONTROL{number}")).level is Level.ACCEPTED
        await sender.close()
        assert not sender.ready
        assert (await sender.send(OCTETS, ID)).outcome is Outcome.NOT_SENT
        assert len(partner.lines) == 10


# ---------------------------------------------------------------- settings


def test_nothing_is_trusted_blindly_and_no_receipt_answers_for_all() -> None:
    pinned: dict[str, Any] = {"password": "x", "host_keys": ("SHA256:" + "A" * 43,)}
    SftpSettings(**pinned)
    for wrong, words in (
        ({**pinned, "host_keys": ()}, "not pinned"),
        ({**pinned, "password": None}, "nothing to log in with"),
        ({**pinned, "receipt": "receipts/all.ok"}, "neither"),
        ({**pinned, "prefix": "../"}, "prefix"),
        ({**pinned, "host_keys": ("aa:bb",)}, "host_keys"),
    ):
        with pytest.raises(ValueError, match=words):
            SftpSettings(**wrong)


@pytest.mark.parametrize("address", ["sftp://inr@host/in", "sftp://inr@host:2222/~/in", "sftp://a%40b@[::1]:22/"])
def test_addresses_that_can_be_used(address: str) -> None:
    assert check_address(address) == address
    assert channel("sftp").check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "sftp://host/in",
        "sftp://inr:secret@host/in",
        "ftp://inr@host/in",
        "sftp://inr@host:x/in",
        "sftp://inr@host",
        "sftp://inr@host/in/../../etc",
        "sftp://inr@host/in?x=1",
        "",
        "sftp:///in",
    ],
)
def test_addresses_that_cannot(address: str) -> None:
    with pytest.raises(ValueError, match="sftp://user@host") as caught:
        check_address(address)
    assert "secret@" not in str(caught.value)
