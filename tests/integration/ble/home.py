"""A hub that reads Bluetooth meters, without broker: what stands in its journal is looked at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gateway.hub.configuration import HubConfiguration
from gateway.hub.run import Hub
from gateway.wire.reading import Reading
from simulators.ble.instrument import Instrument

__all__ = ["Home"]

PROFILE = """\
driver = "ble_ghs"
[bluetooth]
security = "authenticated"
[conversation]
close_when_quiet_s = 0.3
"""


class Home:
    def __init__(self, folder: Path) -> None:
        profile = folder / "ghs.toml"
        profile.write_text(PROFILE, encoding="utf-8")
        self.configuration = HubConfiguration.model_validate(
            {
                "hub": {
                    "id": "hub-1",
                    "zone": "America/New_York",
                    "journal": folder / "journal.db",
                    "origin": "simulator",
                },
                "mqtt": {"port": 1},  # nobody listens there
                "attachment": [
                    {
                        "name": "meter",
                        "address": "ble:ghs",
                        "driver": "ble_ghs",
                        "profile": str(profile),
                        "again_after_s": 1,
                    }
                ],
            }
        )
        self.hub = Hub(self.configuration)

    @property
    def alarms(self) -> tuple[str, ...]:
        """As they travel in the hub's status."""
        self.hub.tick()
        return self.hub._alarms.words

    @property
    def troubles(self) -> tuple[str, ...]:
        return self.hub._attachments[0]._troubles

    @property
    def readings(self) -> list[Reading]:
        return [Reading.model_validate_json(row.payload) for row in self.hub.journal.waiting(0, 10_000)]

    def tests(self, instrument: Instrument) -> Counter[tuple[str, str]]:
        """Copies of each test of a meter, by what a person would see of it."""
        serial = instrument.meter.identity.serial
        return Counter(
            (str(result.device_time and result.device_time.local), str(result.inr and result.inr.text))
            for result in (reading.result for reading in self.readings)
            if result is not None and result.meter.serial == serial
        )
