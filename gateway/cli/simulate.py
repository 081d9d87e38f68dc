"""``inr-gateway simulate``: a meter or a provider's system that does not exist, as a process of its own."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulators.mounts.link import Mount
    from simulators.scenario import Scenario

__all__ = ["add_arguments", "run"]

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
_PROVIDER = """\
A treating provider's system. It takes HL7 v2 messages over MLLP, has each on disk (--ledger) before it answers, and
answers AA unless it is told to misbehave. When it is ready it prints one JSON line with its address.

--misbehave WHICH=HOW, any number of times. WHICH is a message number, counted from 1 as messages arrive
(3, or 2-5), or * for every other message. HOW is one of:
  accept       AA (the default)             silent       no answer, connection left open
  late:S       AA after S seconds           hang-up      no answer, connection closed
  wrong-id     AA for another message       half-frame   only the first half of AA
  close-after  AA, then closed              stale-first  the answer before once more, then AA
  AE[:CODE]    application error            AR[:CODE]    application reject
  CA           commit accept only           CE, CR       commit error, commit reject

example:
  inr-gateway simulate provider --port 2575 --ledger provider.jsonl --misbehave 2=silent --misbehave 5=AE:207
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``simulate`` takes."""
    what = parser.add_subparsers(dest="simulated", metavar="WHAT", required=True)
    plain = argparse.RawDescriptionHelpFormatter
    astm = what.add_parser(
        "astm", help="a home INR meter that speaks ASTM", description=_ASTM, formatter_class=plain
    )
    where = astm.add_mutually_exclusive_group(required=True)
    where.add_argument("--pty", metavar="LINK", type=Path, help="be a serial port; LINK is made to point to it")
    where.add_argument(
        "--listen", metavar="HOST:PORT", type=_address, help="wait for the host; port 0 takes a free one"
    )
    where.add_argument("--connect", metavar="HOST:PORT", type=_address, help="dial the host")
    which = astm.add_mutually_exclusive_group()
    which.add_argument(
        "--scenario", metavar="FILE", type=Path, help="meter, clock, memory, dialect, faults as TOML/JSON"
    )
    which.add_argument(
        "--five-weeks",
        metavar="TODAY",
        type=_day,
        help="a patient's last five weeks up to a day (YYYY-MM-DD); the default, up to yesterday",
    )
    astm.add_argument("--ledger", metavar="FILE", type=Path, help="remember here what was received (JSON lines)")
    astm.add_argument("--until-delivered", action="store_true", help="end when the whole memory was received")
    astm.add_argument("--gap", metavar="SECONDS", type=_number, help="pause between two messages")
    astm.add_argument(
        "--scale", metavar="FACTOR", type=_factor, help="shorten (0.1) or lengthen the timers of E1381 on top"
    )

    provider = what.add_parser(
        "provider",
        help="a provider's system that takes HL7 over MLLP",
        description=_PROVIDER,
        formatter_class=plain,
    )
    provider.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    provider.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    provider.add_argument("--ledger", metavar="FILE", type=Path, help="store every message here (JSON lines)")
    provider.add_argument("--misbehave", metavar="WHICH=HOW", action="append", default=[], help="see above")


def run(arguments: argparse.Namespace) -> int:
    """Run the simulator until it is done or gets SIGTERM: 0 done or told to stop, 1 failed, 2 not understood.

    An instrument told to stop before ``--until-delivered`` was reached returns 1.
    """
    from simulators.ledger import LedgerError
    from simulators.scenario import ScenarioError

    try:
        return _instrument(arguments) if arguments.simulated == "astm" else _provider(arguments)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    except LedgerError as error:
        print(error, file=sys.stderr)
        return 1


def _instrument(arguments: argparse.Namespace) -> int:
    from threading import Event

    from simulators.astm.instrument import Instrument
    from simulators.ledger import Ledger

    scenario = _scenario(arguments)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ledger = Ledger(arguments.ledger)
    try:
        instrument = Instrument(scenario, ledger)
        mount = _mount(arguments)
        _say(
            {
                "ready": "astm",
                **mount.plug_in(),
                "serial": scenario.meter.serial,
                "tests": len(instrument.meter.memory),
            }
        )
        instrument.run(mount, stop, until_delivered=arguments.until_delivered)
    except (OSError, ValueError) as error:
        print(f"the simulated meter cannot be plugged in: {error}", file=sys.stderr)
        return 1
    finally:
        ledger.close()
    _say({"ended": "astm", "delivered": len(instrument.delivered), "unsent": len(instrument.unsent)})
    return 1 if arguments.until_delivered and instrument.unsent else 0


def _scenario(arguments: argparse.Namespace) -> Scenario:
    from simulators.scenario import five_weeks, load

    if arguments.scenario:
        scenario = load(arguments.scenario)
    elif arguments.five_weeks:
        scenario = five_weeks(arguments.five_weeks)
    else:
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        scenario = five_weeks(yesterday).model_copy(update={"starts": None})
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


def _provider(arguments: argparse.Namespace) -> int:
    import asyncio

    from simulators.ledger import Ledger
    from simulators.provider.behaviour import Script
    from simulators.provider.server import Provider

    try:
        script = Script.parse(arguments.misbehave)
    except ValueError as error:
        print(f"--misbehave {error}", file=sys.stderr)
        return 2

    async def serve(ledger: Ledger) -> int:
        provider = Provider(ledger, script)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            host, port = await provider.start(arguments.host, arguments.port)
        except (OSError, OverflowError) as error:
            print(f"{arguments.host}:{arguments.port}: cannot listen there: {error}", file=sys.stderr)
            return 1
        _say({"ready": "provider", "host": host, "port": port})
        await stop.wait()
        await provider.stop()
        return 0

    ledger = Ledger(arguments.ledger)
    try:
        return asyncio.run(serve(ledger))
    finally:
        ledger.close()


def _say(line: dict[str, object]) -> None:
    """One line that a program can read, out at once."""
    print(json.dumps(line), flush=True)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write HOST:PORT, for example 127.0.0.1:4321")
    return host.strip("[]"), int(port)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it like 2026-03-14") from None


def _factor(text: str) -> float:
    factor = _number(text)
    if not factor:
        raise argparse.ArgumentTypeError("timers cannot be 0; write a factor like 0.1")
    return factor


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return number
