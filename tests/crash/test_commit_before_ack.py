"""The hub's disk has the octets before the meter has their acknowledgement: seen in the system calls themselves.

``kill -9`` cannot tell, because the kernel keeps what a killed process wrote; only a power cut could, or strace.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

ACK, ENQ, EOT = b"\x06", b"\x05", b"\x04"
VARIANTS = Path(__file__).with_name("variants.py")

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def frame(number: int, text: bytes) -> bytes:
    """E1381: STX, frame number, text, CR, ETX, two hexadecimal digits of the sum, CR LF."""
    body = b"%d" % (number % 8) + text + b"\r\x03"
    return b"\x02" + body + b"%02X" % (sum(body) % 256) + b"\r\n"


RECORDS = [
    rb"H|\^&|||ACME^HomeINR^SN000123^1.2|||||||P|LIS2-A2|20260314073005",
    b"P|1",
    b"O|1|17||^^^INR|R",
    b"R|1|^^^INR|2.5|INR||N||F||||20260314072800",
    b"L|1|N",
]


class Kind(NamedTuple):
    """How results and acknowledgements begin in what a hub reads and writes, as strace prints it."""

    driver: str
    profile: str
    result: str
    acknowledgement: str


def printed(octets: bytes) -> str:
    return "".join(f"\\\\x{octet:02x}" for octet in octets)


ANY = r"(?:\\x[0-9a-f]{2})"
ASTM = Kind("astm", "home_inr_astm", printed(b"\x02"), printed(ACK))
POCT1A = Kind("poct1a", "coag_sense_pt2", printed(b"<OBS.R0"), printed(b"<ACK.R01>"))
IEEE11073 = Kind(
    "ieee11073",
    "ieee11073_inr",
    # APDU E700, its length, length of the octet string, invoke id; then the choice; then up to the event
    printed(b"\xe7\x00") + ANY + "{6}" + printed(b"\x01\x01") + ANY + "{8}" + printed(b"\x0d\x1d"),
    printed(b"\xe7\x00") + ANY + "{6}" + printed(b"\x02\x01") + ANY + "{8}" + printed(b"\x0d\x1d"),
)


@contextmanager
def traced_hub(folder: Path, variant: str, kind: Kind = ASTM) -> Iterator[tuple[int, Path]]:
    """A hub under strace that listens for a meter; yields its port and the trace."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder / "hub.toml"
    configuration.write_text(
        f"""
        [hub]
        id = "h"
        zone = "America/New_York"
        journal = "{folder}/journal.db"
        [mqtt]
        port = 1
        [[attachment]]
        name = "meter"
        address = "tcp-listen://127.0.0.1:{port}"
        driver = "{kind.driver}"
        profile = "{kind.profile}"
        """,
        encoding="utf-8",
    )
    trace = folder / "trace"
    calls = "trace=fdatasync,fsync,write,sendto,send,recvfrom,recv,read"
    command = [
        "strace",
        "-f",
        "-xx",
        "-s",
        "24",
        "-o",
        str(trace),
        "-e",
        calls,
        sys.executable,
        str(VARIANTS),
        variant,
    ]
    process = subprocess.Popen([*command, "hub", "run", "--config", str(configuration)])
    try:
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port, trace
    finally:
        hub = int(trace.read_text(encoding="ascii", errors="replace").split(maxsplit=1)[0])
        os.kill(hub, signal.SIGTERM)  # strace itself heeds no signal while it traces
        process.wait(20)


def send_message(port: int) -> None:
    """One result, a record in each frame; every octet that the hub owes is waited for."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as meter:
        for octets in [ENQ, *(frame(number, text) for number, text in enumerate(RECORDS, start=1))]:
            meter.sendall(octets)
            assert meter.recv(1) == ACK
        meter.sendall(EOT)


def simulate(port: int, kind: Kind) -> None:
    """A simulated meter dials in and offers eight results until it was told that they are received."""
    words = ["simulate", kind.driver, "--connect", f"127.0.0.1:{port}", "--five-weeks", "2026-03-14"]
    command = [sys.executable, "-m", "gateway.cli", *words, "--until-delivered"]
    subprocess.run(command, check=True, timeout=40, stdout=subprocess.DEVNULL)


def unsynced_acknowledgements(trace: str, kind: Kind = ASTM) -> tuple[int, int]:
    """How many results were acknowledged, and how many of them without an fdatasync that returned in between."""
    acknowledged = unsynced = 0
    frame_arrived = synced = False
    for line in trace.splitlines():
        call = line.split(maxsplit=1)[1]
        if re.match(r"(<\.\.\. )?(recvfrom|recv|read)(\(| resumed)[^\"]*\"" + kind.result, call):
            frame_arrived, synced = True, False
        elif re.match(r"(<\.\.\. )?f(data)?sync(\(| resumed).*= 0", call):
            synced = True
        elif re.match(r'(write|send|sendto)\(\d+, "' + kind.acknowledgement, call) and frame_arrived:
            acknowledged += 1
            unsynced += not synced
            frame_arrived = False
    return acknowledged, unsynced


def traced(folder: Path, variant: str) -> tuple[int, int]:
    with traced_hub(folder, variant) as (port, trace):
        send_message(port)
    return unsynced_acknowledgements(trace.read_text(encoding="ascii", errors="replace"))


def test_every_frame_is_on_disk_before_its_acknowledgement(tmp_path: Path) -> None:
    assert traced(tmp_path, "as-it-is") == (len(RECORDS), 0)


@pytest.mark.parametrize("kind", [POCT1A, IEEE11073], ids=lambda kind: kind.driver)
def test_so_is_every_document_and_every_report(tmp_path: Path, kind: Kind) -> None:
    with traced_hub(tmp_path, "as-it-is", kind) as (port, trace):
        simulate(port, kind)
    acknowledged, unsynced = unsynced_acknowledgements(trace.read_text(encoding="ascii", errors="replace"), kind)
    assert acknowledged >= 4
    assert unsynced == 0


@pytest.mark.parametrize("broken", ["synchronous-normal", "acknowledge-first"])
def test_a_broken_promise_would_be_seen(tmp_path: Path, broken: str) -> None:
    acknowledged, unsynced = traced(tmp_path, broken)
    assert acknowledged == len(RECORDS)
    assert unsynced > 0
