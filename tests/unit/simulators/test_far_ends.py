"""``inr-gateway simulate provider`` of every kind: what it says, and that its ledger outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import smtplib
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from simulators.ledger import Ledger, LedgerError, read
from simulators.provider.fhir_behaviour import FhirManner
from simulators.provider.files import FileBehaviour, FileManner, FileServer
from simulators.provider.mail import MailBehaviour, MailManner, MailServer
from simulators.provider.webhook import PostBehaviour, PostManner, PostServer

WITHIN_S = 20
ROOT = Path(__file__).resolve().parents[3]
RUN = "import sys; from gateway.cli.main import main; sys.exit(main())"
Begin = Callable[..., "subprocess.Popen[str]"]
MAIL = b"From: a@b.example\r\nMessage-ID: <1@b.example>\r\n\r\nhello\r\n"


@pytest.fixture
def begin() -> Iterator[Begin]:
    begun: list[subprocess.Popen[str]] = []

    def start(kind: str, *words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RUN, "simulate", "provider", "--kind", kind, *map(str, words)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env={**os.environ})
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate(timeout=WITHIN_S)


def ready(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=WITHIN_S)
    assert (process.returncode, said) == (0, "")


def test_a_mail_server_keeps_what_it_took_over_a_kill(begin: Begin, tmp_path: Path) -> None:
    ledger = tmp_path / "mails.jsonl"
    for copy in (1, 2):
        process = begin("smtp", "--ledger", ledger)
        there = ready(process)
        assert (there["ready"], there["kind"]) == ("provider", "smtp")
        with smtplib.SMTP(there["host"], there["port"], timeout=WITHIN_S) as server:
            server.sendmail("a@b.example", ["c@d.example"], MAIL)
        if copy == 1:
            process.kill()
        else:
            end(process)
        assert [line["copy"] for line in read(ledger)] == list(range(1, copy + 1))


def test_a_web_service_answers_with_the_name_of_what_it_has(begin: Begin, tmp_path: Path) -> None:
    ledger = tmp_path / "posts.jsonl"
    process = begin("webhook", "--ledger", ledger, "--misbehave", "2=plain")
    there = ready(process)
    for status, content in ((200, b'{"received": "N1"}'), (202, b"")):
        post = urllib.request.Request(
            f"http://{there['host']}:{there['port']}/", data=b"{}", headers={"webhook-id": "N1"}
        )
        with urllib.request.urlopen(post, timeout=WITHIN_S) as answer:
            assert (answer.status, answer.read()) == (status, content)
    end(process)
    assert [(line["id"], line["copy"]) for line in read(ledger)] == [("N1", 1), ("N1", 2)]


async def test_a_folder_writes_receipts(begin: Begin, tmp_path: Path) -> None:
    ledger, folder = tmp_path / "files.jsonl", tmp_path / "partner"
    process = begin("sftp", "--ledger", ledger, "--folder", folder, "--login", "inr:secret")
    there = await asyncio.to_thread(ready, process)
    assert there["host_key"].startswith("SHA256:")
    async with (
        asyncssh.connect(
            there["host"], there["port"], username="inr", password="secret", known_hosts=None, config=[]
        ) as connection,
        connection.start_sftp_client() as files,
    ):
        async with files.open("/inbox/a.pdf.part", "wb") as file:
            await file.write(b"hello")
        assert not await files.exists("/receipts/a.pdf.ok")
        await files.rename("/inbox/a.pdf.part", "/inbox/a.pdf")
        assert await files.exists("/receipts/a.pdf.ok")
    await asyncio.to_thread(end, process)
    (line,) = read(ledger)
    assert (line["name"], line["size"]) == ("a.pdf", 5)


def test_a_fhir_server_begins_too(begin: Begin) -> None:
    process = begin("fhir", "--login", "client:secret")
    assert ready(process)["kind"] == "fhir"
    end(process)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sftp",), "--kind sftp needs --folder"),
        (("sftp", "--folder", "x"), "nobody could come in"),
        (("smtp", "--login", "nobody"), "--login is written NAME:PASSWORD"),
        (("smtp", "--implicit-tls"), "--implicit-tls needs --certificate"),
        (("mllp", "--client-ca", "x"), "--client-ca needs --certificate"),
        (("webhook", "--certificate", "/nowhere.pem"), "/nowhere.pem: no certificate"),
        (("webhook", "--key", "/nowhere.key"), "/nowhere.key: cannot be read"),
        (("webhook", "--misbehave", "1=rude"), "--misbehave 'rude' is no behaviour"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gateway.cli.main import main

    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "provider", "--kind", *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("manners", [FhirManner, MailManner, FileManner, PostManner])
def test_help_shows_every_behaviour(manners: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway.cli.main import main

    with pytest.raises(SystemExit):
        main(["simulate", "provider", "--help"])
    said = capsys.readouterr().out
    assert [manner for manner in manners if f" {manner}" not in said and f", {manner}" not in said] == []


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (MailBehaviour, ["rude", "late", "late:x", "late:-1", "busy:550", "refuse:4", "accept:1"]),
        (FileBehaviour, ["rude", "late:", "disk-full:x", "receipt:1"]),
        (PostBehaviour, ["rude", "late:nan", "status", "status:99", "echo:1"]),
    ],
)
def test_a_behaviour_that_is_none_is_refused(behaviour: Any, words: list[str]) -> None:
    for word in words:
        with pytest.raises(ValueError, match=word.partition(":")[0]):
            behaviour.parse(word)


def test_a_ledger_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"event":"message","control_id":"1"}\n', encoding="ascii")
    for make in (MailServer, PostServer, lambda ledger: FileServer(ledger, tmp_path / "partner")):
        ledger = Ledger(path)
        with pytest.raises(LedgerError, match="'message'"):
            make(ledger)
        ledger.close()
