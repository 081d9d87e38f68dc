"""A host with a journal in memory that does what the hub does, and watches the session while it does it.

Time is the test's own: it passes only in `Host.wait`, so nothing here waits or depends on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field

from drivers.contract import Context, Event, Finished, Memo, Piece, Rejected, Send, Session
from drivers.errors import DriverError

__all__ = ["BrokenPromiseError", "Host", "Split", "play", "whole"]

PATIENCE_S = 2.0
"""How long a meter waits for an answer that its recording does not tell of."""
TICK_LIMIT = 1000
MEMO_CHARACTERS, MEMO_OCTETS = 200, 65_536

Split = Callable[[bytes], Iterable[bytes]]
"""Cuts a turn into what `Session.receive` gets."""
Entry = tuple[str, bytes]


class BrokenPromiseError(AssertionError):
    """A promise of the contract is not kept; the message says which and where."""


def whole(turn: bytes) -> Iterable[bytes]:
    """A turn arrives at once."""
    return [turn]


@dataclass
class Host:
    """One connection.

    Attributes:
        session: what is watched.
        refuses: ordinals of pieces that cannot be committed.
        withholds: ordinal of a piece that is neither confirmed nor refused; from there on nothing is.
        forgets: keep no log, for floods.
        commit_s: how long it takes to commit a piece; the host does nothing else meanwhile.
        busy_until_s: a piece is being committed until then, or None; see `committed`.
        log: everything that happened, in order, in a form that can be compared.
        commits: octets of pieces that were committed.
        messages: whole messages as `Driver.decode` takes them: contexts, then pieces.
        last: pieces of the message that is open or not settled, for the next session's `unfinished`.
        is_open: the message in `last` lacks its end.
        memos: what was left for the next session.
        earlier: the connection before this one, of the same meter.
    """

    session: Session
    refuses: Container[int] = ()
    withholds: int | None = None
    forgets: bool = False
    commit_s: float = 0.0
    busy_until_s: float | None = None
    now_s: float = 1000.0
    log: list[Entry] = field(default_factory=list)
    commits: list[bytes] = field(default_factory=list)
    messages: list[list[bytes]] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    last: list[bytes] = field(default_factory=list)
    is_open: bool = False
    pieces: int = 0
    refused: int = 0
    said: int = 0
    is_withheld: bool = False
    is_closed: bool = False
    error: DriverError | None = None
    memos: dict[str, bytes] = field(default_factory=dict)
    earlier: Host | None = None
    _heard: int = 0
    _slow: Piece | None = None
    _contexts: list[bytes] = field(default_factory=list)
    _before: list[bytes] = field(default_factory=list)

    def after(self, earlier: Host) -> Host:
        """This host, with the journal of an earlier connection of the same meter."""
        self.last, self.is_open, self._before = list(earlier.last), earlier.is_open, list(earlier._before)
        self.memos, self.earlier = dict(earlier.memos), earlier
        return self

    def opened(self) -> None:
        """The connection is there."""
        self._call(lambda: self.session.opened(self.now_s))

    def receive(self, octets: bytes) -> None:
        """The meter sent this."""
        if not self.is_closed:
            self._call(lambda: self.session.receive(octets, self.now_s))

    def committed(self) -> None:
        """It is `busy_until_s`: the piece is on disk."""
        piece, self._slow, self.busy_until_s = self._slow, None, None
        if piece is not None:
            self._call(lambda: self._commit(piece))

    def heard(self) -> bytes:
        """What the meter is to hear since the last call."""
        said = b"".join(octets for name, octets in self.log[self._heard :] if name == "Send")
        self._heard = len(self.log)
        return said

    def lost(self) -> None:
        """The connection is gone: `Rejected` and `Finished` may come out, and the last word is the end."""
        if self.is_closed:
            return
        events = self.session.lost(self.now_s)
        for event in events:
            if not isinstance(event, Rejected | Finished):
                raise BrokenPromiseError(f"lost() yields {_name(event)}; only Rejected and Finished may come out")
        self._follow(events, reply=False, settle=False)
        if not any(isinstance(event, Finished) and event.close for event in events):
            raise BrokenPromiseError(
                "lost() does not end the conversation: the last event must be Finished(close=True)"
            )
        if self.session.deadline_s is not None:
            raise BrokenPromiseError("after lost() there is still a deadline")

    def wait(self, seconds: float, *, until_said: bool = False) -> None:
        """Time passes, with every tick that is due. Args: until_said: stop as soon as the host says something."""
        end_s = self.now_s + seconds
        said = self.said
        for _ in range(TICK_LIMIT):
            due_s = self.session.deadline_s
            if self.is_closed or due_s is None or due_s > end_s or (until_said and self.said > said):
                break
            self.now_s = max(self.now_s, due_s)
            before = len(self.log)
            self._call(lambda: self.session.tick(self.now_s))
            after_s = self.session.deadline_s
            if len(self.log) == before and not self.forgets and after_s is not None and after_s <= self.now_s:
                raise BrokenPromiseError(
                    "tick() at the deadline does nothing and the deadline stays: a host would spin"
                )
        else:
            raise BrokenPromiseError(f"tick() was due {TICK_LIMIT} times within {seconds:g} s")
        if not until_said:
            self.now_s = end_s

    def _call(self, step: Callable[[], list[Event]]) -> None:
        try:
            events = step()
        except DriverError as error:  # allowed by promise 3; the hub closes the connection
            self.error = error
            self.log.append(("error", str(error.reason).encode()))
            self.is_closed = True
            return
        self._follow(events)

    def _follow(self, events: Sequence[Event], *, reply: bool = True, settle: bool = True) -> None:
        todo = list(events)
        is_goodbye = any(isinstance(event, Finished) and event.close for event in todo)
        while todo:
            event = todo.pop(0)
            held_back = (Piece, Context, Memo) if is_goodbye else (Piece, Context, Memo, Send)
            if self.is_withheld and isinstance(event, held_back):
                raise BrokenPromiseError(
                    f"{_name(event)} while a piece is neither confirmed nor refused; it must be held back"
                )
            self._note(event)
            if isinstance(event, Piece):
                if todo:
                    raise BrokenPromiseError(
                        f"{_name(todo[0])} follows a piece in the same list; everything after a piece waits for "
                        "confirm() or refuse()"
                    )
                todo = self._piece(event) if reply else []
            elif isinstance(event, Finished):
                self.finished.append(event)
                self.is_closed = self.is_closed or event.close
                if event.error is None and settle:
                    self._contexts.clear()
                    if not self.is_open:
                        self.last = []

    def _note(self, event: Event) -> None:
        if isinstance(event, Send):
            self.said += 1
        elif isinstance(event, Context):
            self._contexts.append(event.octets)
        elif isinstance(event, Memo):
            if len(event.key) > MEMO_CHARACTERS or len(event.octets) > MEMO_OCTETS:
                raise BrokenPromiseError(f"memo {event.key[:40]!r} is longer than a host keeps")
            self.memos[event.key] = event.octets
        if self.forgets:
            return
        octets = str(event.error).encode() if isinstance(event, Finished) else event.octets
        marks = ""
        if isinstance(event, Piece):
            marks = f"{' starts' if event.starts_message else ''}{' ends' if event.ends_message else ''}"
        elif isinstance(event, Finished):
            marks = " close" if event.close else ""
        self.log.append((_name(event) + marks, octets))

    def _piece(self, piece: Piece) -> list[Event]:
        self.pieces += 1
        if self.pieces - 1 == self.withholds:
            self.is_withheld = True
            return []
        if self.pieces - 1 in self.refuses:
            self.refused += 1
            return self.session.refuse(self.now_s)
        if self.commit_s:
            self._slow, self.busy_until_s = piece, self.now_s + self.commit_s
            return []
        return self._commit(piece)

    def _commit(self, piece: Piece) -> list[Event]:
        if piece.starts_message or not self.last:
            if not piece.starts_message and not self.is_open:
                raise BrokenPromiseError("a piece that does not start a message came where none is open")
            self._before = list(self._contexts)
            self.last = []
        self.last.append(piece.octets)
        self.is_open = not piece.ends_message
        if not self.forgets:
            self.commits.append(piece.octets)
            if piece.ends_message:
                self.messages.append([*self._before, *self.last])
        elif piece.ends_message:
            self.last = []
        return self.session.confirm(self.now_s)


def play(
    host: Host, turns: Sequence[bytes], *, split: Split = whole, cut: int | None = None, lose: bool = True
) -> Host:
    """Let the meter say its turns.

    Args:
        host: with its session.
        turns: see `Conversation`.
        split: how turns arrive.
        cut: the connection is lost after so many octets.
        lose: the connection is lost at the end; else it stays open, and silent.
    """
    host.opened()
    arrived = 0
    for turn in turns:
        if host.is_closed:
            return host
        part = turn if cut is None else turn[: cut - arrived]
        said, pieces, refused = host.said, host.pieces, host.refused
        for octets in split(part):
            host.receive(octets)
        arrived += len(part)
        if arrived == cut:
            break
        if host.said == said:
            host.wait(PATIENCE_S, until_said=True)
        if host.refused > refused and not host.is_closed:
            if host.pieces > pieces + 1:
                break  # what a meter would go on with is not known
            _repeat(host, turn)
    if lose:
        if cut is None:
            host.wait(PATIENCE_S)
        host.lost()
    return host


def _repeat(host: Host, turn: bytes) -> None:
    """The meter was refused, or heard nothing, and sends its turn again."""
    pieces = host.pieces
    host.wait(PATIENCE_S)
    host.receive(turn)
    if host.pieces == pieces:
        raise BrokenPromiseError(f"piece {pieces} was refused and came again; it must be reported as new")
    host.wait(PATIENCE_S, until_said=True)


def _name(event: Event) -> str:
    return type(event).__name__
