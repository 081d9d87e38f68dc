"""One conversation from first to last: the memory by record access procedures, then live observations."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from drivers.errors import DeviceError, DeviceReason, ProtocolError, ProtocolReason, TransportError, TransportReason
from drivers.protocols import gatt
from drivers.protocols.ghs import names, racp
from drivers.protocols.ghs.memory import Memory
from drivers.protocols.ghs.procedure import (
    IN_PROGRESS,
    Ask,
    Client,
    Complete,
    Delete,
    Hear,
    Pause,
    Problem,
    Procedure,
    Quiet,
    Ready,
    Sent,
    Step,
)
from drivers.protocols.ghs.racp import Opcode, ResponseCode, Selection

__all__ = ["converse"]

_ATTEMPTS: Final = 4
_RETRIES: Final = 3
_UNKNOWN_SELECTION: Final = frozenset(
    {
        ResponseCode.INVALID_OPERATOR,
        ResponseCode.OPERATOR_NOT_SUPPORTED,
        ResponseCode.INVALID_OPERAND,
        ResponseCode.OPERAND_NOT_SUPPORTED,
    }
)
_TRY_AGAIN: Final = frozenset({ResponseCode.BUSY, ResponseCode.NOT_COMPLETED})
_STRAYS: Final = 8
"""So many indications of other requests (philips-labs sends such) are passed over before one gives up."""


def converse(client: Client) -> Procedure:
    """Everything a client does on one connection.

    Raises:
        DriverError: the conversation cannot go on.
    """
    meter = yield from client.identify()
    yield from client.examine()
    shown = yield from client.clock()
    memory = yield Ready(meter)
    has_live = client.settings.live and (yield from client.subscribe(names.LIVE))
    has_memory = client.settings.read_stored and (yield from client.subscribe(names.STORED))
    has_memory = has_memory and (yield from client.subscribe(names.RACP))
    if not isinstance(memory, Memory) or not (has_live or has_memory):
        message = "the meter offers neither live nor stored observations; it is no Generic Health Sensor"
        raise ProtocolError(message, ProtocolReason.UNSUPPORTED)
    records = _Records(client, memory)
    is_read = has_memory and (yield from records.read())
    yield from client.set_clock(shown)
    is_started = has_live and (yield from client.start_live())
    if is_started and is_read:
        yield from records.look_again()
    quiet_s = (client.settings.close_when_quiet_s or None) if has_live else 0.0
    while (order := (yield Quiet(quiet_s))) is not None:
        if not has_memory:
            continue
        if is_started:
            yield from client.stop_live()
        if isinstance(order, Delete):
            yield from records.delete(order.at_most)
        else:
            is_read = yield from records.read()
        is_started = is_started and (yield from client.start_live())
        if is_started and is_read:
            yield from records.look_again()


class _Records:
    """The sensor's memory, asked for by what this sensor understands."""

    def __init__(self, client: Client, memory: Memory) -> None:
        self._client = client
        self._memory = memory
        self._settings = client.settings
        self._opcode = Opcode.REPORT_COMBINED

    def read(self) -> Generator[Step, Sent, bool]:
        """Read what is new, and again what was damaged on its way. Returns: whether everything is there."""
        asked = self._memory.first()
        for _ in range(_ATTEMPTS):
            report = yield from self._report(asked)
            if report is None:
                return False
            following = self._memory.next(*report)
            if following is None and self._memory.is_resumed and (yield from self._has_unknown()):
                self._memory.restart()
                following = racp.ALL
            if following is None:
                yield Complete()
                return True
            asked = following
        message = f"records arrived damaged {_ATTEMPTS} times; they are read again at the next contact"
        yield Problem(DeviceError(message, DeviceReason.GAVE_UP))
        return False

    def look_again(self) -> Procedure:
        """Read what was made after the report and before live observations began, which came by neither.

        The newest record is asked for once. A sensor that does not serve its memory while it is live may refuse or
        say nothing: then these results are read at the next contact, and nothing has gone wrong.
        """
        self._memory.begin()
        request = racp.request(self._opcode, racp.NEWEST)
        if not isinstance((yield Ask(gatt.Write(names.RACP, request), is_extra=True)), gatt.Written):
            return
        answer = yield from self._answer(self._opcode, is_extra=True)
        has_sent = (
            answer.count > 0
            if isinstance(answer, racp.Combined)
            else isinstance(answer, racp.Response) and answer.code == ResponseCode.SUCCESS
        )
        if not has_sent or self._memory.has_known_only:
            return
        if self._memory.is_behind:
            self._memory.restart()
        yield from self.read()

    def delete(self, at_most: int) -> Procedure:
        """Delete records up to this one. Only ever run on a person's explicit order."""
        answer = yield from self._command(Opcode.DELETE, Selection(at_most=at_most))
        is_done = isinstance(answer, racp.Response) and answer.code in (
            ResponseCode.SUCCESS,
            ResponseCode.NO_RECORDS,
        )
        if not is_done:
            message = f"the meter did not delete its records: {_why(answer)}"
            yield Problem(DeviceError(message, DeviceReason.REFUSED))

    def _has_unknown(self) -> Generator[Step, Sent, bool]:
        """Whether the newest record is none that is known; no, if the sensor does not understand the question."""
        self._memory.begin()
        yield from self._command(self._opcode, racp.NEWEST)
        return self._memory.has_news

    def _report(self, asked: Selection) -> Generator[Step, Sent, tuple[Selection, int | None] | None]:
        """Have records reported. Returns: what was asked for in the end, and how many the sensor says it sent."""
        retries = 0
        while True:
            self._memory.begin()
            answer = yield from self._command(self._opcode, asked)
            if isinstance(answer, racp.Combined):
                return asked, answer.count
            code = answer.code if isinstance(answer, racp.Response) else None
            if code == ResponseCode.SUCCESS:
                return asked, None
            if code == ResponseCode.NO_RECORDS:
                return asked, 0
            if code == ResponseCode.OPCODE_NOT_SUPPORTED and self._opcode is Opcode.REPORT_COMBINED:
                self._opcode = Opcode.REPORT
                continue
            if code in _UNKNOWN_SELECTION and (wider := asked.wider) is not None:
                asked = wider
                continue
            if code in _TRY_AGAIN and retries < _RETRIES:
                retries += 1
                yield Pause(self._settings.busy_s)
                continue
            message = f"the meter does not report its memory: {_why(answer)}; it is asked again at the next contact"
            yield Problem(DeviceError(message, DeviceReason.REFUSED))
            return None

    def _command(self, opcode: Opcode, selection: Selection) -> Generator[Step, Sent, racp.Answer | None]:
        """Write a request and hear its answer; None if the sensor does not take it.

        Raises:
            TransportError: the sensor does not answer, not even when the procedure is aborted.
        """
        for is_again in (False, True):
            refused = yield from self._client.write(names.RACP, racp.request(opcode, selection))
            if refused is not None and refused.code == IN_PROGRESS and not is_again:
                yield from self._abort()
                continue
            if refused is not None:
                error = self._client.failed(refused, "asking for stored results")
                if isinstance(error, DeviceError):
                    yield Problem(error)
                    return None
                raise error
            answer = yield from self._answer(opcode)
            if answer is not None:
                return answer
            if not (yield from self._abort()):
                break
        message = "the meter began to report its results and then said nothing more; bring it nearer to the hub"
        raise TransportError(message, TransportReason.TIMED_OUT)

    def _answer(self, opcode: Opcode, *, is_extra: bool = False) -> Generator[Step, Sent, racp.Answer | None]:
        """What the sensor answers to this request; None when it is silent. Other answers are passed over."""
        for _ in range(_STRAYS):
            heard = yield Hear(names.RACP, self._settings.report_s, is_extra)
            if not isinstance(heard, bytes):
                return None
            try:
                answer = racp.decode(heard)
            except ProtocolError as error:
                if not is_extra:
                    yield Problem(error)
                continue
            if isinstance(answer, racp.Response) and answer.request == opcode:
                return answer
            if isinstance(answer, racp.Combined) and opcode in (Opcode.REPORT_COMBINED, Opcode.REPORT):
                return answer
        return None

    def _abort(self) -> Generator[Step, Sent, bool]:
        """Stop whatever procedure runs. Returns: whether the sensor answers."""
        if (yield from self._client.write(names.RACP, racp.request(Opcode.ABORT))) is not None:
            return False
        return (yield from self._answer(Opcode.ABORT)) is not None


def _why(answer: racp.Answer | None) -> str:
    return answer.why if isinstance(answer, racp.Response) else "no answer that fits"
