"""A store is made once, keeps its role, and is brought to the newest schema."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest

from gateway.database import StoreError, open_database
from gateway.store import epochs, opening
from gateway.store.opening import create_store, open_store, role_of
from gateway.store.overview import listed, overview

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)


def test_a_new_store_may_deliver_and_commits_to_disk(tmp_path: Path) -> None:
    create_store(tmp_path / "s", "rig", NOW)
    with closing(open_store(tmp_path / "s", "rig")) as database:
        assert role_of(database) == "rig"
        assert epochs.may_deliver(database)
        assert database.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert overview(database).results == {}


def test_a_store_is_never_made_over_another_and_never_changes_its_role(tmp_path: Path) -> None:
    create_store(tmp_path / "s", "rig", NOW)
    with pytest.raises(StoreError, match="exists already"):
        create_store(tmp_path / "s", "rig", NOW)
    with pytest.raises(StoreError, match=r"role 'rig'.*'production'"):
        open_store(tmp_path / "s", "production")


def test_what_is_not_there_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="server init"):
        open_store(tmp_path / "s")
    with pytest.raises(StoreError, match="does not exist"):
        create_store(tmp_path / "none" / "s", "rig", NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_half_made_store_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "s", opening.MIGRATIONS).close()
    with pytest.raises(StoreError, match="no finished store"):
        open_store(tmp_path / "s")


def test_a_store_of_the_first_schema_opens_with_all_it_holds(tmp_path: Path) -> None:
    dump = resources.files("tests.unit.store").joinpath("store_0001.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "s")) as old:
        old.executescript(dump)
    with closing(open_store(tmp_path / "s", "production")) as database:
        (found,) = listed(database)
        assert (found.inr, found.patient, found.status) == ("2.5", "pat", "final")
        assert [each.evidence for each in found.reports] == ["delivered"]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert database.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_reports_of_an_older_store_keep_their_octets_attempts_and_evidence(tmp_path: Path) -> None:
    dump = resources.files("tests.unit.store").joinpath("store_0001.sql").read_text(encoding="utf-8")
    tables = {
        "destination": "id, provider_id, channel, address, application, facility, updated_at",
        "report": "id, result_id, version, destination_id, control_id, octets, created_at, state, attempts,"
        " next_attempt_at, last_error",
        "attempt": "id, report_id, started_at, ended_at, outcome",
        "evidence": "id, report_id, attempt_id, level, at, peer, octets",
    }
    with closing(sqlite3.connect(tmp_path / "s")) as old:
        old.executescript(dump)
        before = {name: old.execute(f"SELECT {columns} FROM {name}").fetchall() for name, columns in tables.items()}
    assert all(before.values())
    with closing(open_store(tmp_path / "s", "production")) as database:
        for name, columns in tables.items():
            assert [tuple(row) for row in database.execute(f"SELECT {columns} FROM {name}")] == before[name]
        assert database.execute("SELECT count(*) FROM destination WHERE live = 0").fetchone()[0] == 0
        database.execute("UPDATE report SET state = 'accepted'")
        (report,) = database.execute("SELECT id FROM report").fetchone()
        owed = database.execute("SELECT count(*) FROM tally_change").fetchone()[0]
        database.execute("INSERT INTO attempt (report_id, started_at, outcome) VALUES (?, '', 'busy')", (report,))
        assert database.execute("SELECT count(*) FROM tally_change").fetchone()[0] == owed + 1
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            database.execute("DELETE FROM destination")


def test_a_migration_that_would_leave_orphans_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "bad_migrations"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "0001_first.sql").write_text("CREATE TABLE a (id INTEGER PRIMARY KEY);")
    (package / "0002_second.sql").write_text(
        "CREATE TABLE b (a INTEGER REFERENCES a (id));\nINSERT INTO b VALUES (7);\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StoreError, match="schema 2 cannot be made: a row of b"):
        open_database(tmp_path / "s", "bad_migrations")
    with closing(sqlite3.connect(tmp_path / "s")) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] == 1
        assert database.execute("SELECT name FROM sqlite_schema").fetchall() == [("a",)]
    sys.modules.pop("bad_migrations", None)


def test_a_later_schema_keeps_what_an_older_store_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "later_migrations"
    package.mkdir()
    for script in resources.files(opening.MIGRATIONS).iterdir():
        if script.name.endswith(".sql"):
            (package / script.name).write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    number = len(list(package.iterdir())) + 1
    (package / f"{number:04}_more.sql").write_text("ALTER TABLE hub ADD COLUMN place TEXT NOT NULL DEFAULT '';")
    (package / "__init__.py").touch()
    create_store(tmp_path / "s", "rig", NOW)
    with monkeypatch.context() as later:
        later.syspath_prepend(str(tmp_path))
        later.setattr(opening, "MIGRATIONS", "later_migrations")
        with closing(open_store(tmp_path / "s", "rig")) as database:
            assert database.execute("PRAGMA user_version").fetchone()[0] == number
            assert database.execute("SELECT place FROM hub").fetchall() == []
    sys.modules.pop("later_migrations", None)
    with pytest.raises(StoreError, match="install the version that wrote it"):
        open_store(tmp_path / "s", "rig")
