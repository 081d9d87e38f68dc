"""Durable files and their migrations."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.database import StoreError, open_database, transaction

PACKAGE = "gateway.store.migrations"


def test_a_new_file_has_the_newest_schema_and_waits_for_the_disk(tmp_path: Path) -> None:
    database = open_database(tmp_path / "store.db", PACKAGE)
    assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert database.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert database.execute("PRAGMA user_version").fetchone()[0] >= 1
    database.close()


def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    open_database(tmp_path / "store.db", PACKAGE).close()
    before = (tmp_path / "store.db").read_bytes()
    open_database(tmp_path / "store.db", PACKAGE).close()
    assert (tmp_path / "store.db").read_bytes() == before


def test_a_file_of_newer_software_is_refused(tmp_path: Path) -> None:
    database = open_database(tmp_path / "store.db", PACKAGE)
    database.execute("PRAGMA user_version = 9000")
    database.close()
    with pytest.raises(StoreError, match="schema 9000"):
        open_database(tmp_path / "store.db", PACKAGE)


def test_rubbish_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"store\.db"):
        open_database(file, PACKAGE)
    assert file.read_bytes() == b"no database" * 1000


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="absent"):
        open_database(tmp_path / "absent" / "store.db", PACKAGE)


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path / "store.db", PACKAGE)
    insert = "INSERT INTO hub (id, kind, updated_at) VALUES (?, 'home', '')"
    with pytest.raises(sqlite3.IntegrityError), transaction(database):
        database.executemany(insert, [("a",), ("a",)])
    with transaction(database):
        database.execute(insert, ("b",))
    assert [row["id"] for row in database.execute("SELECT id FROM hub")] == ["b"]
    database.close()
