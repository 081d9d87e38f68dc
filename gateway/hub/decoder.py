"""Decodes messages from the journal, behind the meter's back: it has its acknowledgement already.

A message that is whole stands in the journal with all its octets. What it says is decoded from there and written in
a second commit, so that a meter waits for one small commit and nothing else, and a crash or a driver's fault in
between costs nothing: what was not decoded is decoded at the next start.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from gateway.hub.alarms import Alarm, Alarms
from gateway.hub.decoding import Interpreter, where
from gateway.hub.entries import Closing, Line, PastMessage
from gateway.hub.journal import Journal, JournalError

__all__ = ["Decoder", "History", "InterpreterFor"]

AT_ONCE = 50
"""Most messages in one commit."""
QUIET_S = 0.05
"""While messages come faster than this they are not decoded: the meter that waits for a commit goes first."""
LONGEST_LAG_S = 3.0
"""But no message waits longer for it than this."""
BREATH_S = 0.1
"""Then decoding pauses so long after each commit."""
RETRY_S = 1.0
HISTORY_MESSAGES = 200
"""So many earlier messages of a meter without a running clock are compared with a new one."""

History = Callable[[str], Sequence[PastMessage]]
InterpreterFor = Callable[[Line, History], Interpreter | None]
"""Who says what messages of a line mean; None when its driver is not configured any more."""

_log = logging.getLogger(__name__)


class Decoder:
    """One thread that turns whole messages into readings, in the order in which they became whole."""

    def __init__(
        self, journal: Journal, interpreter_for: InterpreterFor, alarms: Alarms, on_readings: Callable[[], None]
    ) -> None:
        """Args: on_readings: called after readings were committed; must return at once."""
        self._journal = journal
        self._interpreter_for = interpreter_for
        self._alarms = alarms
        self._on_readings = on_readings
        self._queue: deque[tuple[int, Line]] = deque(journal.undecoded())
        self._outcomes: list[tuple[int, Closing]] = []
        self._put_s = -QUIET_S
        self._waiting_since_s: float | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)

    def start(self) -> None:
        """Start decoding, first what an earlier run left; returns at once."""
        self._wake.set()
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Finish the commit at hand. What is left is decoded at the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def put(self, message: int, line: Line) -> None:
        """A message is whole. Returns at once; for any thread."""
        self._queue.append((message, line))
        self._put_s = time.monotonic()
        self._wake.set()

    def work(self) -> int:
        """Decode and commit the next messages; how many.

        Raises:
            JournalError: they stay in the queue.
        """
        taken = [self._queue[index] for index in range(min(len(self._queue), AT_ONCE))]
        try:
            self._decode(taken)
        except JournalError:
            raise
        except Exception as error:  # one message must not hold up the others
            _log.error("decoding failed: %s; each message is tried alone", where(error))
            for one in taken:
                self._decode_alone(one)
        for _ in taken:
            self._queue.popleft()
        return len(taken)

    def _decode(self, messages: Sequence[tuple[int, Line]]) -> None:
        self._outcomes = []
        for message, line in messages:
            interpreter = self._interpreter_for(line, self._history)
            if interpreter is None:
                why = f"message {message} waits undecoded: port {line.port} is not configured any more"
                self._alarms.raise_(Alarm.DRIVER_FAULT, why)
                continue
            closing = interpreter.whole(self._journal.pieces(message))  # may commit the outcomes before it
            self._outcomes.append((message, closing))
        self._commit()

    def _decode_alone(self, one: tuple[int, Line]) -> None:
        try:
            self._decode([one])
        except JournalError:
            raise
        except Exception as error:
            message, line = one
            self._alarms.raise_(Alarm.DRIVER_FAULT, f"message {message}: {where(error)}")
            interpreter = self._interpreter_for(line, self._history)
            if interpreter is not None:
                self._outcomes = [(message, interpreter.failed(self._journal.pieces(message), error))]
                self._commit()

    def _history(self, meter_key: str) -> Sequence[PastMessage]:
        self._commit()  # what was decoded just now belongs to the meter's history
        return self._journal.last_messages(meter_key, HISTORY_MESSAGES)

    def _commit(self) -> None:
        if not self._outcomes:
            return
        numbers = self._journal.conclude(self._outcomes)
        _log.debug("%d messages decoded, %d readings", len(self._outcomes), len(numbers))
        self._outcomes = []
        if numbers:
            self._on_readings()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._queue and self._gets_quiet():
                try:
                    self.work()
                except JournalError as error:
                    self._alarms.raise_(Alarm.JOURNAL_CANNOT_COMMIT, error)
                    self._stopping.wait(RETRY_S)
                except Exception as error:  # stays undecoded in the journal, and the others go on
                    message, _line = self._queue.popleft()
                    self._alarms.raise_(Alarm.DRIVER_FAULT, f"message {message}: {where(error)}")
                if time.monotonic() - self._put_s < 2 * BREATH_S:
                    self._stopping.wait(BREATH_S)
            self._waiting_since_s = None

    def _gets_quiet(self) -> bool:
        """Let a meter that sends one message after another go first, though not for ever. False when stopped."""
        began_s = self._waiting_since_s = self._waiting_since_s or time.monotonic()
        while not self._stopping.is_set():
            now_s = time.monotonic()
            left_s = min(self._put_s + QUIET_S, began_s + LONGEST_LAG_S) - now_s
            if left_s <= 0:
                return True
            self._stopping.wait(left_s)
        return False
