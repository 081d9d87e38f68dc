"""``inr-gateway simulate`` of meters that speak over a port, TCP or a dialled connection."""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.simulate.reading import address, day, factor, number, say

if TYPE_CHECKING:
    from simulators.astm.instrument import Instrument as AstmInstrument
    from simulators.ieee11073.instrument import Instrument as Agent
    from simulators.ledger import Ledger
    from simulators.mounts.link import Mount
    from simulators.poct1a.faults import Fault
    from simulators.poct1a.instrument import Instrument as Poct1aInstrument
    from simulators.scenario import Scenario

__all__ = ["add_arguments", "memory_arguments", "run", "weeks"]

_ASTM = """\
A home INR meter with a memory of tests. It speaks ASTM (E1394 records over the E1381 link) and offers
its memory to whoever opens the port or connects, until each test was acknowledged.

When it is ready it prints one JSON line that says where it can be reached; when it ends, one that says what was
delivered. With --ledger it remembers, across restarts and kill -9, what it was told is received.

examples:
  inr-gateway simulate astm --pty /tmp/meter --five-weeks 2026-03-14
  inr-gateway simulate astm --connect 127.0.0.1:4321 --scenario meter.toml --ledger meter.jsonl --until-delivered

'pydoc simulators.scenario' shows what a scenario file holds, faults among it.
"""
_POCT1A = """\
A home INR meter with a memory of tests that speaks POCT1-A2 documents, like a Coag-Sense PT2 or a CoaguChek XS Plus
as far as these are publicly known. It dials its host and offers what was not yet accepted, until told to stop.

--fault KIND:NAME=VALUE,..., any number of times; documents and octets are counted from 1 as they leave:
  cut:octet=N,seconds=S       unplug:document=N,seconds=S   drop:document=N        duplicate:document=N
  delay:document=N,seconds=S  split:document=N,size=N       wrong_xml:document=N   garbage:document=N,octets=HEX

example:
  inr-gateway simulate poct1a --connect 127.0.0.1:5050 --dialect pt2 --ledger pt2.jsonl --until-delivered
"""
_IEEE11073 = """\
A home INR meter that speaks IEEE 11073-20601 with the INR specialization (10418), as far as that is publicly known.
It waits for a manager or dials one (--connect 127.0.0.1:6024) and offers its memory at every association.

'pydoc simulators.ieee11073.scenario' shows what its scenario file holds: transfer by PM-store or reports, faults.

example:
  inr-gateway simulate ieee11073 --connect 127.0.0.1:6024 --five-weeks 2026-03-14 --until-delivered
"""


def add_arguments(what: Any) -> None:
    """Declare the meters; `what` is argparse's collection of sub-commands."""
    plain = argparse.RawDescriptionHelpFormatter
    astm = what.add_parser(
        "astm", help="a home INR meter that speaks ASTM", description=_ASTM, formatter_class=plain
    )
    _meter_arguments(astm)
    astm.add_argument("--gap", metavar="SECONDS", type=number, help="pause between two messages")
    astm.add_argument(
        "--scale", metavar="FACTOR", type=factor, help="shorten (0.1) or lengthen the timers of E1381 on top"
    )

    poct1a = what.add_parser(
        "poct1a", help="a home INR meter that speaks POCT1-A2", description=_POCT1A, formatter_class=plain
    )
    _meter_arguments(poct1a)
    poct1a.add_argument(
        "--dialect",
        choices=("pt2", "coaguchek"),
        default="pt2",
        help="which meter it is like (default: %(default)s)",
    )
    poct1a.add_argument("--fault", metavar="FAULT", type=_fault, action="append", default=[], help="see above")

    agent = what.add_parser(
        "ieee11073",
        help="a home INR meter that speaks IEEE 11073-20601 over TCP",
        description=_IEEE11073,
        formatter_class=plain,
    )
    _meter_arguments(agent)


def _meter_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--pty", metavar="LINK", type=Path, help="be a serial port; LINK is made to point to it")
    where.add_argument(
        "--listen", metavar="HOST:PORT", type=address, help="wait for the host; port 0 takes a free one"
    )
    where.add_argument("--connect", metavar="HOST:PORT", type=address, help="dial the host")
    memory_arguments(parser)


