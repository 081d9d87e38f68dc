"""The demo's order of events."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from gateway.cli.demo.observation import Observation
    from gateway.cli.demo.stage import Stage

__all__ = ["add_arguments", "run"]

KILL_AFTER_TESTS = 3
GIVE_UP_AFTER_S = 25.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Broker, server, hub, a simulated provider system and a simulated meter on a serial line run as processes "
        "of their own on this machine. The meter's memory travels to the provider's chart; in the middle the hub "
        "is killed with kill -9 and started again. Ends with where each result is and what it counts as; exit 1 if "
        "anything was lost or doubled, by the meter's own list."
    )
    parser.add_argument("--keep", action="store_true", help="leave everything running, and say how to look around")
    parser.add_argument(
        "--folder", type=Path, help="where stores, logs and configuration go; default: a temporary folder"
    )
    parser.add_argument("--broker", choices=("amqtt", "mosquitto"), default="amqtt", help="default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """Tell the story: 0 nothing lost or doubled, 1 otherwise, 2 something is missing here."""
    try:
        from rich.console import Console
    except ImportError:
        print("the demo needs rich and amqtt: pip install 'inr-gateway[broker,terminal]'", file=sys.stderr)
        return 2
    from gateway.cli.demo.stage import Stage, StageError
    from gateway.cli.demo.story import NOW

    folder = arguments.folder
    if folder is not None and folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty; name a new folder", file=sys.stderr)
        return 2
    console = Console()
    with ExitStack() as cleaning:
        if folder is None and not arguments.keep:
            folder = Path(cleaning.enter_context(tempfile.TemporaryDirectory(prefix="inr-gateway-demo-")))
        elif folder is None:
            folder = Path(tempfile.mkdtemp(prefix="inr-gateway-demo-"))
        stage = Stage(folder.absolute(), NOW, broker=arguments.broker)
        if not arguments.keep:
            cleaning.callback(stage.stop)
        try:
            return _tell(console, stage, keep=arguments.keep)
        except (StageError, KeyboardInterrupt) as error:
            reason = str(error) or "interrupted"
            console.print(f"the demo could not go on: {reason}", highlight=False)
            if arguments.keep:
                stage.stop()
            return 1


def _tell(console: Console, stage: Stage, *, keep: bool) -> int:
    from rich.live import Live

    from gateway.cli.demo.observation import observe
    from gateway.cli.demo.picture import ending, journey, said
    from gateway.cli.demo.stage import HUB
    from gateway.cli.demo.story import PATIENT, TODAY, registry
    from gateway.reporting.statements import statement_of
    from gateway.store.opening import open_store

    began_s = time.monotonic()
    story: list[str] = []

    def note(text: str, live: Live | None = None) -> None:
        story.append(f"{time.monotonic() - began_s:5.1f} s  {text}")
        if not console.is_terminal or live is None:
            console.print(story[-1], style="cyan", highlight=False)

    stage.start_broker()
    stage.prepare(registry(stage.mllp_port, HUB))
    stage.start_provider()
    stage.start_server()
    stage.start_meter("--five-weeks", TODAY.isoformat(), "--gap", "0.35", "--scale", "0.1")
    note(f"broker ({stage.broker}), server, provider's system and meter run; the day is {TODAY}")
    stage.start_hub()
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def watch(done: str, condition: Callable[[Observation], bool]) -> Observation:
            while time.monotonic() - began_s < GIVE_UP_AFTER_S:
                now = observe(stage)
                if console.is_terminal:
                    live.update(journey(now, story), refresh=True)
                if condition(now):
                    note(done, live)
                    return now
                time.sleep(0.1)
            return observe(stage)

        note("the hub opens the serial line", live)
        watch(
            f"{KILL_AFTER_TESTS} tests are acknowledged to the meter",
            lambda now: sum(test.told for test in now.memory) >= KILL_AFTER_TESTS,
        )
        stage.kill("hub")
        note("kill -9: the hub is gone, in the middle of it", live)
        time.sleep(0.5)
        stage.start_hub()
        note("the hub is started again", live)
        now = watch("everything has arrived, and every receipt is back", lambda now: now.settled)
        if console.is_terminal:
            live.update(journey(now, story), refresh=True)
    if console.is_terminal:
        console.print("\n".join(story), style="cyan", highlight=False)
    with closing(open_store(stage.store)) as database:
        statement, _ = statement_of(database, PATIENT, TODAY, "rig")
    console.print(ending(now, statement))
    good = said(console, now) and now.settled
    if keep:
        _look_around(console, stage)
    return 0 if good else 1


def _look_around(console: Console, stage: Stage) -> None:
    server, hub = f"--config {stage.server_configuration}", f"--config {stage.hub_configuration}"
    pids = " ".join(str(process.pid) for process in stage.processes.values())
    console.print(
        f"""
Everything still runs, in {stage.folder}. To look around:
  inr-gateway results list {server}
  inr-gateway deliveries {server}
  inr-gateway units statement {server} P-1 --as-of 2026-03-14
  inr-gateway units explain {server} P-1 --as-of 2026-03-14
  inr-gateway hub status {hub}
  inr-gateway quarantine list {server}
To end it:
  kill {pids}""",
        highlight=False,
        soft_wrap=True,
    )
