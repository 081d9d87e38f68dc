"""How fast reports are made and delivered; run with ``pytest -m bench -s``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.reporting.channels.hl7v2 import render
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from tests.unit.reporting import receivers
from tests.unit.reporting.examples import reportable
from tests.unit.reporting.stores import Store, body, quantity

pytestmark = pytest.mark.bench


def fdatasync_rate(file: Path) -> float:
    count = 300
    with file.open("wb", buffering=0) as disk:
        begun = time.perf_counter()
        for _ in range(count):
            disk.write(bytes(4096))
            os.fdatasync(disk.fileno())
        return count / (time.perf_counter() - begun)


def test_rendering(capsys: pytest.CaptureFixture[str]) -> None:
    count = 20_000
    report = reportable(result=body(pt_seconds=quantity("29.6"), quick_percent=quantity("31")))
    begun = time.perf_counter()
    for _ in range(count):
        render(report)
    rate = count / (time.perf_counter() - begun)
    with capsys.disabled():
        print(f"\nORU^R01 with INR, PT and Quick: {rate:,.0f} per second and core")
    assert rate > 20_000


def test_one_after_another_to_one_fast_receiver(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its attempt on disk before the first octet and its evidence on disk before the next.

    The disk decides: where it is busy otherwise the bound is a quarter of its rate, measured beside it.
    """
    count = 3000
    far_end = subprocess.Popen(
        [sys.executable, receivers.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert far_end.stdin is not None
    assert far_end.stdout is not None
    store = Store(tmp_path / "store.db")
    store.provider("a", far_end.stdout.readline().strip())
    store.patient("p", "a")
    store.results("p", count)
    delivery = Delivery(store.path, Settings(), store.clock, "rig")
    try:
        begun = time.perf_counter()
        delivery.start()
        while store.value("SELECT count(*) FROM report WHERE state = 'delivered'") < count:
            time.sleep(0.05)  # asking more often would slow down what is measured
            assert time.perf_counter() < begun + 50
        rate, disk = count / (time.perf_counter() - begun), fdatasync_rate(tmp_path / "beside")
    finally:
        delivery.stop()
        far_end.stdin.close()
        far_end.wait(10)
        far_end.stdout.close()
        store.close()
    with capsys.disabled():
        print(f"\nMLLP deliveries to one receiver: {rate:,.0f} per second; the disk's fdatasync: {disk:,.0f}")
    assert rate > min(500, disk / 4)
