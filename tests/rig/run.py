"""Boots the rig's kernel and runs suites inside: ``python -m tests.rig.run``; see docs/rig.md.

The kernel is named by INR_RIG_KERNEL. Exit code 0 only when every suite ran whole and every test passed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.rig.judgement import judge

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
SUITES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("test_*.py")))
LIMIT_S = 240.0
MEMORY = "1024M"


def main(words: Sequence[str] | None = None) -> int:
    """Run the suites as often as asked: 0 all is well, 1 something is not, 2 it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.rig.run", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all without one")
    parser.add_argument(
        "--times", type=int, default=1, metavar="N", help="boot so often; the first failure ends it"
    )
    parser.add_argument("-k", dest="expression", metavar="EXPRESSION", help="as pytest's: only these tests")
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS", help="for one boot")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the logs of the last boot there")
    given = parser.parse_args(words)
    unknown = [suite for suite in given.suites if suite not in SUITES]
    kernel = os.environ.get("INR_RIG_KERNEL", "")
    if unknown or not os.access(kernel, os.X_OK):
        wrong = f"no suite {', '.join(unknown)}" if unknown else f"INR_RIG_KERNEL={kernel}: no kernel there"
        print(f"rig: {wrong}; `make rig` prepares one", file=sys.stderr)
        return 2
    chosen = given.suites or SUITES
    # A guest has one processor; Bluetooth and USB do not meet, so each gets a guest of its own.
    kinds = sorted({suite.split("_")[1] for suite in chosen})
    guests = [
        Guest(kind, tuple(suite for suite in chosen if suite.split("_")[1] == kind), given.expression, given.keep)
        for kind in kinds
    ]
    for turn in range(1, given.times + 1):
        began_s = time.monotonic()
        with ThreadPoolExecutor(len(guests)) as pool:
            ends = [pool.submit(guest.run, Path(kernel), given.limit) for guest in guests]
        problems = [problem for end in ends for problem in end.result()]
        for problem in problems:
            print(f"rig: FAILED {problem}")
        print(f"rig: {f'{turn} of {given.times}, ' if given.times > 1 else ''}{time.monotonic() - began_s:.0f} s")
        if problems:
            return 1
    return 0


@dataclass(frozen=True, slots=True)
class Guest:
    """One boot with some suites.

    Attributes:
        kind: for the lines that it says.
        expression: as pytest's -k.
        keep: where its logs are kept.
    """

    kind: str
    suites: tuple[str, ...]
    expression: str | None
    keep: Path | None

    def run(self, kernel: Path, limit_s: float) -> list[str]:
        """Boot, run, judge. Returns why it does not count, or nothing."""
        with tempfile.TemporaryDirectory(prefix="inr-rig-") as made:
            folder = Path(made)
            self._write_job(folder)
            timed_out = self._boot(kernel, folder, limit_s)
            judged = judge(folder, self.suites)
            if self.keep is not None:
                shutil.copytree(folder, self.keep / self.kind, dirs_exist_ok=True)
        for suite, count in judged.passed.items():
            self._say(f"rig: {suite}: {count} passed\n")
        for what, figure in judged.figures.items():
            self._say(f"rig: {what}: {figure}\n")
        return [*([f"{self.kind}: no end within {limit_s:g} s"] if timed_out else []), *judged.problems]

    def _write_job(self, folder: Path) -> None:
        if any(letter.isspace() for letter in f"{ROOT}{folder}"):
            raise SystemExit(f"rig: {ROOT}: a path with blanks cannot be handed to the guest's kernel")
        pytest = [sys.executable, "-m", "pytest", "-v", "-m", "rig", "-p", "no:cacheprovider", "-p", "no:xdist"]
        pytest += [
            "--junitxml=/mnt/junit.xml",
            "-o",
            "junit_family=xunit1",
            "--tb=short",
            "--color=no",
            "--durations=5",
        ]
        pytest += ["-k", self.expression] if self.expression else []
        pytest += [f"tests/rig/{suite}.py" for suite in self.suites]
        job = f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(pytest)}\n"
        (folder / "job").write_text(job, encoding="utf-8")

    def _boot(self, kernel: Path, folder: Path, limit_s: float) -> bool:
        """Run the guest to its end. Returns whether it had to be killed."""
        words = [str(kernel), f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"]
        words += [f"init={ROOT}/tests/rig/guest/init.sh", f"rig.out={folder}"]
        words += ["con0=null,fd:1", "con=none", "quiet", "loglevel=3", "panic=-1"]
        timed_out = threading.Event()
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its own group: a User-Mode Linux is several processes, and none may be left
            cwd=folder,
        ) as guest:
            assert guest.stdout is not None

            def end() -> None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(guest.pid, signal.SIGKILL)

            def give_up() -> None:
                timed_out.set()
                end()

            limit = threading.Timer(limit_s, give_up)
            limit.start()
            try:
                with (folder / "console").open("wb") as console:
                    for line in guest.stdout:
                        console.write(line)
                        self._say(line.decode(errors="replace").replace("\r", ""))
            finally:
                limit.cancel()
                end()
        return timed_out.is_set()

    def _say(self, line: str) -> None:
        sys.stdout.write(f"{self.kind:3} | {line}")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
