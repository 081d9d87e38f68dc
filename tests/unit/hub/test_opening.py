"""Opening the journal: alone; old files brought up to date; damaged ones set aside whole and never deleted."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from gateway.database import StoreError, open_database
from gateway.hub.entries import Contexts, StoredPiece
from gateway.hub.journal import MIGRATIONS
from gateway.hub.opening import alone, open_for_reading, open_journal, set_aside, set_aside_files
from gateway.hub.overview import overview
from gateway.hub.surroundings import Stamp
from tests.unit.hub.conftest import LINE, NOW

FROZEN = {
    "0001_first.sql": "7660f5a9384b0dc36c86dd08ea579ac62f834ef6dd290cfa2c118c7d2bfa5e64",
    "0002_memos.sql": "7e39355bafa538d2c9d1447964429c620be234f8613fb7627f229279253b1d80",
    "0003_pieces.sql": "8b14cbbfc48f1cfb4e7a6eb92facc8b1dda694c09ca8fdf4b4e7dfe0a3593559",
}
"""Digests of the migrations that have shipped. Never change one: journals in homes were made with them."""


def filled(path: Path) -> None:
    journal = open_journal(path, NOW)
    for index in range(15):
        stamp = Stamp(NOW, True, "boot", float(index))
        journal.add_piece(LINE, StoredPiece(b"%d " % index * 2000, stamp), message=None)
    journal.close()


def test_shipped_migrations_are_frozen() -> None:
    found = {
        item.name: hashlib.sha256(item.read_bytes()).hexdigest()
        for item in resources.files(MIGRATIONS).iterdir()
        if item.name.endswith(".sql")
    }
    assert found == FROZEN


def test_a_journal_of_the_first_schema_opens_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = (resources.files(MIGRATIONS) / "0001_first.sql").read_text()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            first
            + """
            PRAGMA user_version = 1;
            INSERT INTO journal VALUES (1, '6f1cdd4e-6f0a-4f0e-9d3f-0e4cf8a6a0a1', '2026-01-01T00:00:00Z', 0, 6);
            INSERT INTO epoch (id, mark, adopted_at) VALUES ('e1', 0, '2026-01-01T00:00:00.000Z');
            INSERT INTO message VALUES
            (1, 'm', 'm', 'tiny', 'meter', 'decoded', 0, '2026-01-02T00:00:00.000Z', 'a/1', 7, 2);
            INSERT INTO message VALUES
            (2, 'm', 'm', 'tiny', 'meter', 'open', 1, '2026-01-03T00:00:00.000Z', NULL, NULL, 0);
            INSERT INTO piece VALUES (1, 0, x'484C', 0, '2026-01-02T00:00:00.000Z', 1, 'boot', 1.0);
            INSERT INTO piece VALUES (2, 0, x'43', 1, '2026-01-02T23:59:00.000Z', 1, 'boot', 1.5);
            INSERT INTO piece VALUES (2, 1, x'44', 1, '2026-01-02T23:59:01.000Z', 0, 'boot', 1.6);
            INSERT INTO piece VALUES (2, 2, x'48', 0, '2026-01-03T00:00:00.000Z', NULL, 'boot', 2.0);
            INSERT INTO piece VALUES (2, 3, x'49', 0, '2026-01-03T00:00:01.000Z', NULL, 'boot', 2.1);
            INSERT INTO rejected VALUES (1, 2, 'meter', x'21', 'checksum', 'bad', '2026-01-03T00:00:00.000Z');
            INSERT INTO reading VALUES (7, 1, 0, 'sum', 'payload');
            INSERT INTO receipt VALUES (7, 'stored', 'e1', '2026-01-02T00:01:00.000Z');
            INSERT INTO reading VALUES (8, 1, 1, 'sum', 'payload');
            """
        )
    for _ in range(2):  # a second opening changes nothing
        journal = open_journal(path, NOW)
        assert str(journal.uuid) == "6f1cdd4e-6f0a-4f0e-9d3f-0e4cf8a6a0a1"
        assert journal.epoch == "e1"
        assert [row.number for row in journal.waiting(0, 10)] == [8]
        assert [part.octets for part in journal.pieces(1)] == [b"HL"]
        kept = journal.pieces(2)
        assert [(part.octets, part.context) for part in kept] == [
            (b"C", True),
            (b"D", True),
            (b"H", False),
            (b"I", False),
        ]
        assert [part.stamp.synchronised for part in kept] == [True, False, None, None]
        assert journal.rejected(2) == [b"!"]
        journal.close()
    journal = open_journal(path, NOW)
    new = StoredPiece(b"x", Stamp(NOW, None, "b", 0.0))
    assert journal.add_piece(LINE, new, message=2) == 2
    told = Contexts([StoredPiece(b"K", new.stamp, context=True)])
    assert journal.add_piece(LINE, new, message=None, contexts=told) == 3
    assert [part.octets for part in journal.pieces(2)] == [b"C", b"D", b"H", b"I", b"x"]
    assert [part.octets for part in journal.pieces(3)] == [b"K", b"x"]
    journal.close()
    assert set_aside_files(path) == []


def test_a_journal_of_newer_software_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 999")
    with pytest.raises(StoreError, match="install the version that wrote it"):
        open_journal(path, NOW)
    assert set_aside_files(path) == []


def test_no_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing"):
        open_journal(tmp_path / "missing" / "journal.db", NOW)


@pytest.mark.parametrize(
    ("offset", "junk"),
    [
        pytest.param(0, b"not a database at all", id="header"),
        pytest.param(4096, b"\xff" * 4096, id="page"),
        pytest.param(100, b"\xff" * 200, id="schema"),
    ],
)
def test_a_damaged_file_is_set_aside_whole(tmp_path: Path, offset: int, junk: bytes) -> None:
    path = tmp_path / "journal.db"
    filled(path)
    before = open_journal(path, NOW)
    uuid = before.uuid
    before.close()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(junk)
    damaged = path.read_bytes()
    journal = open_journal(path, NOW)
    assert journal.uuid != uuid
    assert journal.counts().open_messages == 0
    journal.close()
    (kept,) = set_aside_files(path)
    assert kept.read_bytes() == damaged
    again = open_journal(path, NOW)
    assert again.uuid == journal.uuid
    again.close()


def test_a_truncated_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    open_journal(path, NOW).close()
    assert len(set_aside_files(path)) == 1


def test_an_emptied_file_does_not_cost_its_log(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = open_journal(path, NOW)
    journal.add_piece(LINE, StoredPiece(b"precious", Stamp(NOW, None, "b", 0.0)), message=None)
    wal = path.with_name("journal.db-wal").read_bytes()
    path.write_bytes(b"")
    successor = open_journal(path, NOW)
    assert successor.uuid != journal.uuid
    successor.close()
    (kept,) = set_aside_files(path)
    assert kept.with_name(kept.name + "-wal").read_bytes() == wal
    journal._database.close()


def test_two_damaged_files_of_one_second_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for _ in range(2):
        path.write_bytes(b"no database, but longer than nothing")
        open_journal(path, NOW).close()
    assert len(set_aside_files(path)) == 2


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_setting_aside_is_finished_after_a_crash(tmp_path: Path, moved: int) -> None:
    path = tmp_path / "journal.db"
    parts = [path, path.with_name("journal.db-wal"), path.with_name("journal.db-shm")]
    target = tmp_path / "journal.db.damaged-20260314T120000Z"
    for index, part in enumerate(parts):
        suffix = part.name.removeprefix(path.name)
        where = target.with_name(target.name + suffix) if index < moved else part
        where.write_bytes(b"old %d" % index)
    (tmp_path / "journal.db.setting-aside").write_text(target.name)
    open_journal(path, NOW).close()
    kept = [target.with_name(target.name + part.name.removeprefix(path.name)) for part in parts]
    assert [found.read_bytes() for found in kept] == [b"old 0", b"old 1", b"old 2"]
    assert not (tmp_path / "journal.db.setting-aside").exists()


def test_set_aside_takes_the_log_along(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).write_bytes(b"x" + suffix.encode())
    kept = set_aside(path, NOW)
    assert not list(tmp_path.glob("journal.db")) + list(tmp_path.glob("journal.db-*"))
    assert kept.with_name(kept.name + "-wal").read_bytes() == b"x-wal"
    assert set_aside_files(path) == [kept]


def test_one_process_holds_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    program = (
        "import sys, pathlib; from gateway.hub.opening import alone\n"
        "with alone(pathlib.Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(StoreError, match="another hub"), alone(path):
            pass
        other.kill()
        other.communicate()
    with alone(path):  # the kernel released what the killed process held
        pass


def test_looking_needs_a_journal_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with pytest.raises(StoreError, match="no such journal"):
        open_for_reading(path)
    filled(path)
    with closing(open_for_reading(path)) as database, pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM piece")


def test_looking_at_a_journal_that_is_just_being_made_says_so(tmp_path: Path) -> None:
    open_database(tmp_path / "journal.db", MIGRATIONS).close()
    with pytest.raises(StoreError, match="just making this journal"):
        overview(tmp_path / "journal.db")
