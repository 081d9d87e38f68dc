"""``inr-gateway deliveries``: the answer to "where is it, and why is it not there yet"."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.queueing import fall_back, queue_reports
from gateway.store import destinations, sendings
from gateway.store.destinations import Breaker
from gateway.store.sendings import Said
from tests.unit.reporting.stores import TAKEN, Store

Listing = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    (tmp_path / "server.toml").write_text(
        f'[server]\nname = "test"\nstore = "{store.path}"\nrole = "rig"\n', encoding="utf-8"
    )
    store.provider("a", "mllp://127.0.0.1:2575")
    store.patient("p", "a")
    store.patient("q", "a")
    yield store
    store.close()


@pytest.fixture
def listed(store: Store, capsys: pytest.CaptureFixture[str]) -> Listing:
    def listing(*words: str) -> list[dict[str, Any]]:
        assert main(["deliveries", "--config", str(store.path.parent / "server.toml"), "--json", *words]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return listing


def queue(store: Store, *results: int) -> None:
    with transaction(store.database):
        queue_reports(store.database, "rig", results, Settings(), store.clock)


def send(store: Store, outcome: str, level: str | None, text: str = "", again: bool = False) -> None:
    """One sending of what is next, as the courier writes it down."""
    now = store.clock.now()
    with transaction(store.database):
        due = sendings.due(store.database, "a-hl7", now, timedelta(days=1))
        assert due is not None
        begun = sendings.begin_attempt(store.database, due, now)
        assert begun is not None
        sendings.settle(
            store.database,
            begun,
            Said(outcome, level, b"MSA", "127.0.0.1:2575 (EHR)", text),
            now=now,
            again_at=now + timedelta(minutes=5) if again else None,
        )


def test_says_where_each_one_is(store: Store, listed: Listing) -> None:
    results = store.results("p", 4)
    queue(store, *results)
    send(store, "delivered", "delivered")
    send(store, "refused", "sent", "AR: no")
    send(store, "ambiguous", "sent", "no whole answer within 30 s", again=True)
    rows = listed()
    assert [row["state"] for row in rows] == ["delivered", "refused", "waiting", "waiting"]
    assert [row["evidence"] for row in rows] == ["delivered", "sent", "sent", ""]
    assert [row["attempts"] for row in rows] == [1, 1, 1, 0]
    assert rows[0]["peer"] == "127.0.0.1:2575 (EHR)"
    assert rows[0]["why"] == ""
    assert rows[1]["why"] == "waits for a person: AR: no ('deliveries resend 2 --by NAME')"
    assert rows[2]["why"].startswith("no whole answer within 30 s; tried again not before 20")
    assert rows[3]["why"] == "behind earlier reports to a-hl7: no whole answer within 30 s"
    assert [row["report"] for row in listed("--state", "waiting")] == [3, 4]
    assert listed("--patient", "q") == []


def test_says_why_there_is_no_report(store: Store, listed: Listing) -> None:
    store.quarantine(store.result("p", "held", TAKEN))
    store.result("p", "untreated", TAKEN - timedelta(days=999))
    store.result("q", "ready", TAKEN + timedelta(days=1))
    store.patient("r")
    store.write("INSERT INTO provider (id, name, updated_at) VALUES ('b', 'Clinic b', ?)", utc(TAKEN))
    with transaction(store.database):
        store.treat("r", "b", TAKEN)
    store.result("r", "unreachable", TAKEN + timedelta(days=2))
    assert [(row["result"], row["state"], row["why"]) for row in listed()] == [
        ("untreated", "none", "no provider treats the patient at the time of the test"),
        ("held", "none", "waits for a person, or was dismissed by one ('inr-gateway quarantine list')"),
        ("ready", "none", "about to be made"),
        ("unreachable", "none", "the treating provider has no destination"),
    ]


def test_says_that_a_restored_store_waits(store: Store, listed: Listing) -> None:
    queue(store, store.result("p", "queued"))
    store.result("p", "not queued")
    store.restored()
    assert {row["why"].split(" and ")[0] for row in listed()} == {"the store was restored"}


def test_says_which_version_is_waited_for(store: Store, listed: Listing) -> None:
    result = store.result("p")
    queue(store, result)
    store.version(result, "p", "corrected")
    queue(store, result)
    assert [row["why"] for row in listed()] == ["about to be sent", "version 1 has not been answered yet"]


def test_the_table_has_a_line_for_each(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    queue(store, *store.results("p", 3))
    assert main(["deliveries", "--config", str(store.path.parent / "server.toml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["REPORT", "PATIENT", "TAKEN"]
    assert len(lines) == 4
    assert "Doe" not in "".join(lines)


def test_a_refused_report_is_sent_again_in_somebodys_name(
    store: Store, listed: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    queue(store, store.result("p"))
    send(store, "refused", "sent", "AR: no")
    before = store.value("SELECT octets FROM report")
    words = ["--config", str(store.path.parent / "server.toml")]
    assert main(["deliveries", "resend", "1", "--by", "Pat Clerk", *words]) == 0
    assert "sent again" in capsys.readouterr().out
    assert [row["state"] for row in listed()] == ["waiting"]
    assert store.value("SELECT octets FROM report") == before
    decision = store.rows("SELECT by_name, act, subject FROM decision ORDER BY id DESC")[0]
    assert tuple(decision) == ("Pat Clerk", "resend", "report 1")
    for number, why in ((1, "only a refused report"), (9, "there is no report 9")):
        assert main(["deliveries", *words, "resend", str(number), "--by", "Pat Clerk"]) == 1
        assert why in capsys.readouterr().err


def test_says_that_a_batch_is_waited_for_and_what_falls_back(store: Store, listed: Listing) -> None:
    store.provider("a", "mllp://127.0.0.1:2576", destination="a-second", rank=2)
    store.write("UPDATE destination SET fall_back_after_s = 3600 WHERE id = 'a-hl7'")
    queue(store, store.result("p", "plain"))
    store.write("UPDATE destination SET mode = 'batch', schedule = '08:00' WHERE id = 'a-hl7'")
    queue(store, store.result("p", "batch", TAKEN + timedelta(days=1)))
    plain, batch = listed()
    assert plain["why"].startswith("about to be sent; falls back to a-second at 20")
    assert batch["why"].startswith(f"batch until {batch['batch_at']}; falls back to a-second at ")
    assert batch["falls_back_at"] > batch["batch_at"]
    assert listed("--result", "batch") == [batch]
    assert listed("--result", str(batch["result_number"])) == [batch]
    send(store, "refused", "sent", "AR: no")
    with transaction(store.database):
        fall_back(store.database, "rig", Settings(), store.clock)
    first, second, _ = listed()
    assert (first["destination"], second["destination"]) == ("a-hl7", "a-second")
    assert "; fell back to a-second at 20" in first["why"]
    assert second["why"] == "about to be sent"


def test_says_what_a_destination_is_doing(store: Store, listed: Listing) -> None:
    queue(store, *store.results("p", 3))
    send(store, "delivered", "delivered")
    store.provider("b", "mllp://127.0.0.1:2577", live=0, live_at=None, rank=3)
    now = store.clock.now()
    down = Breaker("open", utc(now), "nobody there", 7, utc(now + timedelta(minutes=5)), asked=False)
    with transaction(store.database):
        destinations.keep_breaker(store.database, "a-hl7", down)
    first, second = listed("destinations")
    assert (first["destination"], first["live"], first["rank"], first["mode"]) == ("a-hl7", "yes", 1, "each")
    assert (first["breaker"], first["since"], first["why"]) == ("open", utc(now), "nobody there")
    assert (first["failures"], first["tried_again_at"]) == (7, down.trial_at)
    assert (first["waiting"], first["delivered"], first["in_batch"]) == (2, 1, 0)
    assert first["last_delivered"] >= first["oldest_waiting"]
    assert (second["destination"], second["live"], second["breaker"], second["waiting"]) == (
        "b-hl7",
        "no",
        "closed",
        0,
    )
    waiting = listed("--state", "waiting")
    assert {row["why"] for row in waiting} == {
        f"breaker of a-hl7 open: nobody there, tried again at {down.trial_at}"
    }
    store.write("UPDATE destination SET live = 0")
    assert {row["why"] for row in listed("--state", "waiting")} == {
        "a-hl7 is not live ('providers probe', 'providers go-live')"
    }


def test_what_no_live_destination_takes_says_so(store: Store, listed: Listing) -> None:
    store.write("UPDATE destination SET live = 0")
    store.result("p")
    assert [row["why"] for row in listed()] == [
        "no destination of the treating provider is live ('providers probe', 'providers go-live')"
    ]


def test_the_evidence_can_be_looked_up(store: Store, listed: Listing) -> None:
    queue(store, store.result("p"))
    send(store, "delivered", "delivered")
    (row,) = listed()
    octets = store.value("SELECT octets FROM report")
    assert row["message_sha256"] == hashlib.sha256(octets).hexdigest()
    assert row["software"].startswith("inr-gateway ")


def test_accepted_is_said_and_seen_is_stated_by_name(
    store: Store, listed: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    queue(store, store.result("p"))
    words = ["deliveries", "--config", str(store.path.parent / "server.toml"), "seen", "1", "--by", "Pat Clerk"]
    words += ["--how", "read back by phone"]
    assert main(words) == 1
    assert "never sent" in capsys.readouterr().err
    send(store, "accepted", "accepted")
    (row,) = listed("--state", "accepted")
    assert (row["evidence"], row["why"]) == ("accepted", "kept by the far end; this channel says no more")
    assert main(words) == 0
    assert "was seen, says Pat Clerk" in capsys.readouterr().out
    (row,) = listed()
    assert (row["state"], row["evidence"], row["peer"]) == ("delivered", "seen", "Pat Clerk")


def test_the_table_of_destinations_has_a_line_for_each(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deliveries", "destinations", "--config", str(store.path.parent / "server.toml")]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["DESTINATION", "PROVIDER", "CHANNEL"]
    assert line.split()[:4] == ["a-hl7", "a", "hl7v2", "1"]


def test_a_wrong_configuration_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deliveries", "--config", str(tmp_path / "none.toml")]) == 2
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "server.toml").write_text(
        f'[server]\nname = "test"\nstore = "{tmp_path}/none.db"\nrole = "rig"\n', encoding="utf-8"
    )
    assert main(["deliveries", "--config", str(tmp_path / "server.toml")]) == 1
    assert "no store there" in capsys.readouterr().err
