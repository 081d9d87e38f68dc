"""``inr-gateway simulate`` as a stranger or a script meets it: processes, signals, JSON lines."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from simulators.ledger import read

from .command import Run, commands
from .host import Host

WITHIN_S = 40.0


@pytest.fixture
def command() -> Iterator[Run]:
    with commands() as run:
        yield run


def numbers(*texts: bytes) -> list[str]:
    return [number.decode() for text in texts for number in re.findall(rb"O\|1\|(\d+)\|", text)]


def test_a_meter_killed_in_the_middle_remembers_what_it_was_told(command: Run, tmp_path: Path) -> None:
    link, ledger = tmp_path / "meter", tmp_path / "meter.jsonl"
    words = ("astm", "--pty", link, "--five-weeks", "2026-03-14", "--ledger", ledger, "--until-delivered")
    first = command(*words, "--gap", "3600")
    ready = first.line()
    assert ready["ready"] == "astm"
    assert (ready["pty"], ready["serial"], ready["tests"]) == (str(link), "SN000123", 8)
    taken = []
    with serial.Serial(str(link), timeout=0.05) as port:
        host = Host(lambda: port.read(max(1, port.in_waiting)), port.write)
        taken.append(host.message())
    first.process.kill()
    assert first.end()[0] == -signal.SIGKILL
    told = [line["entries"] for line in read(ledger) if line["event"] == "received"]
    assert told == [[0]]

    second = command(*words)
    second.line()
    with serial.Serial(str(link), timeout=0.05) as port:
        host = Host(lambda: port.read(max(1, port.in_waiting)), port.write)
        taken += [host.message() for _ in range(7)]
        assert second.line() == {"ended": "astm", "delivered": 8, "unsent": 0}
        assert second.end()[0] == 0
    assert numbers(*taken) == [str(number) for number in range(1, 9)]


def test_a_meter_ends_at_sigterm_and_says_what_is_unsent(command: Run, tmp_path: Path) -> None:
    for more, status in (((), 0), (("--until-delivered",), 1)):
        meter = command("astm", "--pty", tmp_path / "meter", "--five-weeks", "2026-03-14", *more)
        meter.line()
        began_s = time.monotonic()
        assert meter.end(signal.SIGTERM)[0] == status
        assert time.monotonic() - began_s < 5
        assert not (tmp_path / "meter").is_symlink()


def test_a_meter_listens_or_dials_with_a_scenario(command: Run, tmp_path: Path) -> None:
    scenario = tmp_path / "meter.toml"
    scenario.write_text(
        'schema = "inr-gateway/scenario/1"\n[meter]\nserial = "X9"\n'
        '[[memory]]\nat = 2026-03-10T07:28:00-04:00\ninr = "2.5"\n'
    )
    meter = command("astm", "--listen", "127.0.0.1:0", "--scenario", scenario, "--until-delivered")
    ready = meter.line()
    with socket.create_connection((ready["host"], int(ready["port"])), timeout=WITHIN_S) as connected:
        text = Host(lambda: connected.recv(4096), connected.sendall).message()
        assert meter.line() == {"ended": "astm", "delivered": 1, "unsent": 0}
    assert b"^X9^" in text
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WITHIN_S)
        port = listening.getsockname()[1]
        meter = command("astm", "--connect", f"127.0.0.1:{port}", "--scenario", scenario, "--until-delivered")
        connected, _ = listening.accept()
        with connected:
            connected.settimeout(WITHIN_S)
            assert Host(lambda: connected.recv(4096), connected.sendall).message().startswith(b"H|")
            assert meter.line() == {"ready": "astm", "connect": f"127.0.0.1:{port}", "serial": "X9", "tests": 1}
            assert meter.end()[0] == 0


def test_a_provider_takes_messages_and_misbehaves_and_ends_at_sigterm(command: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "provider.jsonl"
    provider = command("provider", "--ledger", ledger, "--misbehave", "1=AE:206")
    ready = provider.line()
    assert (ready["ready"], ready["host"]) == ("provider", "127.0.0.1")
    message = b"MSH|^~\\&|A|B|C|D|20260314||ORU^R01^ORU_R01|GW-1|P|2.5.1\r"
    with socket.create_connection((ready["host"], ready["port"]), timeout=WITHIN_S) as connected:
        for code in (b"MSA|AE|GW-1", b"MSA|AA|GW-1"):
            connected.sendall(b"\x0b" + message + b"\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                answer += connected.recv(4096)
            assert code in answer
        assert provider.end(signal.SIGTERM) == (0, "")
    assert [(line["copy"], line["accepted"]) for line in read(ledger)] == [(1, False), (2, True)]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("astm",), 2, "one of the arguments --pty --listen --connect is required"),
        (("astm", "--connect", "nowhere"), 2, "'nowhere' is no address; write HOST:PORT"),
        (("astm", "--pty", "x", "--five-weeks", "14/3"), 2, "'14/3' is no day; write it like 2026-03-14"),
        (("astm", "--pty", "x", "--gap", "-1"), 2, "'-1' is no number from 0 up"),
        (("astm", "--pty", "x", "--scale", "0"), 2, "timers cannot be 0"),
        (("astm", "--pty", "x", "--scenario", "nowhere.toml"), 2, "nowhere.toml: no such file"),
        (("astm", "--pty", "/nowhere/meter"), 1, "cannot be plugged in"),
        (("astm", "--pty", "/etc/passwd"), 1, "/etc/passwd: stands there already"),
        (("astm", "--pty", "x", "--ledger", "/nowhere/l"), 1, "/nowhere/l: the ledger cannot be opened"),
        (("provider", "--misbehave", "1=rude"), 2, "--misbehave 'rude' is no behaviour"),
        (("provider", "--host", "203.0.113.1"), 1, "203.0.113.1:0: cannot listen there"),
        (("provider", "--port", "99999"), 1, "127.0.0.1:99999: cannot listen there"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_breath(
    command: Run, words: tuple[str, ...], status: int, says: str
) -> None:
    got, said = command(*words).end()
    assert (got, "Traceback" in said) == (status, False)
    assert says in said


@pytest.mark.parametrize("which", ["astm", "provider"])
def test_help_shows_an_example_and_every_behaviour(command: Run, which: str) -> None:
    helped = command(which, "--help").process
    said = helped.communicate(timeout=WITHIN_S)[0].decode()
    assert helped.returncode == 0
    assert f"inr-gateway simulate {which} --" in said
    if which == "provider":
        from simulators.provider.behaviour import Manner

        assert all(re.search(rf"\b{manner}\b", said) for manner in Manner)
