"""A pseudo-terminal that a host opens like a serial port, under a path that stays the same when it is replugged.

What a pty cannot do: it carries no modem lines, no parity and no real speed; a host's port settings do not matter.
"""

from __future__ import annotations

import contextlib
import os
import select
import tty
from pathlib import Path
from threading import Event

from simulators.mounts.link import SLICE_S, Link, discard_input

__all__ = ["Pty"]

READY_S = 0.25
"""Between the host's opening of the port and the meter's first octet. Hosts empty the input after they opened and
configured a port; a real meter does not answer to DTR within microseconds either."""


class Pty:
    """A pty, published through a symbolic link.

    The meter keeps no copy of the host's side open. So the kernel tells when no host has the port open, much as the
    DTR line tells a real meter, and pulling the cable is closing the meter's side: the host's reads fail then.

    Args:
        link: where the symbolic link is put. One left over from a killed simulator is replaced.

    Raises:
        ValueError: something that is no symbolic link stands there.
    """

    def __init__(self, link: Path, ready_s: float = READY_S) -> None:
        if link.exists() and not link.is_symlink():
            raise ValueError(f"{link}: stands there already and is no symbolic link; choose another path")
        self._path = link
        self._ready_s = ready_s
        self._side: int | None = None
        self._device = ""

    def plug_in(self) -> dict[str, str]:
        """Make a new pty and let the symbolic link point to it.

        Raises:
            OSError: the link cannot be made there.
        """
        if self._side is None:
            ours, theirs = os.openpty()
            try:
                tty.setraw(
                    theirs
                )  # lasts as long as our side is open, and a host that does not configure sees octets
                self._device = os.ttyname(theirs)
                self._point(self._device)
            except OSError:
                os.close(ours)
                raise
            finally:
                os.close(theirs)
            os.set_blocking(ours, False)
            self._side = ours
        return {"pty": str(self._path), "device": self._device}

    def wait(self, stop: Event) -> Link | None:
        """Wait until a host has opened the port and had time to configure it."""
        if self._side is None:
            raise RuntimeError("plug it in first")
        while not stop.is_set():
            if self._is_open(self._side):
                stop.wait(self._ready_s)
                if self._is_open(self._side):
                    discard_input(self._side)
                    return Link(self._side, close=lambda: None)
            stop.wait(SLICE_S / 2)
        return None

    def unplug(self) -> None:
        """Hang up, and take the device away."""
        if self._side is None:
            return
        with contextlib.suppress(OSError):
            if self._path.readlink() == Path(self._device):
                self._path.unlink()
        os.close(self._side)
        self._side = None

    def _point(self, device: str) -> None:
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(device)
        fresh.replace(self._path)

    @staticmethod
    def _is_open(side: int) -> bool:
        poll = select.poll()
        poll.register(side, 0)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))
