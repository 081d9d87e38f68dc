"""Small MLLP far ends on real sockets, each with one habit. Written from the transport's specification alone."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Habit = Callable[["Visit", bytes], bool]
"""What a receiver does with one whole message; True keeps the connection for the next."""


def field(message: bytes, segment: str, number: int) -> str:
    """A field of the first such segment; MSH counts its separator."""
    for line in message.decode("utf-8").split("\r"):
        parts = line.split("|")
        if parts[0] == segment:
            place = number - 1 if segment == "MSH" else number
            return parts[place] if place < len(parts) else ""
    raise AssertionError(f"no {segment} in the message")


def acknowledgement(control_id: str, code: str = "AA", *more: str) -> bytes:
    lines = [
        "MSH|^~\\&|EHR|CLINIC|INR-GATEWAY|HOME-INR|20260314120000||ACK^R01^ACK|X1|P|2.5.1",
        f"MSA|{code}|{control_id}",
        *more,
    ]
    return b"\x0b" + "\r".join(lines).encode() + b"\r\x1c\x0d"


class Visit:
    """One connection as the far end sees it."""

    def __init__(self, receiver: Receiver, connection: socket.socket) -> None:
        self.receiver = receiver
        self.connection = connection
        self.answered: list[str] = []

    def say(self, octets: bytes) -> None:
        self.connection.sendall(octets)


class Receiver:
    """Accepts connections, cuts frames, notes every whole message, and then does as its habit is."""

    def __init__(self, habit: Habit, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.habit = habit
        self._tls = tls
        self.messages: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.address = f"{'mllps' if tls else 'mllp'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def control_ids(self) -> list[str]:
        return [field(message, "MSH", 10) for message in list(self.messages)]

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        with suppress(OSError):
            if self._tls is not None:
                with connection:
                    connection = self._tls.wrap_socket(connection, server_side=True)
            visit = Visit(self, connection)
            while chunk := connection.recv(65536):
                buffer += chunk
                while (end := buffer.find(b"\x1c\x0d")) >= 0:
                    message, buffer = buffer[: end + 2], buffer[end + 2 :]
                    assert message.startswith(b"\x0b")
                    self.messages.append(message[1:-2])
                    if not self.habit(visit, message[1:-2]):
                        connection.shutdown(socket.SHUT_RDWR)
                        return
        connection.close()


@contextmanager
def receiver(habit: Habit, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    far_end = Receiver(habit, port, tls)
    try:
        yield far_end
    finally:
        far_end.close()


def accepts(visit: Visit, message: bytes) -> bool:
    """As everybody should."""
    control_id = field(message, "MSH", 10)
    visit.answered.append(control_id)
    visit.say(acknowledgement(control_id))
    return True


def accepts_and_closes(visit: Visit, message: bytes) -> bool:
    accepts(visit, message)
    return False


def keeps_silent(_visit: Visit, _message: bytes) -> bool:
    return True


def closes_without_answer(_visit: Visit, _message: bytes) -> bool:
    return False


def says(*codes: str, more: tuple[str, ...] = ()) -> Habit:
    """Answers the first message with the first code, and so on; the last code stays."""
    left = list(codes)

    def habit(visit: Visit, message: bytes) -> bool:
        code = left.pop(0) if len(left) > 1 else left[0]
        visit.say(acknowledgement(field(message, "MSH", 10), code, *(more if code != "AA" else ())))
        return True

    return habit


def repeats_the_first_answer(visit: Visit, message: bytes) -> bool:
    """On a connection that is used again, the first message's answer comes again, then the right one."""
    for control_id in [*visit.answered[:1], field(message, "MSH", 10)]:
        visit.say(acknowledgement(control_id))
    visit.answered.append(field(message, "MSH", 10))
    return True


def answers(make: Callable[[str], bytes], *, then_close: bool = False) -> Habit:
    """Octets made from the control id."""

    def habit(visit: Visit, message: bytes) -> bool:
        visit.say(make(field(message, "MSH", 10)))
        return not then_close

    return habit


def in_pieces(visit: Visit, message: bytes) -> bool:
    """The right answer, octet by octet."""
    for octet in acknowledgement(field(message, "MSH", 10)):
        visit.say(bytes([octet]))
    return True


def within(seconds: float, condition: Callable[[], object]) -> None:
    """Wait until something holds; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


if __name__ == "__main__":  # a process of its own, for measurements: prints its address and ends with its input
    print(Receiver(accepts).address, flush=True)
    sys.stdin.read()
