"""What is fuzzed: every decoder, and every session with a host that confirms everything. Only driver errors come.

Seeds are conversations of the simulated meters, which know nothing of the decoders.
"""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from drivers import registry
from drivers.conformance import Host, SimulatedMeter, recorded
from drivers.conformance.memories import ALL_KINDS, PRESENT
from drivers.contract import Driver, Event, Finished, Piece
from drivers.errors import DriverError
from drivers.protocols import gatt
from drivers.transports.phdc_descriptors import descriptors
from gateway.reporting.channels import hl7v2_answer
from tests.protocol.conformance import meters

__all__ = ["TARGETS", "Target"]

PROFILES = Path(__file__).resolve().parents[2] / "config" / "profiles"
MOST_EVENTS = 100_000


class Target(NamedTuple):
    """Something that takes octets from outside.

    Attributes:
        run: raises whatever is no `DriverError`.
        seeds: octets to begin with.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


def _driver(name: str, profile: str | None) -> Driver:
    found: dict[str, Any] = {}
    if profile is not None:
        found = tomllib.loads((PROFILES / f"{profile}.toml").read_text(encoding="utf-8"))
    return registry.get(name)(found)


def _decoder(protocol: str) -> Callable[[bytes], None]:
    decode = registry.decoder(protocol)

    def run(octets: bytes) -> None:
        offset = None
        try:
            for _ in decode(octets):
                pass
        except DriverError as error:
            offset = error.offset
        assert offset is None or 0 <= offset <= len(octets)

    return run


def _session(name: str, profile: str | None) -> Callable[[bytes], None]:
    """The first octet says how the rest is cut; every piece is confirmed, every whole message decoded."""
    driver = _driver(name, profile)

    def run(octets: bytes) -> None:
        if octets:
            with suppress(DriverError):
                _converse(driver, octets[1:], step=1 + octets[0])

    return run


def _converse(driver: Driver, octets: bytes, step: int) -> None:
    speaking = driver.session()
    pieces: list[bytes] = []

    def follow(events: list[Event]) -> bool:
        todo, over, count = deque(events), False, 0
        while todo:
            count += 1
            assert count < MOST_EVENTS, "the session never stops talking"
            event = todo.popleft()
            if isinstance(event, Piece):
                if event.starts_message:
                    pieces.clear()
                pieces.append(event.octets)
                if event.ends_message:
                    with suppress(DriverError):
                        driver.decode(list(pieces))
                todo.extendleft(reversed(speaking.confirm(1.0)))
            elif isinstance(event, Finished):
                over = over or event.close
        return over

    over = follow(speaking.opened(0.0))
    for place in range(0, len(octets), step):
        if over:
            return
        over = follow(speaking.receive(octets[place : place + step], 1.0))
    if not over and speaking.deadline_s is not None:
        over = follow(speaking.tick(speaking.deadline_s))
    if not over:
        speaking.lost(1e6)


def _gatt(octets: bytes) -> None:
    parser = gatt.Parser()
    with suppress(DriverError):
        for place in range(0, len(octets), 7):
            parser.feed(octets[place : place + 7])
            while (frame := parser.next()) is not None:
                gatt.encode(frame)


def _descriptors(octets: bytes) -> None:
    with suppress(DriverError):
        list(descriptors(octets))


def _answer(octets: bytes) -> None:
    answer = hl7v2_answer.parse(octets)
    if answer is not None:
        hl7v2_answer.judge(answer)


def _said(name: str, profile: str | None, *simulators: type[SimulatedMeter]) -> Callable[[], Iterator[bytes]]:
    """What simulated meters say to a host that confirms everything."""
    return lambda: (
        b"".join(recorded(Host(_driver(name, profile).session()), simulator(ALL_KINDS, PRESENT)).turns)
        for simulator in simulators
    )


_astm = _said("astm", "home_inr_astm", meters.AstmMeter)
_pt2 = _said("poct1a", "coag_sense_pt2", meters.Pt2Meter)
_coaguchek = _said("poct1a", "coaguchek_poct1a", meters.CoaguchekMeter)
_ieee11073 = _said("ieee11073", None, meters.StoringAgentMeter, meters.AgentMeter, meters.PersonwiseAgentMeter)
_ghs_conversations = _said("ble_ghs", None, meters.GhsMeter, meters.SmallGhsMeter)


def _poct1a() -> Iterator[bytes]:
    yield from _pt2()
    yield from _coaguchek()


def _cut(seeds: Callable[[], Iterator[bytes]]) -> Callable[[], Iterator[bytes]]:
    return lambda: (bytes([255]) + seed for seed in seeds())


def _answers() -> Iterator[bytes]:
    yield b"MSH|^~\\&|EHR|CLINIC|GW|SUP|20260314||ACK^R01^ACK|1|P|2.5.1\rMSA|AE|ABC\rERR||OBX^1|207^x^HL70357|E\r"


def _ghs() -> Iterator[bytes]:
    """The facts' layout of one INR observation, length counted both ways."""
    yield bytes.fromhex("011500030004720200 22FDCA47310000 0700D019190000FF".replace(" ", ""))
    yield bytes.fromhex("011800030004720200 22FDCA47310000 0700D019190000FF".replace(" ", ""))


TARGETS: dict[str, Target] = {
    "astm decoder": Target(_decoder("astm"), _astm),
    "astm session": Target(_session("astm", "home_inr_astm"), _cut(_astm)),
    "poct1a decoder": Target(_decoder("poct1a"), _poct1a),
    "poct1a session": Target(_session("poct1a", "coaguchek_poct1a"), _cut(_poct1a)),
    "ieee11073 decoder": Target(_decoder("ieee11073"), _ieee11073),
    "ieee11073 session": Target(_session("ieee11073", None), _cut(_ieee11073)),
    "ghs decoder": Target(_decoder("ghs"), _ghs),
    "ghs session": Target(_session("ble_ghs", None), _cut(_ghs_conversations)),
    "gatt frames": Target(_gatt, lambda: iter(())),
    "phdc descriptors": Target(_descriptors, lambda: iter((b"\x04\x20\x12\x10\x00\x00",))),
    "hl7 answer": Target(_answer, _answers),
}
