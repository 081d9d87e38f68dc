"""The ledger: what it says is on disk is on disk, and nobody pays for another's error."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from gateway.reporting.ledger import Ledger


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    database = sqlite3.connect(tmp_path / "file.db", isolation_level=None, check_same_thread=False)
    database.execute("CREATE TABLE line (word TEXT UNIQUE)")
    ledger = Ledger(database)
    yield ledger
    ledger.close()


def words(path: Path) -> set[str]:
    database = sqlite3.connect(path / "file.db")
    try:
        return {row[0] for row in database.execute("SELECT word FROM line")}
    finally:
        database.close()


def write(database: sqlite3.Connection, word: str) -> str:
    database.execute("INSERT INTO line VALUES (?)", (word,))
    return word


async def test_a_commit_is_seen_by_others_when_it_returns(ledger: Ledger, tmp_path: Path) -> None:
    assert await ledger.commit(lambda database: write(database, "one")) == "one"
    assert words(tmp_path) == {"one"}
    assert await ledger.read(lambda database: database.execute("SELECT count(*) FROM line").fetchone()[0]) == 1


async def test_what_gathers_during_a_commit_goes_to_disk_together(ledger: Ledger, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    transactions: list[str] = []

    def slow(database: sqlite3.Connection) -> None:
        database.set_trace_callback(lambda statement: transactions.append(statement.split()[0]))
        begun.set()
        go_on.wait(10)

    first = asyncio.create_task(ledger.commit(slow))
    await asyncio.to_thread(begun.wait, 10)
    rest = [asyncio.create_task(ledger.commit(partial(write, word=str(number)))) for number in range(20)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *rest)
    assert words(tmp_path) == {str(number) for number in range(20)}
    assert transactions.count("BEGIN") == 1  # the trace began inside the first transaction


async def test_an_error_reaches_only_who_made_it(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.commit(lambda database: write(database, "taken"))
    given = ["a", "taken", "b", "taken", "c"]
    outcomes = await asyncio.gather(
        *(ledger.commit(partial(write, word=word)) for word in given),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [str, sqlite3.IntegrityError, str, sqlite3.IntegrityError, str]
    assert words(tmp_path) == {"a", "b", "c", "taken"}


async def test_a_task_that_gave_up_harms_nobody(ledger: Ledger, tmp_path: Path) -> None:
    go_on = threading.Event()
    first = asyncio.create_task(ledger.commit(lambda _database: go_on.wait(10)))
    second = asyncio.create_task(ledger.commit(lambda database: write(database, "late")))
    await asyncio.sleep(0)
    first.cancel()
    go_on.set()
    assert await second == "late"
    assert words(tmp_path) == {"late"}
