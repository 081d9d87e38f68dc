"""What a channel needs beyond the standard library is imported when it is used, not when it is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("asyncssh", "httpx", "reportlab", "cryptography")
SCRIPT = f"""
import sys
from gateway.reporting.channels import channel
for name in ("hl7v2", "pcd01", "sftp", "email", "webhook"):
    assert channel(name).name == name
print(*sorted(set(sys.modules) & set({HEAVY!r})))
"""
WITHOUT = """
import sys, importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == {missing!r} else found(name, *more)
from gateway.reporting.channels import channel
try:
    channel({name!r})
except ValueError as error:
    print(error)
"""


def run(script: str) -> str:
    made = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return made.stdout.strip()


def test_naming_a_channel_imports_nothing_heavy() -> None:
    assert run(SCRIPT) == ""


@pytest.mark.parametrize(("name", "missing"), [("sftp", "asyncssh"), ("webhook", "httpx")])
def test_what_is_not_installed_is_named(name: str, missing: str) -> None:
    assert f"needs the package {missing}" in run(WITHOUT.format(name=name, missing=missing))
