"""A ledger: what a simulator was told or given, one JSON object per line, on disk before anything depends on it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Ledger", "LedgerError", "instant", "read"]


class LedgerError(Exception):
    """A ledger cannot be used; the message names the file and the remedy."""


class Ledger:
    """Lines that survive ``kill -9``. One process at a time; without a path it lives in memory only.

    Raises:
        LedgerError: the file cannot be opened, is in use, or holds something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.name = "the ledger in memory" if path is None else str(path)
        self._file: int | None = None
        self._lines: list[dict[str, Any]] = []
        if path is None:
            return
        try:
            is_new = not path.exists()
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if is_new:
                _sync_folder(path.parent)
        except OSError as error:
            raise LedgerError(f"{path}: the ledger cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            octets = path.read_bytes()
            whole = octets[: octets.rfind(b"\n") + 1]
            if whole != octets:  # the machine stopped within a line: nothing was answered on its strength
                os.ftruncate(self._file, len(whole))
            self._lines = _parsed(whole, path)
        except BlockingIOError:
            self.close()
            raise LedgerError(f"{path}: another simulator writes this ledger; give each its own") from None
        except BaseException:
            self.close()
            raise

    @property
    def lines(self) -> Sequence[Mapping[str, Any]]:
        """Everything written so far, earlier runs included."""
        return self._lines

    def write(self, *lines: Mapping[str, Any]) -> None:
        """Append lines; they are on disk when this returns."""
        self._lines.extend(dict(line) for line in lines)
        if self._file is None or not lines:
            return
        octets = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        while octets:
            octets = octets[os.write(self._file, octets) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a ledger that another process may be writing.

    Raises:
        LedgerError: it holds something else.
        OSError: it cannot be read.
    """
    octets = path.read_bytes()
    return _parsed(octets[: octets.rfind(b"\n") + 1], path)


def instant() -> str:
    """The real present in UTC, as ledgers write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parsed(octets: bytes, path: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for number, line in enumerate(octets.splitlines(), start=1):
        try:
            parsed = json.loads(line)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict) or "event" not in parsed:
            raise LedgerError(f"{path}: line {number} is no ledger line; give a new file or the right one")
        lines.append(parsed)
    return lines


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
