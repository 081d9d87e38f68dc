"""A minute of coverage-guided fuzzing for all decoders together; an hour with ``make fuzz``."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

SECONDS = max(1, int(os.environ.get("FUZZ_SECONDS", "60")) // len(TARGETS))
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python or machine"
)


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("target", list(TARGETS))
def test_nothing_but_driver_errors_comes_of_any_octets(target: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, str(SECONDS), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", said)
    assert executed is not None, said[-2000:]
    assert int(executed.group(1)) > 20
    print(f"{target}: {executed.group(1)} inputs in {SECONDS} s")
