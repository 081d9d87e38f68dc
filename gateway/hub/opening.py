"""Opening the journal: alone, and setting a damaged file aside whole."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from gateway.database import StoreError, open_database
from gateway.hub.commits import is_damage
from gateway.hub.journal import MIGRATIONS, Journal

__all__ = ["alone", "open_for_reading", "open_journal", "set_aside", "set_aside_files"]

PARTS = ("", "-wal", "-shm")
"""A SQLite file in WAL mode and its companions: the newest commits may stand in the log alone."""
CACHE_KIB = 1024


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the journal for this process.

    Raises:
        StoreError: another hub holds it, or its folder does not exist.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{lock}: cannot be opened: {error.strerror}; create the folder, or grant access"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(f"{path}: another hub uses this journal; stop it, or give this one its own") from error
        yield
    finally:
        os.close(handle)


def open_journal(path: Path, now: datetime) -> Journal:
    """Open the journal, or make a new one where there is none or where the file is damaged.

    A damaged file is set aside whole, never deleted; its successor has a new identity, so that no number means two
    readings. Whether files were set aside tells `set_aside_files`. The caller holds `alone`.

    Raises:
        StoreError: the journal cannot be used and is not damaged: no folder, no access, newer software.
    """
    _finish_setting_aside(path)
    try:
        return _open(path, now)
    except _DamagedError:
        set_aside(path, now)
        return _open(path, now)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a journal beside a running hub, for looking only.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such journal; has the hub run with this configuration?")
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)
        database.row_factory = sqlite3.Row
        database.execute("SELECT uuid FROM journal").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read as a journal: {error}") from error
    return database


def set_aside(path: Path, now: datetime) -> Path:
    """Move a closed, damaged journal with its companions to names that end in ``.damaged-…``.

    A note on disk makes it all or nothing: a file moved without its log would look like an older, sound journal.
    """
    target = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}")
    count = 1
    while target.exists():
        count += 1
        target = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}-{count}")
    draft = _note(path).with_suffix(".draft")
    draft.write_text(target.name, encoding="utf-8")
    _sync(draft)
    draft.rename(_note(path))
    _sync(path.parent)
    _finish_setting_aside(path)
    return target


def set_aside_files(path: Path) -> list[Path]:
    """Damaged journals that stand beside this one."""
    return sorted(
        found for found in path.parent.glob(f"{path.name}.damaged-*") if not found.name.endswith(PARTS[1:])
    )


class _DamagedError(Exception):
    pass


def _open(path: Path, now: datetime) -> Journal:
    _check(path)
    try:
        database = open_database(path, MIGRATIONS)
    except StoreError as error:
        if isinstance(error.__cause__, sqlite3.DatabaseError) and is_damage(error.__cause__):
            raise _DamagedError(str(error)) from error
        raise
    try:
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        return Journal(database, path, now)
    except sqlite3.DatabaseError as error:
        database.close()
        if is_damage(error):
            raise _DamagedError(str(error)) from error
        raise StoreError(f"{path}: cannot be read: {error}") from error


def _check(path: Path) -> None:
    """Look for damage without writing: closing a writable connection would already change the file."""
    if not path.is_file():
        return
    wal = path.with_name(path.name + "-wal")
    if path.stat().st_size == 0:
        if wal.is_file() and wal.stat().st_size > 0:
            raise _DamagedError("the file is empty but its log is not; SQLite would throw the log away")
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise _DamagedError(str(error)) from error
        raise StoreError(f"{path}: cannot be read: {error}; check the file's owner and the disk") from error
    if verdict != "ok":
        raise _DamagedError(verdict)


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".setting-aside")


def _finish_setting_aside(path: Path) -> None:
    note = _note(path)
    if not note.exists():
        return
    target = path.with_name(note.read_text(encoding="utf-8"))
    for part in PARTS:
        source = path.with_name(path.name + part)
        if source.exists():
            source.rename(target.with_name(target.name + part))
    _sync(path.parent)
    note.unlink()
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
