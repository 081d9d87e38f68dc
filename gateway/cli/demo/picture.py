"""What a person sees of the demo: a table that fills while results travel, and the end of the story."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.cli.demo.observation import Observation, Remembered
from gateway.reporting.units import Statement

__all__ = ["ending", "journey", "said"]

_KINDS = {"patient": "test", "control": "control", "error": "error"}
_NOWHERE = Text("·", style="dim")


def journey(now: Observation, story: list[str]) -> RenderableType:
    """The tests on their way, and the last things that happened."""
    table = Table(title="One patient's five weeks, on their way", title_justify="left", expand=False)
    for name in ("meter's time", "what", "INR", "on the hub's disk,\nmeter was told", "in the server's\nstore"):
        table.add_column(name)
    table.add_column("in the provider's\nchart (AA)")
    for test in now.memory:
        table.add_row(
            test.shown,
            _KINDS.get(test.kind, test.kind),
            test.inr or "-",
            _mark(test.told),
            _mark(bool(test.results)),
            Text("stays here", style="dim") if test.kind != "patient" else _mark(test.evidence == "delivered"),
        )
    events = Text("\n".join(story[-6:]), style="cyan")
    return Group(table, Text(f"receipts at the hub: {now.receipts} of {now.readings} readings"), events)


def ending(now: Observation, statement: Statement) -> RenderableType:
    """Where each result is, on what evidence, and what it counts as."""
    counts = _counts(statement)
    table = Table(title="Where each result is, and what it counts as", title_justify="left")
    for name in ("nr", "meter's time", "what", "INR", "where", "proof"):
        table.add_column(name, no_wrap=True)
    table.add_column("counts as", overflow="fold")
    for test in now.memory:
        result = test.result
        number = "-" if result is None else str(result.id)
        table.add_row(
            number,
            test.shown,
            _KINDS.get(test.kind, test.kind),
            test.inr or "-",
            *_where(test),
            counts.get(number, "-"),
        )
    parts: list[RenderableType] = [table]
    for unit in statement.units:
        lines = [
            f"tests {', '.join(unit.tests)}, from {unit.first_test} to {unit.last_test}",
            f"{unit.status.replace('_', ' ')}; date of service {unit.billable_from} or later; "
            f"file by {unit.file_by}",
        ]
        if unit.review_flags:
            lines.append(f"a person must look before it is claimed: {', '.join(unit.review_flags)}")
        parts.append(Panel("\n".join(lines), title=f"1 unit of {unit.code}", title_align="left", expand=False))
    parts.append(Text(f"toward the next unit: {len(statement.pending)} of 4 tests"))
    return Group(*parts)


def said(console: Console, now: Observation) -> bool:
    """Say whether anything was lost or doubled. Returns True when nothing was."""
    told = sum(test.told for test in now.memory)
    verdicts = [
        (not now.lost, f"lost: {len(now.lost)} of the {told} tests that the meter was told are received"),
        (told == len(now.memory), f"left in the meter: {len(now.memory) - told} of {len(now.memory)}"),
        (not now.altered, f"altered on the way: {len(now.altered)}"),
        (not now.doubled and not now.strange, f"doubled in the store: {len(now.doubled) + len(now.strange)}"),
        (
            not now.unexplained,
            f"copies at the provider's system: {sum(now.copies.values())} of {len(now.copies)} reports, "
            f"{len(now.unexplained)} of them without a known reason",
        ),
    ]
    for good, text in verdicts:
        console.print(Text("✔ " if good else "✘ ", style="green" if good else "bold red") + Text(text))
    return all(good for good, _ in verdicts)


def _mark(there: bool) -> Text:
    return Text("✔", style="green") if there else _NOWHERE


def _where(test: Remembered) -> tuple[str, str]:
    result = test.result
    if result is None:
        return "meter", "-"
    if result.waits:
        return "quarantine", result.waits[0][1]
    if test.kind != "patient":
        return "store", "-"
    if test.evidence == "delivered":
        return "chart", "AA"
    return "store", test.evidence or "-"


def _counts(statement: Statement) -> dict[str, str]:
    found = {
        test: f"unit {number} ({unit.code})"
        for number, unit in enumerate(statement.units, start=1)
        for test in unit.tests
    }
    found |= dict.fromkeys(statement.pending, "pending")
    found |= {each.test: f"no: {each.words}" for each in statement.not_covered}
    return found
