"""The rig's own judgement: it fails loudly. The kernels here are shell scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rig import run
from tests.rig.judgement import judge

PASSED = '<testcase classname="tests.rig.test_usb_phdc" name="test_a"/>'
REPORT = '<testsuites><testsuite name="pytest">{}</testsuite></testsuites>'


def left(folder: Path, *cases: str, code: str | None = "0\n") -> Path:
    (folder / "junit.xml").write_text(REPORT.format("".join(cases)))
    if code is not None:
        (folder / "code").write_text(code)
    return folder


def test_a_whole_run_counts(tmp_path: Path) -> None:
    judged = judge(left(tmp_path, PASSED, PASSED), ["test_usb_phdc"])
    assert judged.passed == {"test_usb_phdc": 2}
    assert judged.problems == ()


def test_figures_are_told(tmp_path: Path) -> None:
    figure = '><properties><property name="time" value="3 s"/></properties></testcase>'
    assert judge(left(tmp_path, PASSED.replace("/>", figure)), ["test_usb_phdc"]).figures == {"time": "3 s"}


def test_tests_in_classes_belong_to_their_module(tmp_path: Path) -> None:
    case = '<testcase classname="tests.rig.test_ble.TestPairing" name="test_a"/>'
    assert judge(left(tmp_path, case), ["test_ble"]).passed == {"test_ble": 1}


@pytest.mark.parametrize(
    ("cases", "code", "problem"),
    [
        ([PASSED, PASSED.replace("/>", '><failure message="no"/></testcase>')], "1", "test_a: failure: no"),
        ([PASSED, PASSED.replace("/>", '><skipped message="absent"/></testcase>')], "0", "skipped: absent"),
        ([PASSED], None, "the guest ended before its tests did"),
        ([PASSED], "3", "pytest ended with 3"),
        ([], "0", "test_usb_phdc: no test of it passed"),
    ],
)
def test_anything_less_is_a_problem(tmp_path: Path, cases: list[str], code: str | None, problem: str) -> None:
    assert any(problem in each for each in judge(left(tmp_path, *cases, code=code), ["test_usb_phdc"]).problems)


@pytest.mark.parametrize("report", [None, "", "<testsuites>"])
def test_a_report_that_is_missing_or_broken_is_a_problem(tmp_path: Path, report: str | None) -> None:
    (tmp_path / "code").write_text("0")
    if report is not None:
        (tmp_path / "junit.xml").write_text(report)
    assert judge(tmp_path, ["test_usb_phdc"]).problems == ("test_usb_phdc: no test of it passed",)


def kernel(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that takes the kernel's words and finds its folder among them."""
    path = folder / "linux-uml"
    find = 'for word in "$@"; do case $word in rig.out=*) out=${word#rig.out=};; esac; done\n'
    path.write_text(f"#!/bin/sh\n{find}{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("INR_RIG_KERNEL", str(path))


def test_it_boots_as_often_as_asked_and_shows_what_the_guest_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = REPORT.format(PASSED)
    script = f"echo hello; cp $out/job {tmp_path}/job; echo '{report}' > $out/junit.xml; echo 0 > $out/code"
    kernel(tmp_path, script, monkeypatch)
    assert run.main(["--times", "2", "-k", "live or store", "test_usb_phdc"]) == 0
    said = capsys.readouterr().out
    assert said.count("hello") == 2
    assert "rig: 2 of 2," in said
    job = (tmp_path / "job").read_text()
    assert "-k 'live or store' tests/rig/test_usb_phdc.py" in job


def test_bluetooth_and_usb_get_guests_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel(tmp_path, 'grep -o "tests/rig/test_[a-z_]*" $out/job', monkeypatch)
    assert run.main(["test_usb_hub", "test_ble", "test_usb_phdc"]) == 1
    said = capsys.readouterr().out
    assert "usb | tests/rig/test_usb_hub\nusb | tests/rig/test_usb_phdc\n" in said
    assert "ble | tests/rig/test_ble\n" in said
    assert said.count("FAILED") == 5


def test_a_guest_that_dies_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel(tmp_path, "echo 'Kernel panic'; kill -9 $$", monkeypatch)
    assert run.main(["test_usb_phdc", "--keep", str(tmp_path / "kept")]) == 1
    assert "FAILED the guest ended before its tests did" in capsys.readouterr().out
    assert "Kernel panic" in (tmp_path / "kept" / "usb" / "console").read_text()


def test_a_guest_that_hangs_is_ended_with_all_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel(tmp_path, "sleep 300 & sleep 300", monkeypatch)
    assert run.main(["test_usb_phdc", "--limit", "0.5"]) == 1
    assert "FAILED usb: no end within 0.5 s" in capsys.readouterr().out


def test_without_a_kernel_or_with_an_unknown_suite_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INR_RIG_KERNEL", str(tmp_path / "none"))
    assert run.main([]) == 2
    kernel(tmp_path, "exit 1", monkeypatch)
    assert run.main(["test_usb_phcd"]) == 2
    said = capsys.readouterr().err
    assert "make rig" in said
    assert "no suite test_usb_phcd" in said
