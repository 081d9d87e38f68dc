"""A backup is whole, a restored store says that it is one, and nothing that stood there is overwritten."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.database import StoreError, transaction
from gateway.store import epochs
from gateway.store.backup import back_up, extent, restore
from gateway.store.opening import alone, create_store, in_use, open_store

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    create_store(path, "production", NOW)
    return path


@pytest.fixture
def database(store: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_store(store)) as database:
        yield database


def add(database: sqlite3.Connection, *numbers: int) -> None:
    with transaction(database):
        for number in numbers:
            database.execute(
                "INSERT INTO reading (journal, number, sha256, hub, payload, received_at, verdict)"
                " VALUES ('j', ?, 's', 'h', x'00', '2026-03-14T18:00:00.000Z', 'stored')",
                (number,),
            )


def numbers(store: Path) -> list[int]:
    with closing(open_store(store)) as database:
        return [row[0] for row in database.execute("SELECT number FROM reading ORDER BY number")]


def test_a_backup_holds_what_was_committed_and_can_be_restored(
    store: Path, database: sqlite3.Connection, tmp_path: Path
) -> None:
    add(database, 1, 2)
    found = back_up(store, tmp_path / "b")
    add(database, 3)
    old = epochs.current(database).id
    assert (found.readings, found.epoch) == (2, old)
    database.close()
    _, aside = restore(tmp_path / "b", store, "production", LATER, replace=True)
    assert numbers(store) == [1, 2]
    assert aside is not None
    assert numbers(aside) == [1, 2, 3]
    with closing(open_store(store)) as restored:
        new = epochs.current(restored)
        assert (new.reason, new.reconciled_at) == ("restored", None)
        assert new.id != old
        assert not epochs.may_deliver(restored)
        with transaction(restored):
            assert epochs.reconcile(restored, "Ada", LATER)
            assert not epochs.reconcile(restored, "Ada", LATER)
        assert epochs.may_deliver(restored)


def test_two_restores_of_one_backup_have_different_epochs(store: Path, tmp_path: Path) -> None:
    back_up(store, tmp_path / "b")
    seen = set()
    for name in ("one", "two"):
        restore(tmp_path / "b", tmp_path / name, "production", LATER, replace=False)
        with closing(open_store(tmp_path / name)) as restored:
            seen.add(epochs.current(restored).id)
    assert len(seen) == 2


def test_a_store_is_not_replaced_unasked_and_the_message_says_what_would_be_lost(
    store: Path, database: sqlite3.Connection, tmp_path: Path
) -> None:
    back_up(store, tmp_path / "b")
    add(database, 1)
    with pytest.raises(StoreError, match=r"1 readings.*0 readings.*--replace"):
        restore(tmp_path / "b", store, "production", LATER, replace=False)
    assert numbers(store) == [1]


def test_replacing_twice_in_one_second_keeps_both_former_stores(store: Path, tmp_path: Path) -> None:
    back_up(store, tmp_path / "b")
    kept = {restore(tmp_path / "b", store, "production", LATER, replace=True)[1] for _ in range(2)}
    assert len(kept) == 2
    assert all(path is not None and path.exists() for path in kept)


def test_a_store_in_use_is_not_restored_over(store: Path, tmp_path: Path) -> None:
    back_up(store, tmp_path / "b")
    with in_use(store), in_use(store), pytest.raises(StoreError, match="stop it first"):
        restore(tmp_path / "b", store, "production", LATER, replace=True)
    with alone(store), pytest.raises(StoreError, match="restore is going on"), in_use(store):
        pass


def test_a_damaged_store_can_be_replaced_and_is_kept_as_it_is(store: Path, tmp_path: Path) -> None:
    back_up(store, tmp_path / "b")
    store.write_bytes(b"no database at all" * 1000)
    store.with_name("store.db-wal").write_bytes(b"its log")
    _, aside = restore(tmp_path / "b", store, "production", LATER, replace=True)
    assert aside is not None
    assert aside.read_bytes().startswith(b"no database")
    assert numbers(store) == []
    assert not store.with_name("store.db-wal").exists()


def test_a_backup_made_while_others_write_is_whole(store: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with closing(open_store(store)) as database:
            number = 0
            while not stop.is_set():
                add(database, number := number + 1, number := number + 1)  # always in pairs

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for count in range(5):
            found = back_up(store, tmp_path / f"b{count}")
            with closing(sqlite3.connect(tmp_path / f"b{count}")) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert copy.execute("SELECT MAX(number) FROM reading").fetchone()[0] in (None, found.readings)
            assert found.readings % 2 == 0
    finally:
        stop.set()
        writer.join()


def test_a_backup_never_overwrites_and_leaves_no_half_file(store: Path, tmp_path: Path) -> None:
    back_up(store, tmp_path / "b")
    with pytest.raises(StoreError, match="choose another name"):
        back_up(store, tmp_path / "b")
    with pytest.raises(StoreError):
        back_up(tmp_path / "absent", tmp_path / "c")
    (tmp_path / "junk").write_bytes(b"junk" * 500)
    with pytest.raises(StoreError):
        back_up(tmp_path / "junk", tmp_path / "c")
    assert not list(tmp_path.glob("c*"))


@pytest.mark.parametrize("kind", ["absent", "junk", "cut", "foreign", "rig"])
def test_what_is_no_backup_of_this_store_is_refused_and_changes_nothing(
    store: Path, tmp_path: Path, kind: str
) -> None:
    backup = tmp_path / "b"
    if kind == "junk":
        backup.write_bytes(b"junk" * 1000)
    elif kind == "cut":
        back_up(store, tmp_path / "whole")
        backup.write_bytes((tmp_path / "whole").read_bytes()[:-8192])
    elif kind == "foreign":
        with closing(sqlite3.connect(backup)) as other:
            other.execute("CREATE TABLE t (a)")
    elif kind == "rig":
        create_store(tmp_path / "rig.db", "rig", NOW)
        back_up(tmp_path / "rig.db", backup)
    before = store.read_bytes()
    with pytest.raises(StoreError, match=str(backup)):
        restore(backup, store, "production", LATER, replace=True)
    assert store.read_bytes() == before


def test_files_with_patients_are_for_their_owner_alone(store: Path, tmp_path: Path) -> None:
    back_up(store, tmp_path / "b")
    restore(tmp_path / "b", tmp_path / "restored", "production", LATER, replace=False)
    assert {path.stat().st_mode & 0o077 for path in (store, tmp_path / "b", tmp_path / "restored")} == {0}


def test_the_extent_of_an_empty_store_can_be_said(database: sqlite3.Connection) -> None:
    assert "0 readings, the newest of never" in str(extent(database))
