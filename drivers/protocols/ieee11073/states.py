"""The manager's state table.

Rows are numbered as in IEEE 11073-20601, annex E (manager state table): the state's number, then the event's. The
events 4 (timeout), 9 to 11 (association requests), 21 to 26 (operations) and 31, 32 (verdict on a configuration)
keep their numbers; what the table leaves to the implementation is marked with ``-`` and says what is done here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum, unique
from typing import NamedTuple

__all__ = ["TABLE", "Act", "Happening", "State", "Transition"]


class State(IntEnum):
    """States of a manager with the standard's numbers; 3 to 5 are states of agents."""

    DISCONNECTED = 1
    UNASSOCIATED = 2
    WAITING_FOR_CONFIG = 6
    CHECKING_CONFIG = 7
    OPERATING = 8
    DISASSOCIATING = 9


@unique
class Happening(StrEnum):
    """What can happen to a manager."""

    CONNECTED = "transport connected"
    LOST = "transport lost"
    TIMEOUT = "time is up"
    WANT_RELEASE = "release wanted"
    WANT_ABORT = "abort wanted"
    AARQ_KNOWN = "AARQ, acceptable, configuration known"
    AARQ_UNKNOWN = "AARQ, acceptable, configuration unknown"
    AARQ_UNACCEPTABLE = "AARQ, not acceptable"
    AARQ_AGAIN = "AARQ, the one just answered once more"
    AARE = "AARE"
    RLRQ = "RLRQ"
    RLRE = "RLRE"
    ABRT = "ABRT"
    CONFIG_REPORT = "configuration report"
    CONFIRMED_EVENT = "other confirmed event report"
    EVENT = "unconfirmed event report"
    ORDER = "GET, SET or ACTION of the agent"
    ANSWER = "answer to an open request"
    STRAY_ANSWER = "answer to no open request"
    DAMAGED = "APDU with wrong lengths"
    CONFIG_REFUSED = "configuration refused"
    CONFIG_ACCEPTED = "configuration accepted"


@unique
class Act(StrEnum):
    """What a manager does about it."""

    NOTHING = "nothing"
    LISTEN = "wait for an association request"
    ABORT_STALE = "ABRT 0, unless an association request comes at once"
    GIVE_UP = "ABRT 0 for what was out of place, or give the connection up"
    END = "end with the connection"
    ACCEPT_KNOWN = "AARE 0, begin to operate"
    ACCEPT_UNKNOWN = "AARE 3, wait for the configuration"
    ACCEPT_AGAIN = "the same AARE once more, if the first can have been lost"
    REJECT = "AARE with the reason"
    ABORT = "ABRT 0"
    ABORT_LATE_ANSWER = "ABRT 2"
    ABORT_LATE_CONFIG = "ABRT 3"
    ABORTED = "note the agent's abort"
    CHECK_CONFIG = "examine the configuration and answer: accepted, unsupported or standard unknown"
    REFUSE_CONFIG = "wait for another configuration"
    TAKE_CONFIG = "begin to operate"
    KEEP = "have the report stored, then confirm it"
    TAKE_ANSWER = "go on with the procedure"
    REFUSE_ORDER = "roer: no such object"
    REFUSE_EVENT = "roer: not allowed"
    ASK_RELEASE = "RLRQ 0"
    ANSWER_RELEASE = "RLRE 0, end"
    ANSWER_CROSSING_RELEASE = "RLRE 0, still waiting for the own RLRE"
    RELEASED = "end in order"


class Transition(NamedTuple):
    """What to do, the state after it, and the row of the standard's table."""

    act: Act
    after: State
    row: str


def _rows(
    state: State, common: Iterable[tuple[Happening, Act, State, str]]
) -> dict[tuple[State, Happening], Transition]:
    table = {(state, each): Transition(Act.NOTHING, state, f"{state}.-") for each in Happening}
    for happening, act, after, row in common:
        table[state, happening] = Transition(act, after, f"{state}.{row}")
    return table


_H, _A, _S = Happening, Act, State
_ANY_AARQ = (_H.AARQ_KNOWN, _H.AARQ_UNKNOWN, _H.AARQ_UNACCEPTABLE, _H.AARQ_AGAIN)
_ANY_PRST = (
    _H.CONFIG_REPORT,
    _H.CONFIRMED_EVENT,
    _H.EVENT,
    _H.ORDER,
    _H.ANSWER,
    _H.STRAY_ANSWER,
    _H.DAMAGED,
)

_ASSOCIATED = [
    (_H.LOST, _A.END, _S.DISCONNECTED, "2"),
    (_H.WANT_RELEASE, _A.ASK_RELEASE, _S.DISASSOCIATING, "6"),
    (_H.WANT_ABORT, _A.ABORT, _S.UNASSOCIATED, "7"),
    *((each, _A.ABORT, _S.UNASSOCIATED, "8") for each in _ANY_AARQ),
    (_H.AARE, _A.ABORT, _S.UNASSOCIATED, "12"),
    (_H.RLRQ, _A.ANSWER_RELEASE, _S.UNASSOCIATED, "16"),
    (_H.RLRE, _A.ABORT, _S.UNASSOCIATED, "17"),
    (_H.ABRT, _A.ABORTED, _S.UNASSOCIATED, "18"),
    (_H.DAMAGED, _A.ABORT, _S.UNASSOCIATED, "-"),
]

