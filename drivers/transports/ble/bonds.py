"""The list of meters that were paired with this hub. The keys themselves stay with the operating system.

The list says what the system cannot: how well a pairing was done, who did it, and for which driver.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from drivers.contract import Security
from drivers.errors import TransportError, TransportReason

__all__ = ["Bond", "BondFile"]

VERSION = 1
RANK: dict[Security, int] = {level: rank for rank, level in enumerate(get_args(Security))}


@dataclass(frozen=True, slots=True)
class Bond:
    """One pairing.

    Attributes:
        address: the meter's identity address, upper case.
        name: what the meter calls itself.
        security: what was agreed.
        paired_at: instant in UTC, ISO 8601.
        paired_by: who ran the command: a login name.
        driver: name of the driver it was paired for.
        profile: its profile, or empty.
    """

    address: str
    name: str
    security: Security
    paired_at: str
    paired_by: str
    driver: str
    profile: str = ""

    def satisfies(self, wanted: Security) -> bool:
        """Whether it is at least as good as what a profile demands."""
        return RANK[self.security] >= RANK[wanted]


class BondFile:
    """The list on disk: JSON, readable by its owner alone, replaced whole.

    It is read again when it has changed, so a hub sees a pairing made while it runs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._bonds: dict[str, Bond] = {}

    def bonds(self) -> dict[str, Bond]:
        """By address.

        Raises:
            TransportError: the file is damaged or may not be read; its name and the remedy are in the message.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._bonds = None, {}
            return {}
        except OSError as error:
            raise self._unusable(str(error)) from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._seen:
            self._bonds = self._read()
            self._seen = stamp
        return dict(self._bonds)

    def get(self, address: str) -> Bond | None:
        """The pairing with this meter; raises like `bonds`."""
        return self.bonds().get(address.upper())

    def put(
        self, address: str, name: str, security: Security, *, at: datetime, by: str, driver: str, profile: str = ""
    ) -> Bond:
        """Add or replace a pairing (see `Bond`); on disk when this returns. Raises like `bonds`."""
        instant = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        bond = Bond(address.upper(), name, security, instant, by, driver, profile)
        with self._changing() as bonds:
            bonds[bond.address] = bond
        return bond

    def remove(self, address: str) -> Bond | None:
        """Forget; what was forgotten. Raises like `bonds`."""
        with self._changing() as bonds:
            return bonds.pop(address.upper(), None)

    def _read(self) -> dict[str, Bond]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["version"] != VERSION:
                raise self._unusable(f"it has version {content['version']!r}; this program knows {VERSION}")
            bonds = [Bond(**each) for each in content["bonds"]]
            if any(bond.security not in RANK for bond in bonds):
                raise ValueError("an unknown level of security")
        except (ValueError, KeyError, TypeError) as error:
            raise self._unusable(f"it is damaged ({type(error).__name__})") from error
        except OSError as error:
            raise self._unusable(str(error)) from error
        return {bond.address.upper(): bond for bond in bonds}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Bond]]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two commands at once must not lose one of the pairings
            bonds = self.bonds()
            yield bonds
            self._write(bonds, lock)
        except OSError as error:
            raise self._unusable(str(error)) from error
        finally:
            os.close(lock)

    def _write(self, bonds: dict[str, Bond], folder: int) -> None:
        content = {"version": VERSION, "bonds": [asdict(bond) for _, bond in sorted(bonds.items())]}
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1, ensure_ascii=False)
                file.flush()
                if os.geteuid() == 0:  # whoever owns the hub's folder must be able to read what root has paired
                    owner = os.fstat(folder)
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        os.fsync(folder)

    def _unusable(self, why: str) -> TransportError:
        return TransportError(
            f"{self.path}: the list of paired meters cannot be used: {why}. Repair it, or remove it and pair again",
            TransportReason.NOT_PERMITTED,
        )
