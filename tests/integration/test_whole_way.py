"""A captured analyser message travels from a serial line to an HL7 receiver that is not ours."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import serial
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

from gateway.cli.demo.stage import Stage, free_port, until

ENQ, ACK, EOT = b"\x05", b"\x06", b"\x04"

REGISTRY = """
[[providers]]
id = "clinic"
name = "Clinic"
[[destinations]]
id = "ehr"
provider = "clinic"
address = "mllp://127.0.0.1:{port}"
[[patients]]
id = "P-1"
family_name = "Muster"
given_name = "Kim"
birth_date = 1950-01-01
sex = "U"
[[zones]]
patient = "P-1"
from_date = 2024-01-01
zone = "Europe/Berlin"
[[hubs]]
id = "clinic-hub"
kind = "home"
[[meters]]
vendor = "Sysmex"
serial = "21768"
[[assignments]]
vendor = "Sysmex"
serial = "21768"
patient = "P-1"
from = 2024-09-01
to = 2024-10-01
[[treatments]]
patient = "P-1"
provider = "clinic"
provider_patient_id = "MRN-7"
from = 2024-01-01
"""


class Keeper(AbstractHandler):  # type: ignore[misc] # hl7apy has no types
    """Keeps each message and answers AA, as hl7apy's own example does."""

    def __init__(self, message: str, kept: list[str]) -> None:
        super().__init__(message)
        self.kept = kept

    def reply(self) -> str:
        self.kept.append(self.incoming_message)
        header = self.incoming_message.split("\r")[0].split("|")
        answer = f"MSH|^~\\&|EHR|CLINIC|||{header[6]}||ACK^R01^ACK|A{header[9]}|P|2.5.1\rMSA|AA|{header[9]}\r"
        return f"\x0b{answer}\x1c\r"


@contextmanager
def foreign_receiver(port: int) -> Iterator[list[str]]:
    kept: list[str] = []
    server = MLLPServer("127.0.0.1", port, {"ORU^R01^ORU_R01": (Keeper, kept)})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def null_modem() -> Iterator[tuple[str, str]]:
    """Two ptys with their masters joined: two serial ports with a cable between them."""
    left, left_port = pty.openpty()
    right, right_port = pty.openpty()
    for end in (left_port, right_port):
        tty.setraw(end)
    stop_read, stop = os.pipe()

    def carry() -> None:
        while True:
            ready, _, _ = select.select([left, right, stop_read], [], [])
            if stop_read in ready:
                return
            for here, there in ((left, right), (right, left)):
                if here in ready:
                    os.write(there, os.read(here, 4096))

    cable = threading.Thread(target=carry, daemon=True)
    cable.start()
    try:
        yield os.ttyname(left_port), os.ttyname(right_port)
    finally:
        os.write(stop, b"x")
        cable.join()
        for descriptor in (left, left_port, right, right_port, stop_read, stop):
            os.close(descriptor)


def captured_frames(shared: Path) -> list[bytes]:
    """The frames of the capture: STX, number and text, CR, ETX, checksum, CR LF (E1381)."""
    frames = []
    for line in (shared / "vectors/astm/sysmex_cs2500_frames.txt").read_text(encoding="latin-1").splitlines():
        body = line.encode("latin-1") + b"\r\x03"
        frames.append(b"\x02" + body + b"%02X\r\n" % (sum(body) % 256))
    return frames


def send(port: str, frames: list[bytes]) -> None:
    """What the analyser does, by plain pyserial."""
    with serial.Serial(port, 9600, timeout=20) as line:
        for octets in (ENQ, *frames):
            line.write(octets)
            assert line.read(1) == ACK
        line.write(EOT)


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Stage]:
    """Broker, server and hub as in production: real clocks, no rig."""
    stage = Stage(tmp_path / "chain", datetime.now(UTC))
    stage.server_configuration.write_text(
        f'[server]\nname = "s"\nstore = "{stage.store}"\nrole = "production"\n'
        f"[mqtt]\nport = {stage.mqtt_port}\n[delivery]\nretry_first_s = 0.2\nretry_most_s = 1\n",
        encoding="utf-8",
    )
    try:
        yield stage
    finally:
        stage.stop()


def test_the_captured_inr_reaches_a_foreign_receiver(shared: Path, production: Stage) -> None:
    stage = production
    receiver_port = free_port()
    with null_modem() as (analyser, hub_port), foreign_receiver(receiver_port) as kept:
        stage.hub_configuration.write_text(
            f'[hub]\nid = "clinic-hub"\nzone = "Europe/Berlin"\njournal = "{stage.journal}"\n'
            f'[mqtt]\nport = {stage.mqtt_port}\n[[attachment]]\nname = "analyser"\naddress = "{hub_port}"\n'
            'driver = "astm"\nprofile = "sysmex_cs"\n',
            encoding="utf-8",
        )
        stage.start_broker()
        stage.prepare(REGISTRY.format(port=receiver_port))
        stage.start_server()
        stage.start_hub()
        configuration = ("--config", str(stage.server_configuration))
        assert "no danger was seen" in stage.call("providers", "probe", "ehr", *configuration)
        stage.call("providers", "go-live", "ehr", "--by", "Ada", *configuration)
        assert all("|T|2.5.1" in message for message in kept)
        kept.clear()
        until(lambda: "open" in stage.log("hub").read_text(), 20, "the hub opening its port")
        send(analyser, captured_frames(shared))
        until(lambda: bool(kept), 20, "the report arriving")
        until(
            lambda: " delivered " in stage.call("deliveries", *configuration),
            10,
            "the acknowledgement being stored",
        )

    message = parse_message(kept[0].replace("\n", "\r"), find_groups=False)
    observations = {obx.obx_3.obx_3_1.to_er7(): obx for obx in message.obx}
    inr = observations["46418-0"]
    assert inr.obx_5.to_er7() == "0.93"
    assert inr.obx_11.to_er7() == "F"
    assert inr.obx_14.to_er7() == "20240919152929+0200"
    assert any("564636" in note.to_er7() for note in message.nte)
    assert "10.6" in kept[0]
    assert "117.2" in kept[0]
    assert message.msh.msh_11.to_er7() == "P"