TABLE: dict[tuple[State, Happening], Transition] = (
    _rows(_S.DISCONNECTED, [(_H.CONNECTED, _A.LISTEN, _S.UNASSOCIATED, "1")])
    | _rows(
        _S.UNASSOCIATED,
        [
            (_H.LOST, _A.END, _S.DISCONNECTED, "2"),
            (_H.TIMEOUT, _A.GIVE_UP, _S.DISCONNECTED, "-"),
            (_H.AARQ_KNOWN, _A.ACCEPT_KNOWN, _S.OPERATING, "9"),
            (_H.AARQ_UNKNOWN, _A.ACCEPT_UNKNOWN, _S.WAITING_FOR_CONFIG, "10"),
            (_H.AARQ_UNACCEPTABLE, _A.REJECT, _S.UNASSOCIATED, "11"),
            # The table aborts at once. Shipping meters deliver an APDU of their last association when they are
            # opened, with the new request right behind it; an abort would then break off what has just begun.
            (_H.AARE, _A.ABORT_STALE, _S.UNASSOCIATED, "12"),
            (_H.RLRQ, _A.ABORT_STALE, _S.UNASSOCIATED, "16"),
            *((each, _A.ABORT_STALE, _S.UNASSOCIATED, "19") for each in _ANY_PRST),
        ],
    )
    | _rows(
        _S.WAITING_FOR_CONFIG,
        [
            *_ASSOCIATED,
            (_H.TIMEOUT, _A.ABORT_LATE_CONFIG, _S.UNASSOCIATED, "4"),
            # An agent whose AARE was lost asks again (retry count of the association procedure); some shipping
            # meters also deliver an old APDU first. The table would abort (6.8); answering once more is harmless.
            (_H.AARQ_AGAIN, _A.ACCEPT_AGAIN, _S.WAITING_FOR_CONFIG, "-"),
            (_H.CONFIG_REPORT, _A.CHECK_CONFIG, _S.CHECKING_CONFIG, "24"),
            (_H.CONFIRMED_EVENT, _A.REFUSE_EVENT, _S.WAITING_FOR_CONFIG, "24"),
            (_H.ORDER, _A.REFUSE_ORDER, _S.WAITING_FOR_CONFIG, "25"),
            (_H.ANSWER, _A.ABORT, _S.UNASSOCIATED, "26"),
            (_H.STRAY_ANSWER, _A.ABORT, _S.UNASSOCIATED, "26"),
        ],
    )
    | _rows(
        _S.CHECKING_CONFIG,
        [
            *_ASSOCIATED,
            (_H.TIMEOUT, _A.ABORT_LATE_CONFIG, _S.UNASSOCIATED, "4"),
            (_H.CONFIG_REPORT, _A.REFUSE_EVENT, _S.CHECKING_CONFIG, "24"),
            (_H.CONFIRMED_EVENT, _A.REFUSE_EVENT, _S.CHECKING_CONFIG, "24"),
            (_H.ORDER, _A.REFUSE_ORDER, _S.CHECKING_CONFIG, "25"),
            (_H.CONFIG_REFUSED, _A.REFUSE_CONFIG, _S.WAITING_FOR_CONFIG, "31"),
            (_H.CONFIG_ACCEPTED, _A.TAKE_CONFIG, _S.OPERATING, "32"),
        ],
    )
    | _rows(
        _S.OPERATING,
        [
            *_ASSOCIATED,
            (_H.TIMEOUT, _A.ABORT_LATE_ANSWER, _S.UNASSOCIATED, "4"),
            (_H.AARQ_AGAIN, _A.ACCEPT_AGAIN, _S.OPERATING, "-"),
            (_H.CONFIG_REPORT, _A.REFUSE_EVENT, _S.OPERATING, "21"),
            (_H.CONFIRMED_EVENT, _A.KEEP, _S.OPERATING, "21"),
            (_H.EVENT, _A.KEEP, _S.OPERATING, "21"),
            (_H.ORDER, _A.REFUSE_ORDER, _S.OPERATING, "21"),
            (_H.ANSWER, _A.TAKE_ANSWER, _S.OPERATING, "26"),
        ],
    )
    | _rows(
        _S.DISASSOCIATING,
        [
            *_ASSOCIATED,
            (_H.TIMEOUT, _A.ABORT_LATE_ANSWER, _S.UNASSOCIATED, "4"),
            (_H.WANT_RELEASE, _A.NOTHING, _S.DISASSOCIATING, "6"),
            (_H.RLRQ, _A.ANSWER_CROSSING_RELEASE, _S.DISASSOCIATING, "16"),
            (_H.RLRE, _A.RELEASED, _S.UNASSOCIATED, "17"),
            # Reports that arrive now stay unconfirmed, so the agent keeps them.
            *((each, _A.NOTHING, _S.DISASSOCIATING, "21") for each in _ANY_PRST[:4]),
            (_H.ANSWER, _A.ABORT, _S.UNASSOCIATED, "26"),
            (_H.STRAY_ANSWER, _A.ABORT, _S.UNASSOCIATED, "26"),
        ],
    )
)
"""Every state and every happening."""
