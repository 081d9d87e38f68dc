"""Opening a durable SQLite file: WAL, synchronous=FULL, numbered migrations.

Serves the hub's journal and the store. SQL stands in `gateway.store` and in the hub's journal and nowhere else,
so that another database can follow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

__all__ = ["StoreError", "migrate", "open_database", "transaction"]


class StoreError(Exception):
    """The store cannot be used; the message names the file and the remedy."""


def open_database(path: Path, package: str) -> sqlite3.Connection:
    """Open (or create) a database for durable use and bring it to the newest schema.

    A commit returns after its octets are on disk (WAL, ``synchronous=FULL``: SQLite calls fdatasync on the log at
    each commit). One connection is used by one thread at a time.

    Args:
        path: the file; its folder must exist.
        package: import name of the package that holds the numbered migrations, ``0001_first.sql`` and so on.

    Raises:
        StoreError: no such folder, not a database, damaged, or written by a newer version of this software.
    """
    if not path.parent.is_dir():
        raise StoreError(f"{path}: the folder {path.parent} does not exist; create it or change the configuration")
    try:
        database = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        migrate(database, package, str(path))
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: cannot be opened as a database: {error}") from error
    return database


def migrate(database: sqlite3.Connection, package: str, name: str) -> None:
    """Apply the numbered migrations that this database has not seen, each in a transaction of its own.

    Raises:
        StoreError: the database was written by newer software than this.
    """
    scripts = sorted(
        (item for item in resources.files(package).iterdir() if item.name.endswith(".sql")), key=lambda s: s.name
    )
    numbers = [int(script.name[:4]) for script in scripts]
    if numbers != list(range(1, len(numbers) + 1)):
        raise StoreError(f"{package}: migrations must be numbered 0001, 0002, … without gaps, found {numbers}")
    with closing(database.execute("PRAGMA user_version")) as cursor:
        current = int(cursor.fetchone()[0])
    if current > len(numbers):
        raise StoreError(
            f"{name}: has schema {current}, this software knows {len(numbers)}; install the version that wrote it"
        )
    for number, script in zip(numbers[current:], scripts[current:], strict=True):
        statements = script.read_text(encoding="utf-8")
        database.executescript(f"BEGIN IMMEDIATE;\n{statements}\nPRAGMA user_version = {number};\nCOMMIT;")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Everything inside is on disk when the block ends without an exception, and nothing of it otherwise."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk may have rolled it back already; a failed COMMIT may not have
            database.execute("ROLLBACK")
        raise
