"""Making and opening a store, and knowing whether somebody uses it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from gateway.clock import utc
from gateway.database import StoreError, open_database, transaction
from gateway.store import epochs

__all__ = ["MIGRATIONS", "Role", "alone", "create_store", "in_use", "open_store", "role_of"]

Role = Literal["production", "rig"]
MIGRATIONS = "gateway.store.migrations"


def create_store(path: Path, role: Role, at: datetime) -> None:
    """Make an empty store. Its role is fixed for ever: what a rig measured never mixes with patients' results.

    Raises:
        StoreError: the file exists, or cannot be made.
    """
    if not path.parent.is_dir():
        raise StoreError(f"{path}: the folder {path.parent} does not exist; create it or change the configuration")
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        what = "exists already; a store is made once. To put a backup there: 'server restore'"
        raise StoreError(f"{path}: {what}") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be made: {error.strerror}; the folder must be writable") from error
    database = open_database(path, MIGRATIONS)
    try:
        with transaction(database):
            database.execute("INSERT INTO store (id, role, created_at) VALUES (1, ?, ?)", (role, utc(at)))
            epochs.begin(database, at, "created")
    finally:
        database.close()


def open_store(path: Path, role: Role | None = None) -> sqlite3.Connection:
    """Open a store that `create_store` made and bring it to the newest schema.

    Args:
        path: the file.
        role: the role that the configuration states; None asks for nothing.

    Raises:
        StoreError: no such store, not one of ours, or of another role.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no store there; make one with 'inr-gateway server init', or restore a backup")
    database = open_database(path, MIGRATIONS)
    try:
        found = role_of(database)
        if found is None:
            raise StoreError(f"{path}: this database is no finished store; move it away and run 'server init'")
        if role is not None and found != role:
            raise StoreError(
                f"{path}: is a store of role {found!r}, the configuration says {role!r}; a store's role never "
                "changes: name the right file, or make another store"
            )
    except BaseException:
        database.close()
        raise
    database.execute("PRAGMA cache_size = -32768")  # KiB: keeps the indexes of a year of readings in memory
    database.execute(
        "PRAGMA wal_autocheckpoint = 8000"
    )  # pages: a checkpoint each dozen batches, not each second one
    return database


def role_of(database: sqlite3.Connection) -> Role | None:
    """``production`` or ``rig``; None when the database was never finished as a store."""
    row = database.execute("SELECT role FROM store").fetchone()
    return None if row is None else row["role"]


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """While this lasts, nobody can put another store in the place of this one (`alone`). Several may use it."""
    with _locked(path, fcntl.LOCK_SH, "a restore is going on; wait until it has ended"):
        yield


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While this lasts, no server uses the store, and none can begin to.

    Raises:
        StoreError: a server runs on it. It would go on writing to the file that is being moved away.
    """
    with _locked(path, fcntl.LOCK_EX, "a server runs on this store; stop it first"):
        yield


@contextmanager
def _locked(path: Path, operation: int, refusal: str) -> Iterator[None]:
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{lock}: cannot be made: {error.strerror}; the folder must exist and be writable"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(f"{path}: {refusal}") from error
        yield
    finally:
        os.close(descriptor)
