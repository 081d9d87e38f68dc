"""The watch: judges what was stored, reminds of what stands open, keeps alerts as things are."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from gateway.clock import Clock
from gateway.database import transaction
from gateway.reporting.alerts import rules
from gateway.reporting.alerts.configuration import NOT_STATED, AlertKind, Watching
from gateway.reporting.alerts.judging import Touched, judge
from gateway.store import alerts, escalations, watched
from gateway.store.alerts import Changes, Finding
from gateway.store.opening import Role, open_store
from gateway.wire.receipt import STATUS_AT_LEAST_EVERY_S

__all__ = ["Watch"]

GATHER_S = 0.2
"""After a look that found something: what comes meanwhile is judged together."""
STAND_BY_S = 1.0
NO_TEST_EVERY_S = 900.0
"""Days begin on a quarter of an hour in every zone."""
HUBS_AFTER_S = STATUS_AT_LEAST_EVERY_S + 600.0
"""So long after its start a server cannot know yet which hubs are silent: it may have been away itself."""
LONGEST_WAIT_S = 30.0

_log = logging.getLogger("gateway.reporting.alerts")


class Watch:
    """Watches one store, in a thread of its own with a connection of its own.

    One process at a time watches a store: a second one stands by, and takes over when the first is gone. Errors of
    the store are logged and met again; nothing ends the watch but `stop`.
    """

    def __init__(self, store: Path, watching: Watching, clock: Clock, role: Role) -> None:
        """Nothing happens before `start`.

        Args:
            store: the store's file.
            watching: by what it goes.
            clock: the gateway's clock.
            role: what the store must be.
        """
        self._path = store
        self._watching = watching
        self._clock = clock
        self._role: Role = role
        self._news = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._all_at_s = self._tests_at_s = self._hubs_at_s = 0.0  # monotonic: when these are looked at again
        self.failed: BaseException | None = None
        """What ended the watch, if anything did."""

    def start(self) -> None:
        """Begin to watch; returns at once.

        Raises:
            StoreError: no such store, or of another role.
        """
        database = open_store(self._path, self._role)
        if not self._watching.intended_use.stated:
            _log.warning("%s", NOT_STATED)
        self._thread = threading.Thread(target=self._run, args=(database,), name="watch", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Something was committed: look now. For any thread; without it the watch looks by itself."""
        self._news.set()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish what is at hand and end."""
        self._ending.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    # ---------------------------------------------------------------- the thread

    def _run(self, database: sqlite3.Connection) -> None:
        try:
            with closing(database), self._alone():
                self._hubs_at_s = self._clock.monotonic_s() + HUBS_AFTER_S
                self._watch(database)
        except BaseException as error:
            self.failed = error
            _log.error("the watch has ended (%s): nobody is told of critical results", type(error).__name__)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process watches this store. Its end, however sudden, frees the lock."""
        name = self._path.with_name(f"{self._path.name}.watch")
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            waiting = False
            while not self._ending.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not waiting:
                        _log.warning("another process watches this store; standing by")
                    waiting = True
                    self._ending.wait(STAND_BY_S)
            yield
        finally:
            os.close(lock)

    def _watch(self, database: sqlite3.Connection) -> None:
        failures = 0
        while not self._ending.is_set():
            self._news.clear()
            try:
                found = self.look(database, self._clock.now())
                patience_s = GATHER_S if found else self._patience_s(database)
                failures = 0
            except Exception as error:  # its text may hold a patient's values
                failures += 1
                _log.error("the watch stumbled (%s); it looks again", type(error).__name__)
                self._all_at_s = 0.0
                found, patience_s = True, min(2.0 ** min(failures, 10) / 4, LONGEST_WAIT_S)
            if found:
                self._ending.wait(patience_s)
            else:
                self._news.wait(patience_s)

    def _patience_s(self, database: sqlite3.Connection) -> float:
        wait_s = self._all_at_s - self._clock.monotonic_s()
        reminder = escalations.next_reminder(database)
        if reminder is not None:
            wait_s = min(wait_s, (reminder - self._clock.now()).total_seconds())
        return max(0.0, wait_s)

    def look(self, database: sqlite3.Connection, now: datetime) -> bool:
        """Look once; the thread does nothing else. True when something was judged, and more may have come since."""
        self._remind(database, now)
        judged = bool(watched.due(database, 1))
        if judged and self._judge(database, now):
            return True  # results before alerts
        if self._clock.monotonic_s() >= self._all_at_s:
            self._all_at_s = self._clock.monotonic_s() + self._watching.alerts.check_every_s
            self._keep_alerts(database, now)
        return judged

    def _judge(self, database: sqlite3.Connection, now: datetime) -> bool:
        with transaction(database):
            touched = judge(database, self._watching, now)
            opened = self._see_apart(database, touched, now)
        for escalation in touched.escalations:
            _log.error(
                "escalation %d is open, a result at or beyond critical limits: tell somebody now, see 'inr-gateway "
                "escalations show %d'",
                escalation,
                escalation,
            )
        _tell(opened)
        return touched.more

    def _see_apart(
        self, database: sqlite3.Connection, touched: Touched, now: datetime
    ) -> dict[AlertKind, list[int]]:
        """`_see`; what is wrong with one patient's alerts must keep nobody's escalation from being opened."""
        database.execute("SAVEPOINT alerts")
        try:
            opened = self._see(database, touched, now)
        except sqlite3.OperationalError:
            raise  # the store
        except Exception as error:
            database.execute("ROLLBACK TO alerts")
            _log.error("alerts about what was just stored cannot be kept (%s)", type(error).__name__)
            opened = {}
        database.execute("RELEASE alerts")
        return opened

    def _see(self, database: sqlite3.Connection, touched: Touched, now: datetime) -> dict[AlertKind, list[int]]:
        """The alerts of patients and meters of whom something was just stored."""
        patients = sorted(touched.patients)
        subjects = tuple(rules.patient(patient) for patient in patients)
        found: dict[AlertKind, tuple[Mapping[str, Finding], tuple[str, ...]]] = {}
        if self._watching.intended_use.stated:
            found["out_of_target"] = rules.out_of_target(database, patients), subjects
            found["not_live"] = rules.not_live(database, patients, self._role), subjects
        late: dict[str, Finding] = {}
        for patient in patients:
            late |= rules.no_test(database, self._watching, now, patient)
        found["no_test"] = late, subjects
        found["meter_clock"] = rules.meter_clock(database, self._watching, touched.readings)
        return {
            kind: self._write(database, kind, self._changes(database, kind, findings, about), now)
            for kind, (findings, about) in found.items()
        }

    def _remind(self, database: sqlite3.Connection, now: datetime) -> None:
        waits = self._watching.escalations.remind_after_min
        if not escalations.due_reminders(database, now):
            return
        with transaction(database):
            due = escalations.due_reminders(database, now)
            for each in due:
                again = waits[min(each.reminders + 1, len(waits) - 1)]
                escalations.remind(database, each.id, now, again)
        for each in due:
            _log.error(
                "escalation %d is %s since %s, reminder %d: see 'inr-gateway escalations show %d'",
                each.id,
                each.state,
                each.opened_at,
                each.reminders + 1,
                each.id,
            )

    # ---------------------------------------------------------------- alerts

    def _keep_alerts(self, database: sqlite3.Connection, now: datetime) -> None:
        watched.tidy(database)
        looking: dict[AlertKind, Callable[[], Mapping[str, Finding]]] = {
            "no_delivery": lambda: rules.no_delivery(database, self._watching, now),
            "hub_silent": lambda: self._hub_silent(database, now),
            "out_of_target": lambda: self._of_patients(database, "out_of_target"),
            "not_live": lambda: self._of_patients(database, "not_live"),
        }
        if self._clock.monotonic_s() >= self._tests_at_s:
            self._tests_at_s = self._clock.monotonic_s() + NO_TEST_EVERY_S
            looking["no_test"] = lambda: rules.no_test(database, self._watching, now)
        made: dict[AlertKind, Changes] = {}
        for kind, rule in looking.items():
            try:
                made[kind] = self._changes(database, kind, rule())
            except sqlite3.OperationalError:
                raise  # the store
            except Exception as error:
                _log.error("alerts of kind %s cannot be kept (%s)", kind, type(error).__name__)
        if not any(made.values()):
            return
        with transaction(database):
            opened = {kind: self._write(database, kind, each, now) for kind, each in made.items()}
        _tell(opened)

    def _hub_silent(self, database: sqlite3.Connection, now: datetime) -> Mapping[str, Finding]:
        silent = rules.hub_silent(database, self._watching, now)
        if self._clock.monotonic_s() >= self._hubs_at_s:
            return silent
        known = {alert.subject for alert in alerts.standing(database, "hub_silent")}
        return {subject: finding for subject, finding in silent.items() if subject in known}

    def _of_patients(self, database: sqlite3.Connection, kind: AlertKind) -> Mapping[str, Finding]:
        """These open with a result; here they close when limits or the registry have changed."""
        if not self._watching.intended_use.stated:
            return {}
        standing = [alert.patient_id for alert in alerts.standing(database, kind) if alert.patient_id]
        if kind == "out_of_target":
            return rules.out_of_target(database, standing)
        return rules.not_live(database, standing, self._role)

    def _changes(
        self,
        database: sqlite3.Connection,
        kind: AlertKind,
        found: Mapping[str, Finding],
        subjects: tuple[str, ...] | None = None,
    ) -> Changes:
        return alerts.changes(database, kind, {} if kind in self._watching.alerts.off else found, subjects)

    def _write(self, database: sqlite3.Connection, kind: AlertKind, made: Changes, now: datetime) -> list[int]:
        why = "its cause has gone"
        if kind in self._watching.alerts.off:
            why = "alerts of this kind are switched off"
        elif kind in ("out_of_target", "not_live") and not self._watching.intended_use.stated:
            why = "the intended use is not stated"
        return alerts.apply(database, kind, made, self._watching.alerts.owner_of(kind), now, why)


def _tell(opened: Mapping[AlertKind, list[int]]) -> None:
    for kind, numbers in opened.items():
        for number in numbers:
            _log.warning("alert %d (%s) is open: see 'inr-gateway alerts show %d'", number, kind, number)
