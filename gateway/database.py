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
    # A table whose checks change is made anew under its old name: meanwhile its rows are nobody's parents.
    database.execute("PRAGMA foreign_keys = OFF")
    try:
        for number, script in zip(numbers[current:], scripts[current:], strict=True):
            _apply(database, number, script.read_text(encoding="utf-8"), name)
    finally:
        database.execute("PRAGMA foreign_keys = ON")


def _apply(database: sqlite3.Connection, number: int, statements: str, name: str) -> None:
    with transaction(database):
        with closing(database.execute("PRAGMA user_version")) as cursor:
            if int(cursor.fetchone()[0]) >= number:
                return  # another process has done it meanwhile
        for statement in _statements(statements):
            database.execute(statement)
        with closing(database.execute("PRAGMA foreign_key_check")) as cursor:
            orphan = cursor.fetchone()
        if orphan is not None:
            raise StoreError(
                f"{name}: schema {number} cannot be made: a row of {orphan[0]} refers to one of {orphan[2]} that "
                "is not there; restore a backup, or ask for help with the file as it is"
            )
        database.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit before it begins."""
    lines: list[str] = []
    for line in script.splitlines():
        lines.append(line)
        statement = "\n".join(lines)
        if sqlite3.complete_statement(statement):
            yield statement
            lines = []
    if any(line.split("--")[0].strip() for line in lines):
        yield "\n".join(lines)  # the last one may lack its semicolon


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
