"""From a store to an SFTP, a mail and a web server that misbehave: what is kept, and what no stranger may read."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from simulators.ledger import Ledger
from simulators.provider.files import FileBehaviour, FileServer
from simulators.provider.mail import MailBehaviour, MailServer
from simulators.provider.schedule import Schedule
from simulators.provider.webhook import PostBehaviour, PostServer
from tests.unit.reporting.stores import Store, quantity

KEY = b"0123456789abcdef0123456789abcdef"
PATIENT = ("Doe", "Jane", "1948-03-18", "18 Mar 1948", "MRN-p", "SN000123", "7.853", "564636", "HomeINR")
"""Names, dates, identifiers and values of the synthetic patient, as any of them might slip out."""


class Scene:
    """A store whose one provider has three destinations."""

    def __init__(self, store: Store, files: FileServer, mails: MailServer, posts: PostServer) -> None:
        self.store, self.files, self.mails, self.posts = store, files, mails, posts

    def reports(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self.store.rows("SELECT destination_id, state FROM report")}

    def levels(self, destination: str) -> list[str]:
        rows = self.store.rows(
            "SELECT level FROM evidence e JOIN report r ON r.id = e.report_id"
            " WHERE destination_id = ? ORDER BY e.id",
            destination,
        )
        return [row[0] for row in rows]

    async def until(self, **states: str) -> None:
        async with asyncio.timeout(20):
            while self.reports() != states:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def scene(tmp_path: Path, files: list[str], mails: list[str], posts: list[str]) -> AsyncIterator[Scene]:
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    for name, content in (("partner", b"hunter2-hunter2"), ("hook", KEY)):
        (secrets / name).touch(mode=0o600)
        (secrets / name).write_bytes(content)
    folder = FileServer(
        Ledger(),
        tmp_path / "partner",
        Schedule.read(files, FileBehaviour.parse, FileBehaviour()),
        users={"inr": "hunter2-hunter2"},
    )
    box = MailServer(Ledger(), Schedule.read(mails, MailBehaviour.parse, MailBehaviour()))
    service = PostServer(Ledger(), Schedule.read(posts, PostBehaviour.parse, PostBehaviour()), keys=(KEY,))
    ports = {name: (await server.start())[1] for name, server in (("f", folder), ("m", box), ("p", service))}
    store = Store(tmp_path / "store.db", role="production")
    wanted: dict[str, tuple[str, str, dict[str, Any]]] = {
        "folder": (
            "sftp",
            f"sftp://inr@127.0.0.1:{ports['f']}/inbox",
            {
                "password": "partner",
                "host_keys": [folder.fingerprint],
                "receipt": "../receipts/{name}.ok",
                "refusal": "../errors/{name}.err",
                "receipt_wait_s": 0,
            },
        ),
        "box": (
            "email",
            f"smtp://127.0.0.1:{ports['m']}",
            {
                "sender": "noreply@supplier.example",
                "to": ["inr@clinic.example"],
                "portal": "https://portal.example/",
            },
        ),
        "hook": ("webhook", f"http://127.0.0.1:{ports['p']}/inr", {"keys": ["hook"]}),
    }
    for name, (channel, address, settings) in wanted.items():
        store.provider("a", address, destination=name, channel=channel, settings=json.dumps(settings))
    store.patient("p", "a")
    quick = Settings(
        secrets=secrets,
        poll_s=0.05,
        connect_timeout_s=5,
        answer_timeout_s=5,
        retry_first_s=0.05,
        retry_most_s=0.2,
        receipt_first_s=0.05,
        receipt_most_s=0.2,
    )
    delivery = Delivery(store.path, quick, store.clock, store.role)
    delivery.start()
    try:
        yield Scene(store, folder, box, service)
    finally:
        await asyncio.to_thread(delivery.stop, 0.2)
        for server in (folder, box, service):
            await server.stop()
        store.close()


async def test_every_channel_gets_there_on_its_own_evidence_and_tells_strangers_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """First tries fail on every channel; the most talkative log, the mail and the file's name tell nothing."""
    with caplog.at_level(logging.DEBUG):
        async with scene(tmp_path, ["1=drop:3000", "2=late:0.3"], ["1=busy"], ["1=drop", "2=status:503"]) as there:
            there.store.result("p", inr=quantity("7.853"))
            await there.until(folder="delivered", box="accepted", hook="delivered")
            assert there.levels("folder")[-2:] == ["accepted", "delivered"]
            assert there.levels("box") == ["sent"]
            assert there.levels("hook") == ["sent", "sent", "delivered"]
            (file,) = list((there.files.folder / "inbox").iterdir())
            octets = there.store.value("SELECT octets FROM report WHERE destination_id = 'folder'")
            assert file.read_bytes() == octets
            assert len([line for line in there.files._ledger.lines if line["event"] == "file"]) == 1
            mails = "".join(line["octets"] for line in there.mails._ledger.lines)
            said = [row[0] for row in there.store.rows("SELECT last_error FROM report")]
    for where in (caplog.text, mails, file.name, *said):
        assert [word for word in PATIENT if word in where] == []
    assert "7.853" in there.posts._ledger.lines[0]["octets"]  # the report itself does tell
    assert len(caplog.records) > 20


async def test_a_refusal_by_every_far_end_waits_for_a_person_without_a_word_of_the_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with scene(tmp_path, ["*=reject"], ["*=no-such-box"], ["*=status:422"]) as there:
            there.store.result("p", inr=quantity("7.853"))
            await there.until(folder="refused", box="refused", hook="refused")
            said = [row[0] for row in there.store.rows("SELECT last_error FROM report")]
    assert all(said)
    for where in (caplog.text, *said):
        assert [word for word in PATIENT if word in where] == []


async def test_a_renderer_that_cannot_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    async with scene(tmp_path, [], [], []) as there:
        settings = json.loads(there.store.value("SELECT settings FROM destination WHERE id = 'folder'"))
        broken = json.dumps({**settings, "more_fonts": [str(tmp_path / "no.ttf")]})
        there.store.write("UPDATE destination SET settings = ? WHERE id = 'folder'", broken)
        there.store.result("p", inr=quantity("7.853"))
        await there.until(box="accepted", hook="delivered")
        detail = there.store.value("SELECT detail FROM quarantine WHERE reason = 'unreportable'")
        assert str(tmp_path / "no.ttf") in detail
        assert [word for word in PATIENT if word in detail] == []
