"""Keys and passwords of destinations: one file each, in a folder that only the server's user can read."""

from __future__ import annotations

import re
import stat
from pathlib import Path

__all__ = ["SecretError", "Secrets"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,126}")
MOST_OCTETS = 1_048_576


class SecretError(ValueError):
    """A secret cannot be used; the message names the file and the remedy, never the content."""


class Secrets:
    """The folder ``[delivery] secrets``. Destinations name files in it; no secret stands in the store."""

    def __init__(self, folder: Path | None) -> None:
        """Args: folder: None when none is configured; then every `read` says so."""
        self._folder = folder

    def read(self, name: str) -> bytes:
        """The content of a file, read anew each time. One line end at its end is not part of it.

        Raises:
            SecretError: no folder, no such file, or others than its owner may read it.
        """
        return self.path(name).read_bytes().removesuffix(b"\n").removesuffix(b"\r")

    def path(self, name: str) -> Path:
        """Where a secret stands, for libraries that read the file themselves.

        Raises:
            SecretError: as `read`.
        """
        if not _NAME.fullmatch(name):
            raise SecretError(f"{name!r} is no name of a secret; write the name of a file, without a folder")
        if self._folder is None:
            raise SecretError(f"secret {name}: no folder for secrets; set [delivery] secrets in server.toml")
        self._check(self._folder, directory=True)
        path = self._folder / name
        self._check(path, directory=False)
        return path

    @staticmethod
    def _check(path: Path, *, directory: bool) -> None:
        try:
            found = path.stat()
            if not directory:
                with path.open("rb"):
                    pass
        except OSError as error:
            raise SecretError(
                f"{path}: cannot be read: {error.strerror}; put it there for the server's user"
            ) from None
        if directory != stat.S_ISDIR(found.st_mode) or not (directory or stat.S_ISREG(found.st_mode)):
            raise SecretError(f"{path}: is no {'folder' if directory else 'file'}; put one there")
        if found.st_mode & 0o077:
            mode = "0700" if directory else "0600"
            raise SecretError(f"{path}: others than its owner may use it; chmod {mode} {path}")
        if found.st_size > MOST_OCTETS and not directory:
            raise SecretError(f"{path}: is larger than {MOST_OCTETS} octets; put the secret alone there")
