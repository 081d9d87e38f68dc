"""The hub's own clock and alarms."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from gateway.clock import Clock
from gateway.hub.alarms import Alarm, Alarms
from gateway.hub.surroundings import Stamper, boot_id, clock_synchronised, give_back_memory


def test_a_stamp_is_what_the_journal_can_hold() -> None:
    start = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
    stamp = Stamper(Clock(start), rig=True).stamp()
    assert stamp.received_at.microsecond % 1000 == 0
    assert 0 <= (stamp.received_at - start).total_seconds() < 60
    assert stamp.synchronised is True
    assert stamp.boot_id == boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_monotonic_times_of_one_boot_grow() -> None:
    stamper = Stamper(Clock())
    assert stamper.stamp().monotonic_s < stamper.stamp().monotonic_s


def test_the_kernel_is_asked_without_setting_anything() -> None:
    """Compared with what the kernel says of itself by another way (ntp_gettime)."""
    program = (
        "import ctypes\nbuffer = ctypes.create_string_buffer(256)\nprint(ctypes.CDLL(None).ntp_gettime(buffer))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert clock_synchronised() is (int(said) != 5)


def test_memory_can_be_given_back_at_any_time() -> None:
    give_back_memory()


def test_alarms_tell_of_changes_only() -> None:
    alarms, told = Alarms(), []
    alarms.on_change = lambda: told.append(alarms.words)
    alarms.raise_(Alarm.JOURNAL_SET_ASIDE)
    alarms.raise_(Alarm.CLOCK_NOT_SYNCHRONISED)
    alarms.raise_(Alarm.CLOCK_NOT_SYNCHRONISED)
    alarms.clear(Alarm.JOURNAL_SET_ASIDE)
    alarms.clear(Alarm.DRIVER_FAULT)
    assert told == [
        ("journal_set_aside",),
        ("clock_not_synchronised", "journal_set_aside"),
        ("clock_not_synchronised",),
    ]


def test_alarms_may_be_raised_by_many_threads() -> None:
    alarms = Alarms()
    threads = [threading.Thread(target=alarms.raise_, args=(alarm,)) for alarm in Alarm for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alarms.words == tuple(sorted(alarm.value for alarm in Alarm))
