"""Keeps the ports alive: opens them, converses, opens them again. A bad meter ends only its own conversation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from drivers import registry
from drivers.contract import Driver, Session
from drivers.errors import DriverError, PairingError, PairingReason, TransportError, TransportReason
from gateway.hub.alarms import Alarm
from gateway.hub.configuration import AttachmentSection
from gateway.hub.contact import Contact
from gateway.hub.decoding import where
from gateway.hub.entries import Line
from gateway.hub.intake import Intake
from gateway.hub.journal import JournalError
from gateway.wire.reading import Origin

__all__ = ["Attachment"]

ABSENT_S = 1.0
"""A device that is not there is looked for this often, so that it is read within 2 s of being plugged in."""
LONGEST_DELAY_S = 30.0
ACCEPT_S = 0.5

NewIntake = Callable[[Line], Intake]
"""Makes the intake of one conversation."""

_log = logging.getLogger(__name__)


class Attachment:
    """One configured port in a thread of its own; at an address to listen on, one more for each meter."""

    def __init__(
        self,
        section: AttachmentSection,
        driver: Driver,
        origin: Origin,
        new_intake: NewIntake,
        bonds: Path | None = None,
        around: Callable[[Session], Session] = lambda session: session,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            section: its configuration.
            driver: with its profile.
            origin: of what is not played back.
            new_intake: see `NewIntake`.
            bonds: list of the Bluetooth meters that were paired with this hub.
            around: put around each session, to give it an order.
        """
        self._section = section
        self._bonds = bonds
        self._troubles: tuple[str, ...] = ()
        self.alarms: frozenset[Alarm] = frozenset()
        """What is wrong here now, and needs a person."""
        self._origin = origin
        self._driver = driver
        self._new_intake = new_intake
        self._around = around
        self._stopping = threading.Event()
        self._transports: set[registry.Transport] = set()
        self._captures: set[Path] = set()
        self._lock = threading.Lock()
        self._said = ""
        self._tried = threading.Event()
        listens = registry.listens(section.address)
        self._thread = threading.Thread(
            target=self._listen if listens else self._dial, name=f"port-{section.name}", daemon=True
        )

    def start(self) -> None:
        """Start; returns at once."""
        self._thread.start()

    def wait_until_tried(self, timeout_s: float) -> None:
        """Wait until the port is open, or was found not to be."""
        self._tried.wait(timeout_s)

    def stop(self) -> None:
        """Ask all conversations to end after what they are doing; returns at once."""
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end; what is still open then is closed."""
        deadline_s = time.monotonic() + timeout_s
        self._thread.join(timeout_s)
        while time.monotonic() < deadline_s and self._transports:
            time.sleep(0.01)
        for transport in list(self._transports):
            transport.close()

    # ---------------------------------------------------------------- a port of ours

    def _dial(self) -> None:
        name, delay_s = self._section.name, ABSENT_S
        while not self._stopping.is_set():
            try:
                transport = registry.open_transport(self._section.address, **self._driver.serial_parameters())
            except TransportError as error:
                self._say(logging.WARNING, str(error))
                absent = error.reason is TransportReason.NOT_FOUND
                delay_s = ABSENT_S if absent else min(delay_s * 2, LONGEST_DELAY_S)
            except Exception as error:
                self._say(logging.ERROR, f"cannot be opened: {type(error).__name__}: {error}")
                delay_s = LONGEST_DELAY_S
            else:
                self._say(logging.INFO, f"open: {transport.peer}")
                if transport.kind not in self._driver.transports | {"replay"}:
                    _log.warning("port %s: driver %s is not made for %s", name, self._driver.name, transport.kind)
                done = self._converse(transport, name)
                if transport.kind == "replay":
                    return  # once; a second time would be a second reading of everything
                self._said = ""
                delay_s = self._section.again_after_s if done else ABSENT_S
            self._rest(delay_s)

    def _rest(self, delay_s: float) -> None:
        """Wait, but not for a device that was pulled: when it comes again it may have something new."""
        path = Path(self._section.address)
        watched = path.is_absolute() and path.exists()
        until_s = time.monotonic() + delay_s
        while (left_s := until_s - time.monotonic()) > 0 and not self._stopping.wait(min(left_s, ABSENT_S)):
            if watched and not path.exists():
                return

    # ---------------------------------------------------------------- meters that connect

    def _listen(self) -> None:
        delay_s = ABSENT_S
        while not self._stopping.is_set():
            try:
                with registry.listen(
                    self._section.address,
                    max_connections=self._section.max_connections,
                    recognises=self._driver.recognises,
                    security=self._driver.security,
                    bonds=self._bonds,
                    again_after_s=self._section.again_after_s,
                ) as listener:
                    self._say(logging.INFO, f"listening on {listener.address}")
                    self._accept(listener)
            except TransportError as error:
                self._say(logging.WARNING, str(error))
                if self._section.address.startswith("ble:"):
                    self.alarms = frozenset({Alarm.RADIO_UNAVAILABLE})
            except Exception as error:
                self._say(logging.ERROR, f"cannot listen: {type(error).__name__}: {error}")
            self._stopping.wait(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    def _accept(self, listener: registry.Listener) -> None:
        refused = 0
        while not self._stopping.is_set():
            transport = listener.accept(ACCEPT_S)
            if listener.refused > refused:
                refused = listener.refused
                _log.warning("port %s: %d connections were turned away: too many", self._section.name, refused)
            self._follow(listener.troubles)
            if transport is not None:
                threading.Thread(
                    target=self._converse_and_tell,
                    args=(listener, transport),
                    name=f"meter-{self._section.name}",
                    daemon=True,
                ).start()

    def _converse_and_tell(self, listener: registry.Listener, transport: registry.Transport) -> None:
        kind, _, far = transport.peer.partition(":")
        host = far if kind == "ble" else far.removeprefix("//").rpartition(":")[0]
        done = self._converse(transport, f"{self._section.name}@{host}")
        listener.concluded(transport, done=done)

    def _follow(self, troubles: Sequence[DriverError]) -> None:
        """Log what is new, and remember what needs a person."""
        texts = tuple(map(str, troubles))
        for trouble in troubles:
            if str(trouble) not in self._troubles:
                _log.warning("port %s: %s", self._section.name, trouble)
        self._troubles = texts
        alarms = frozenset(_alarm(each) for each in troubles if each.reason not in _NOBODYS)
        if self.alarms and not alarms:
            _log.info("port %s: works again", self._section.name)
        self.alarms = alarms

    # ---------------------------------------------------------------- both

    def _converse(self, transport: registry.Transport, line_name: str) -> bool:
        """Whether everything was read, so that there is no reason to ask again at once."""
        name = self._section.name
        capture = self._capture_file()
        with self._lock:
            self._transports.add(transport)
        moved = transport if capture is None else registry.CapturingTransport(transport, capture)
        origin = Origin.REPLAY if transport.kind == "replay" else self._origin
        intake = self._new_intake(Line(name, line_name, self._driver.name, origin))
        try:
            session = self._around(self._driver.session(intake.unfinished(), intake.memos()))
            return Contact(line_name, moved, session, intake).run(self._stopping)
        except JournalError as error:
            _log.error("port %s: %s", name, error)
        except Exception as error:  # whatever a driver does, the port is opened again
            # No text of the error: it may quote a value.
            _log.error("port %s: the conversation failed: %s", name, where(error))
        finally:
            intake.close()
            moved.close()
            with self._lock:
                self._transports.discard(transport)
                if capture is not None:
                    self._captures.discard(capture)
        return False

    def _capture_file(self) -> Path | None:
        """The configured file, or the first with a number that no other conversation writes just now."""
        wanted = self._section.capture
        if wanted is None:
            return None
        with self._lock:
            number = 1
            path = wanted
            while path in self._captures:
                number += 1
                path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
            self._captures.add(path)
            return path

    def _say(self, level: int, text: str) -> None:
        """Log what changed; a port that stays absent is mentioned once."""
        self._tried.set()
        if text != self._said:
            self._said = text
            _log.log(level, "port %s: %s", self._section.name, text)


_NOBODYS = (PairingReason.UNKNOWN_METER,)
"""A neighbour's meter is no reason to call anybody."""


def _alarm(trouble: DriverError) -> Alarm:
    return Alarm.METER_NOT_PAIRED if isinstance(trouble, PairingError) else Alarm.RADIO_UNAVAILABLE
