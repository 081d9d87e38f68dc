"""``inr-gateway decode``: what a person sees who meets an unknown capture."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cli.main import main
from tests.protocol.astm.framer import ACK, ENQ, EOT, MESSAGE, frames, one_frame

CAPTURE = "# inr-gateway capture 1\n"


def decode(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["decode", "--protocol", "astm", *words])
    captured = capsys.readouterr()
    return status, [json.loads(line) for line in captured.out.splitlines()], captured.err


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "meter.bin"
    path.write_bytes((ENQ + b"".join(frames(MESSAGE)) + EOT) * 2)
    return path


def test_one_json_object_for_each_message(capsys: pytest.CaptureFixture[str], capture: Path) -> None:
    status, messages, errors = decode(capsys, str(capture))
    assert (status, errors) == (0, "")
    assert [message["message"] for message in messages] == [1, 2]
    offset = capture.read_bytes().index(b"2.5")
    assert messages[0]["records"][3]["fields"][2] == {
        "place": "R.4",
        "name": "value",
        "offset": offset,
        "text": "2.5",
    }


def test_hexadecimal_digits_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = one_frame().hex(" ").encode() + b"\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(digits)))
    status, messages, _ = decode(capsys, "--hex", "-")
    assert status == 0
    assert messages[0]["complete"]


def test_a_profile_adds_what_it_means(capsys: pytest.CaptureFixture[str], capture: Path) -> None:
    status, messages, _ = decode(capsys, "--profile", "home_inr_astm", str(capture))
    assert status == 0
    decoded = messages[0]["decoded"]
    assert decoded["meter"] == {"vendor": "ACME", "serial": "SN000123", "model": "HomeINR", "firmware": "1.2"}
    assert decoded["items"][0]["inr"] == {"text": "2.5", "value": "2.5", "comparator": None, "unit": "INR"}
    assert decoded["items"][0]["device_time"]["local"] == "2026-03-14T07:28:00"


def test_what_a_profile_does_not_know_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"H|\\^&\rO|1\rR|1|^^^HCT|41\rL|1\r")
    _, messages, _ = decode(capsys, "--profile", "home_inr_astm", str(path))
    assert messages[0]["decoded"]["items"][0]["error"]["reason"] == "unsupported"


def test_the_sysmex_capture_with_its_profile(capsys: pytest.CaptureFixture[str], shared: Path) -> None:
    path = shared / "vectors/astm/sysmex_cs2500_frames.txt"
    status, messages, _ = decode(capsys, "--profile", "sysmex_cs", str(path))
    (item,) = messages[0]["decoded"]["items"]
    assert (status, item["inr"]["value"], item["strip_lot"]) == (0, "0.93", "564636")


def test_a_capture_file_of_the_hub(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "meter.capture"
    path.write_text(
        f"{CAPTURE}2026-03-14T07:30:05Z < {ENQ.hex()}\n2026-03-14T07:30:05Z > {ACK.hex()}\n"
        f"2026-03-14T07:30:06Z < {one_frame().hex()}\n"
    )
    status, messages, _ = decode(capsys, str(path))
    assert status == 0
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("octets", "words", "shown", "offset"),
    [
        (b"no astm at all", (), 0, 0),
        (one_frame() + b"rest", (), 1, len(one_frame())),
        (b"05 0g", ("--hex",), 0, 4),
        (b"050", ("--hex",), 0, 3),
        (b"", (), 0, 0),
        (CAPTURE.encode() + b"nonsense\n", (), 0, len(CAPTURE)),
    ],
)
def test_what_is_not_astm_ends_with_2_and_the_offset(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    octets: bytes,
    words: tuple[str, ...],
    shown: int,
    offset: int,
) -> None:
    path = tmp_path / "input"
    path.write_bytes(octets)
    status, messages, errors = decode(capsys, *words, str(path))
    assert status == 2
    assert len(messages) == shown
    assert errors.startswith(f"inr-gateway decode: {path}: offset {offset}: ")


def test_what_cannot_be_read_ends_with_1(capsys: pytest.CaptureFixture[str], tmp_path: Path, capture: Path) -> None:
    profile = tmp_path / "bad.toml"
    for content in ("tests = 7", "not toml", 'driver = "none"\n[tests]\ninr = "R.3.4=INR"\n'):
        profile.write_text(content)
        status, _, errors = decode(capsys, "--profile", str(profile), str(capture))
        assert status == 1
        assert errors.startswith("inr-gateway decode: ")
    for words in ((str(tmp_path / "none"),), ("--profile", "none", str(capture))):
        status, _, errors = decode(capsys, *words)
        assert status == 1
        assert "No such file" in errors


def test_an_unknown_protocol_is_a_mistake_of_the_command_line() -> None:
    with pytest.raises(SystemExit) as raised:
        main(["decode", "--protocol", "none", "-"])
    assert raised.value.code == 2


class TestConfiguration:
    """--config, with which reports of IEEE 11073 name their observations."""

    def decode(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
        status = main(["decode", *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    def test_observations_are_named(self, capsys: pytest.CaptureFixture[str], shared: Path, tmp_path: Path) -> None:
        vectors = json.loads((shared / "vectors" / "ieee11073_20601.json").read_text())
        for each in vectors:
            (tmp_path / each["name"].replace("/", "-")).write_text(each["hex"])
        words = ("--protocol", "ieee11073", "--hex", str(tmp_path / "H241"))
        assert "observations" not in json.loads(self.decode(capsys, *words)[1])
        status, said, _ = self.decode(capsys, *words, "--config", str(tmp_path / "H221"))
        names = [each["type"]["name"] for each in json.loads(said)["observations"]]
        assert (status, names) == (0, ["MDC_MASS_BODY_ACTUAL", "MDC_BODY_FAT"])

    def test_what_is_wrong_with_it_is_said_of_it(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        report, configuration = tmp_path / "report", tmp_path / "configuration"
        report.write_text("e7000000")
        configuration.write_text("no digits")
        words = ("--protocol", "ieee11073", "--config", str(configuration))
        for more, problem in ((("--hex",), "no hexadecimal digit"), ((), "is no APDU")):
            status, _, errors = self.decode(capsys, *words, *more, str(report))
            assert status == 2
            assert errors.startswith(f"inr-gateway decode: {configuration}: offset 0: ")
            assert problem in errors
        configuration.unlink()
        assert self.decode(capsys, *words, str(report))[0] == 1

    @pytest.mark.parametrize("protocol", ["astm", "ghs", "poct1a"])
    def test_other_protocols_need_none(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, protocol: str
    ) -> None:
        (tmp_path / "file").write_bytes(b"")
        name = str(tmp_path / "file")
        status, _, errors = self.decode(capsys, "--protocol", protocol, "--config", name, name)
        assert status == 1
        assert f"--config is of no use with {protocol}" in errors