def memory_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what every simulated meter takes: what is in its memory, and where it remembers what became of it."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--scenario", metavar="FILE", type=Path, help="meter, clock, memory, dialect, faults as TOML/JSON"
    )
    which.add_argument(
        "--five-weeks",
        metavar="TODAY",
        type=day,
        help="a patient's last five weeks up to a day (YYYY-MM-DD); the default, up to yesterday",
    )
    parser.add_argument("--ledger", metavar="FILE", type=Path, help="remember here what was received (JSON lines)")
    parser.add_argument("--until-delivered", action="store_true", help="end when the whole memory was received")


def run(arguments: argparse.Namespace) -> int:
    """Run an instrument until it is done or gets SIGTERM."""
    from threading import Event

    from simulators.ledger import Ledger

    stop = Event()
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, lambda *_: stop.set())
    ledger = Ledger(arguments.ledger)
    try:
        instrument = _meter(arguments, ledger)
    except BaseException:
        ledger.close()
        raise
    try:
        mount = _mount(arguments)
        say(
            {
                "ready": arguments.simulated,
                **mount.plug_in(),
                "serial": instrument.meter.identity.serial,
                "tests": len(instrument.meter.memory),
            }
        )
        instrument.run(mount, stop, until_delivered=arguments.until_delivered)
    except (OSError, ValueError) as error:
        print(f"the simulated meter cannot be plugged in: {error}", file=sys.stderr)
        return 1
    finally:
        ledger.close()
    say({"ended": arguments.simulated, "delivered": len(instrument.delivered), "unsent": len(instrument.unsent)})
    return 1 if arguments.until_delivered and instrument.unsent else 0


def _meter(arguments: argparse.Namespace, ledger: Ledger) -> AstmInstrument | Poct1aInstrument | Agent:
    if arguments.simulated == "ieee11073":
        return _agent(arguments, ledger)
    if arguments.simulated == "astm":
        from simulators.astm.instrument import Instrument

        return Instrument(_scenario(arguments), ledger)
    from simulators.poct1a.dialect import DIALECTS
    from simulators.poct1a.instrument import Instrument as Device

    return Device(_scenario(arguments), DIALECTS[arguments.dialect], ledger, arguments.fault)


def _agent(arguments: argparse.Namespace, ledger: Ledger) -> Agent:
    from simulators.ieee11073.instrument import Instrument
    from simulators.ieee11073.scenario import Ieee11073Scenario, load

    if arguments.scenario:
        return Instrument(load(arguments.scenario), ledger)
    story = weeks(arguments)
    scenario = Ieee11073Scenario(starts=story.starts, meter=story.meter, clock=story.clock, memory=story.memory)
    return Instrument(scenario, ledger)


def _fault(text: str) -> Fault:
    from simulators.poct1a.faults import Fault

    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def weeks(arguments: argparse.Namespace) -> Scenario:
    """The last five weeks of whoever gives no scenario."""
    from simulators.scenario import five_weeks

    if arguments.five_weeks:
        return five_weeks(arguments.five_weeks)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return five_weeks(yesterday).model_copy(update={"starts": None})


def _scenario(arguments: argparse.Namespace) -> Scenario:
    from simulators.scenario import load

    scenario = load(arguments.scenario) if arguments.scenario else weeks(arguments)
    if arguments.simulated != "astm":
        return scenario
    timers = scenario.timers
    if arguments.scale:
        timers = timers.model_copy(update={"scale": timers.scale * arguments.scale})
    if arguments.gap is not None:
        timers = timers.scaled().model_copy(update={"between_messages_s": arguments.gap})
    return scenario.model_copy(update={"timers": timers})


def _mount(arguments: argparse.Namespace) -> Mount:
    from simulators.mounts.pty import Pty
    from simulators.mounts.tcp import Dialer, Listener

    if arguments.pty:
        return Pty(arguments.pty)
    if arguments.listen:
        return Listener(*arguments.listen)
    return Dialer(*arguments.connect)
