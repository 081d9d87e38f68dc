"""What is known of a sensor's memory: which records were read, and from which one on to ask.

Records are numbered upwards as they are made, and a report gives them in that order. The last record of which, and
of all before it, the caller has said that they are on disk is the *anchor*. The next conversation asks from the
anchor on: if it comes again with the same content, all that follows is new; if not, the sensor began to number anew
or dropped it, and everything is read. So it is when the newest record of all is none that is known: then the sensor
counts in a circle.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple, Self

from drivers.protocols.ghs.racp import ALL, Selection

__all__ = ["Anchor", "Memory"]

MAX_TAKEN: Final = 4096
"""More than a meter holds; a record beyond it that is reported twice in one conversation is read twice."""


class Anchor(NamedTuple):
    """The last record read, with the `observation.fingerprint` of its body."""

    number: int
    fingerprint: str

    def encode(self) -> bytes:
        """As it is kept for later conversations."""
        return json.dumps({"record": self.number, "fingerprint": self.fingerprint}).encode()

    @classmethod
    def of(cls, octets: bytes | None) -> Self | None:
        """What an earlier conversation kept; None if it cannot be read, which costs only a repetition."""
        try:
            told = json.loads(octets or b"")
            number, fingerprint = told["record"], told["fingerprint"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not isinstance(number, int) or not 0 <= number < 1 << 32 or not isinstance(fingerprint, str):
            return None
        return cls(number, fingerprint)


class Memory:
    """The records of one sensor in one conversation.

    Args:
        kept: the anchor of an earlier conversation.
    """

    def __init__(self, kept: Anchor | None = None) -> None:
        self.anchor = kept
        self._kept = kept
        self._start = kept
        self._is_anchored = kept is None
        self._taken: dict[int, str] = {}
        self._highest: Anchor | None = None
        self._is_in_order = True
        self._damaged: set[int] = set()
        self.begin()

    # ------------------------------------------------------------------ during a report

    def begin(self) -> None:
        """A report begins."""
        self._received = self._fresh = 0
        self._has_lost = False
        self._damaged.clear()
        self._arrived: Anchor | None = None
        self._confirmed: Anchor | None = None

    def arrived(self, record: Anchor) -> bool:
        """A record arrived whole. Returns: whether it is to be taken."""
        if record == self._arrived:
            return False  # said twice
        self._received += 1
        self._is_in_order = self._is_in_order and (self._arrived is None or record.number > self._arrived.number)
        self._arrived = record
        if record == self._start:
            self._is_anchored = True
            return False
        if self._taken.get(record.number) == record.fingerprint:
            return False
        self._fresh += 1
        return True

    def broken(self, number: int | None) -> None:
        """A record was damaged on its way. Args: number: None when that is not known either."""
        if number is None or len(self._damaged) >= MAX_TAKEN:
            self._has_lost = True
        else:
            self._damaged.add(number)

    def confirmed(self, record: Anchor) -> bool:
        """A record that arrived is on disk. Returns: whether the anchor moved.

        The anchor stays one record behind: only the next one shows that the report goes upwards.
        """
        if len(self._taken) < MAX_TAKEN:
            self._taken[record.number] = record.fingerprint
        if self._highest is None or record.number > self._highest.number:
            self._highest = record
        before, self._confirmed = self._confirmed, record
        is_whole = self._is_anchored and not (self._has_lost or self._damaged)
        if not self._is_in_order:
            self.anchor = self._start
        elif before is not None and is_whole and (self.anchor is None or before.number > self.anchor.number):
            self.anchor = before
        return self._has_moved()

    # ------------------------------------------------------------------ between reports

    @property
    def is_resumed(self) -> bool:
        """Only what follows the anchor of an earlier conversation was asked for."""
        return self._start is not None

    @property
    def has_news(self) -> bool:
        """The report brought something that was not known."""
        return self._fresh > 0

    @property
    def has_known_only(self) -> bool:
        """The report brought something, all of it whole, and nothing that was not known."""
        return self._received > 0 and not (self._fresh or self._has_lost or self._damaged)

    @property
    def is_behind(self) -> bool:
        """The report brought news, and ended with a record not above the one from which on `first` asks."""
        if self._start is None or self._arrived is None:
            return False
        return self.has_news and self._arrived.number <= self._start.number

    def first(self) -> Selection:
        """What to ask for first."""
        return ALL if self._start is None else Selection(at_least=self._start.number)

    def next(self, asked: Selection, reported: int | None) -> Selection | None:
        """What to ask for after a report that came to its end; None when everything is there.

        Args:
            asked: what it was asked for.
            reported: how many records the sensor says it sent, if it does.
        """
        if not self._is_anchored:
            if self._start is not None and (self._has_lost or self._start.number in self._damaged):
                return asked
            self.restart()
            if asked != ALL:
                return ALL
        is_short = reported is not None and reported > self._received + len(self._damaged)
        missing = self._damaged - self._taken.keys()
        if self._has_lost or (is_short and self._fresh):
            return asked
        if missing:
            return Selection(min(missing), max(missing))
        return None

    def restart(self) -> None:
        """The numbers are not those of the earlier conversation, so its anchor says nothing."""
        self._is_anchored, self._start, self.anchor = True, None, None

    def complete(self) -> bool:
        """Everything is there and on disk. Returns: whether the anchor moved.

        A sensor whose numbers do not go upwards in a report gets none: it is read whole every time.
        """
        if not self._is_in_order:
            self.anchor = self._start = None
        elif self._highest is not None and (self.anchor is None or self._highest.number > self.anchor.number):
            self.anchor = self._start = self._highest
        return self._has_moved()

    def _has_moved(self) -> bool:
        moved, self._kept = self.anchor != self._kept, self.anchor
        return moved
