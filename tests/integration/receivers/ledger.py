"""What the MLLP receivers share: each control id is on disk before its message is answered.

They say their port when they listen, and end with their standard input. With DIE_AT a receiver kills itself as soon
as so many control ids are on disk, before it answers the last one. Usage: ``RECEIVER LEDGER PORT [DIE_AT]``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


class Ledger:
    """A file with one control id a line."""

    def __init__(self) -> None:
        path, port, *rest = sys.argv[1:]
        self.port = int(port)
        self._die_at = int(rest[0]) if rest else 0
        self._disk = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._count = 0

    def listening(self) -> None:
        """Say so; from now on the process ends with its standard input."""
        print(self.port, flush=True)
        threading.Thread(target=self._end_with_input, daemon=True).start()

    def arrived(self, control_id: str) -> None:
        """On disk when this returns."""
        os.write(self._disk, f"{control_id}\n".encode())
        os.fsync(self._disk)
        self._count += 1
        if self._count == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def _end_with_input() -> None:
        sys.stdin.read()
        os._exit(0)
