"""A store from before there were escalations opens with all it holds, and judges what comes from then on."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

from gateway.clock import Clock
from gateway.database import transaction
from gateway.reporting.alerts.configuration import Watching
from gateway.reporting.alerts.watch import Watch
from gateway.store import escalations, live, presence, watched
from gateway.store.opening import open_store
from tests.unit.alerts.scene import STATED

NOW = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)


def test_a_store_of_the_first_schema(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            resources.files("tests.unit.store").joinpath("store_0001.sql").read_text(encoding="utf-8")
        )
    with closing(open_store(path, "production")) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert watched.unjudged(database) == 0  # what was there before is no news
        assert not live.is_live(database, "pat")
        assert presence.home_hubs(database, "desk")[0].heard_at is None
        watch = Watch(path, Watching(intended_use=STATED, low=None, high=None), Clock(), "production")
        watch.look(database, NOW)
        assert escalations.listing(database) == []
        with transaction(database):
            database.execute(
                "INSERT INTO limit_pair (level, pair, from_date, low, high, stated_by, recorded_at)"
                " VALUES ('clinic', 'critical', '2020-01-01', '1.5', '2.4', 'Ada', '')"
            )
            database.execute(
                "INSERT INTO version SELECT result_id, version + 1, 'corrected', body, origin, patient_id,"
                " taken_at, uncertainty_s, quality, zone, recorded_at, why, reading_id FROM version"
            )
        watch.look(database, NOW)
        (found,) = escalations.listing(database)
        assert (found.patient_id, found.version, found.inr) == ("pat", 2, "2.5")
