from __future__ import annotations

import json
import os
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from drivers.contract import Security
from drivers.errors import TransportError
from drivers.transports.ble.bonds import BondFile

AT = datetime(2026, 3, 14, 12, 0, tzinfo=timezone(timedelta(hours=-4)))


def put(file: BondFile, address: str = "c0:00:00:00:00:01", security: Security = "authenticated") -> None:
    file.put(address, "INR meter", security, at=AT, by="somebody", driver="ble_ghs", profile="ghs_inr")


def test_a_pairing_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    file = BondFile(tmp_path / "state" / "bonds.json")
    assert file.bonds() == {}
    put(file)
    bond = BondFile(file.path).get("C0:00:00:00:00:01")
    assert bond is not None
    assert (bond.address, bond.paired_at, bond.paired_by) == (
        "C0:00:00:00:00:01",
        "2026-03-14T16:00:00Z",
        "somebody",
    )
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.path.parent) == ["bonds.json"]  # noqa: PTH208  (hidden files, too)
    assert json.loads(file.path.read_text())["version"] == 1


def test_a_change_by_another_process_is_seen(tmp_path: Path) -> None:
    ours, others = BondFile(tmp_path / "bonds.json"), BondFile(tmp_path / "bonds.json")
    assert ours.bonds() == {}
    put(others)
    assert list(ours.bonds()) == ["C0:00:00:00:00:01"]
    put(others, security="encrypted")
    assert ours.bonds()["C0:00:00:00:00:01"].security == "encrypted"
    assert others.remove("C0:00:00:00:00:01") is not None
    assert others.remove("C0:00:00:00:00:01") is None
    assert ours.bonds() == {}


def test_pairings_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    addresses = [f"C0:00:00:00:00:{number:02X}" for number in range(8)]
    threads = [threading.Thread(target=put, args=(BondFile(tmp_path / "bonds.json"), each)) for each in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(BondFile(tmp_path / "bonds.json").bonds()) == addresses


@pytest.mark.parametrize(
    ("kept", "wanted", "enough"),
    [
        ("authenticated", "authenticated", True),
        ("authenticated", "encrypted", True),
        ("encrypted", "authenticated", False),
        ("encrypted", "encrypted", True),
        ("none", "encrypted", False),
    ],
)
def test_what_a_pairing_is_good_for(tmp_path: Path, kept: Security, wanted: Security, enough: bool) -> None:
    file = BondFile(tmp_path / "bonds.json")
    put(file, security=kept)
    bond = file.get("C0:00:00:00:00:01")
    assert bond is not None
    assert bond.satisfies(wanted) is enough


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "bonds": []}',
        '{"version": 1, "bonds": [{"address": "x"}]}',
        '{"version": 1, "bonds": [7]}',
        '{"version": 1, "bonds": [{"address":"a","name":"","security":"strong","paired_at":"","paired_by":"",'
        '"driver":""}]}',
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bonds.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TransportError, match=str(path)):
        BondFile(path).bonds()
    with pytest.raises(TransportError, match=str(path)):
        put(BondFile(path))
    assert path.read_text(encoding="utf-8") == text
