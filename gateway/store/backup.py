"""Copies of a store: made while it is in use, and put back as a store with a new epoch."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.database import StoreError, open_database, transaction
from gateway.store import epochs
from gateway.store.opening import MIGRATIONS, Role, alone, role_of

__all__ = ["Extent", "back_up", "extent", "restore"]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a store holds: to tell which of two is newer."""

    readings: int
    newest: str | None
    epoch: str

    def __str__(self) -> str:
        return f"{self.readings} readings, the newest of {self.newest or 'never'}, epoch {self.epoch}"


def extent(database: sqlite3.Connection) -> Extent:
    """How much a store holds."""
    row = database.execute("SELECT COUNT(*), MAX(received_at) FROM reading").fetchone()
    return Extent(row[0], row[1], epochs.current(database).id)


def back_up(store: Path, to: Path) -> Extent:
    """Copy a store into one file, consistent as of one instant, while a server may go on writing.

    The file appears under its name only when it is whole and on disk.

    Raises:
        StoreError: the target exists, or the store cannot be read.
    """
    if to.exists():
        raise StoreError(f"{to}: exists; a backup is never overwritten: choose another name")
    if not to.parent.is_dir():
        raise StoreError(f"{to}: the folder {to.parent} does not exist")
    partial = to.with_name(to.name + ".partial")
    partial.unlink(missing_ok=True)
    _copy(store, partial)
    try:
        with closing(_read_only(partial)) as copy:
            found = _checked(copy, partial)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _durable(partial)
    partial.replace(to)
    _durable(to.parent)
    return found


def restore(backup: Path, store: Path, role: Role, at: datetime, *, replace: bool) -> tuple[Extent, Path | None]:
    """Put a backup in a store's place, with a new epoch that nobody has reconciled yet.

    Args:
        backup: a file that `back_up` made.
        store: where the server looks for its store.
        role: what the configuration says; must be the backup's.
        at: now.
        replace: move a store that stands there aside; without it such a store is refused, whatever it holds.

    Returns:
        What the backup holds, and where the former store was moved, if there was one.

    Raises:
        StoreError: the backup is damaged, of another role or of newer software; a server runs on the store; or a
            store stands there and `replace` was not said.
    """
    if not backup.is_file():
        raise StoreError(f"{backup}: no such file")
    with closing(_read_only(backup)) as copy:
        found = _checked(copy, backup)
        kept_role = role_of(copy)
        if kept_role != role:
            raise StoreError(f"{backup}: is a backup of a {kept_role} store, the configuration says {role}")
    with alone(store):
        if store.exists() and not replace:
            raise StoreError(
                f"{store}: a store stands there ({_described(store)}); the backup holds {found}. What "
                "came later would be left behind. To go on, and keep the former store beside it, add --replace"
            )
        new = store.with_name(store.name + ".restoring")
        for leftover in _files(new):
            leftover.unlink(missing_ok=True)
        _copy(backup, new)
        with closing(open_database(new, MIGRATIONS)) as database:
            with transaction(database):
                epochs.begin(database, at, "restored")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("PRAGMA journal_mode = DELETE")  # all in one file, so that one rename moves it
        new.chmod(0o600)
        _durable(new)
        aside = _set_aside(store, at) if store.exists() else None
        new.replace(store)
        _durable(store.parent)
    return found, aside


def _copy(source: Path, to: Path) -> None:
    """The online copy: one read transaction, so that a busy writer cannot make it begin anew for ever."""
    try:
        with closing(_read_only(source)) as origin, closing(sqlite3.connect(to)) as copy:
            to.chmod(0o600)
            origin.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode = DELETE")  # a backup is one file
    except sqlite3.Error as error:
        to.unlink(missing_ok=True)
        raise StoreError(f"{source}: cannot be copied to {to}: {error}") from error


def _read_only(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)
        database.row_factory = sqlite3.Row
        return database
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be opened: {error}") from error


def _checked(database: sqlite3.Connection, path: Path) -> Extent:
    try:
        verdict = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StoreError(f"{path}: is damaged ({verdict}); use another backup")
        if role_of(database) is None:
            raise StoreError(f"{path}: is no backup of a store")
        return extent(database)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: is no backup of a store, or is damaged: {error}") from error


def _described(store: Path) -> str:
    try:
        with closing(_read_only(store)) as database:
            return f"it holds {extent(database)}"
    except (StoreError, sqlite3.Error, TypeError):
        return "it cannot be read"


def _set_aside(store: Path, at: datetime) -> Path:
    """Rename a store out of the way, with everything it has on disk."""
    stamp = f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    aside = store.with_name(f"{store.name}.replaced-{stamp}")
    while aside.exists():
        aside = aside.with_name(aside.name + "+")
    try:
        with closing(sqlite3.connect(store)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error:
        pass  # damaged: then its log goes along, before it, so that the new store never meets it
    for path, target in reversed(list(zip(_files(store), _files(aside), strict=True))):
        if path.exists():
            path.replace(target)
    _durable(store.parent)
    return aside


def _files(store: Path) -> tuple[Path, Path, Path]:
    return store, store.with_name(store.name + "-wal"), store.with_name(store.name + "-shm")


def _durable(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
