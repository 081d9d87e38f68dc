"""CSV and TOML files into rows that know where they stood; every problem names file, line, column and remedy.

The stem of a CSV file, and the name of a TOML table, is the kind of its rows; the kind's fields are the columns.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

__all__ = ["AS_UTF_8", "SEPARATORS", "Kinds", "Place", "Placed", "Problem", "read_files", "read_row"]

MOST_OCTETS = 64 * 1024 * 1024
AS_UTF_8 = "save the file as UTF-8 (in a spreadsheet: CSV UTF-8)"
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "upright strokes"}
Kinds = Mapping[str, type[BaseModel]]


class Place(NamedTuple):
    """Where a row stood. `line` counts from 1; 0 means the file as a whole, or no file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Placed(NamedTuple):
    """A row and where it stood."""

    kind: str
    row: BaseModel
    place: Place


class Problem(NamedTuple):
    """Why something is refused: where, what, and the remedy. Values of patients are not repeated."""

    place: Place
    column: str | None
    what: str
    remedy: str

    def __str__(self) -> str:
        column = f" column {self.column}:" if self.column else ""
        return f"{self.place}:{column} {self.what}; {self.remedy}"


def read_files(paths: Sequence[Path], kinds: Kinds) -> tuple[list[Placed], list[Problem]]:
    """Read files, or every CSV and TOML file of a folder."""
    rows: list[Placed] = []
    problems: list[Problem] = []
    for path in paths:
        files = (
            sorted(each for each in path.iterdir() if each.suffix.lower() in (".csv", ".toml"))
            if path.is_dir()
            else [path]
        )
        if not files:
            whole = Place(str(path), 0)
            problems.append(Problem(whole, None, "holds no CSV or TOML file", "name the right folder"))
        for file in files:
            for item in _File(file, kinds).read():
                if isinstance(item, Placed):
                    rows.append(item)
                else:
                    problems.append(item)
    return rows, problems


def read_row(
    kinds: Kinds, kind: str, content: Mapping[str, Any], place: Place, lines: Mapping[str, int] | None = None
) -> Iterator[Placed | Problem]:
    """One row, or what is wrong with it.

    Args:
        kinds: the kinds by name.
        kind: which of them.
        content: values by column.
        place: where it stood.
        lines: the line of each column, where they stand apart.
    """
    try:
        yield Placed(kind, kinds[kind].model_validate(content), place)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            column = str(problem["loc"][0]) if problem["loc"] else None
            where = place._replace(line=(lines or {}).get(column or "", place.line))
            yield Problem(where, column, *_said(kinds[kind], column, problem["type"], problem["msg"]))


class _File:
    """One file in reading."""

    def __init__(self, path: Path, kinds: Kinds) -> None:
        self._path = path
        self._name = str(path)
        self._whole = Place(self._name, 0)
        self._kinds = kinds

    def read(self) -> Iterator[Placed | Problem]:
        path = self._path
        try:
            if path.stat().st_size > MOST_OCTETS:
                yield Problem(self._whole, None, f"is larger than {MOST_OCTETS} octets", "split it")
                return
            octets = path.read_bytes()
        except OSError as error:
            yield Problem(self._whole, None, f"cannot be read: {error.strerror}", "name a readable file")
            return
        try:
            text = octets.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = octets[: error.start].count(b"\n") + 1
            yield Problem(Place(self._name, line), None, "is not UTF-8", AS_UTF_8)
            return
        suffix, kind = path.suffix.lower(), path.stem.lower()
        if suffix == ".toml":
            yield from self._toml(text)
        elif suffix == ".csv" and kind in self._kinds:
            yield from self._csv(kind, text)
        else:
            names = ", ".join(f"{kind}.csv" for kind in self._kinds)
            yield Problem(self._whole, None, "its name says no kind of row", f"name it one of {names}, or use TOML")

    # ---------------------------------------------------------------- CSV

    def _csv(self, kind: str, text: str) -> Iterator[Placed | Problem]:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        columns: list[str] | None = None
        line = 1
        try:
            for cells in reader:
                place, line = Place(self._name, line), reader.line_num + 1
                if not any(cell.strip() for cell in cells) or cells[0].startswith("#"):
                    continue
                if columns is None:
                    columns = [cell.strip() for cell in cells]
                    problems = list(self._header(place, kind, columns))
                    if problems:
                        yield from problems
                        return
                elif len(cells) != len(columns):
                    what = f"has {len(cells)} cells, the header has {len(columns)}"
                    yield Problem(place, None, what, "count the commas; put a text that holds a comma in quotes")
                else:
                    filled = {name: cell for name, cell in zip(columns, cells, strict=True) if cell.strip()}
                    yield from read_row(self._kinds, kind, filled, place)
        except csv.Error as error:
            place = Place(self._name, reader.line_num)
            yield Problem(place, None, f"is no CSV: {error}", "look for an unclosed quote")
            return
        if columns is None:
            remedy = f"the first line names the columns: {_columns(self._kinds[kind])}"
            yield Problem(Place(self._name, 1), None, "has no header", remedy)

    def _header(self, place: Place, kind: str, columns: Sequence[str]) -> Iterator[Problem]:
        known = _fields(self._kinds[kind])
        remedy = f"the columns are {', '.join(known)}"
        if len(columns) == 1:
            for sign, name in SEPARATORS.items():
                if sign in columns[0]:
                    yield Problem(place, None, f"is separated by {name}", "separate the cells by commas")
                    return
        for name in columns:
            if name not in known:
                yield Problem(place, name or "(empty)", "is no column of this kind", remedy)
        for name in dict.fromkeys(name for name in columns if columns.count(name) > 1 and name in known):
            yield Problem(place, name, "stands there twice", "leave one of them out")
        for name, field in known.items():
            if field.is_required() and name not in columns:
                yield Problem(place, name, "is missing", remedy)

    # ---------------------------------------------------------------- TOML

    def _toml(self, text: str) -> Iterator[Placed | Problem]:
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"at line (\d+)", str(error))
            place = Place(self._name, int(found[1]) if found else 0)
            yield Problem(place, None, f"is no TOML: {error}", "correct it there")
            return
        lines = text.splitlines()
        for kind, tables in content.items():
            if kind not in self._kinds:
                line = next((number for number, each in enumerate(lines, 1) if kind in each), 0)
                remedy = f"the kinds are {', '.join(self._kinds)}"
                yield Problem(Place(self._name, line), kind, "is no kind of row", remedy)
            elif not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
                yield Problem(self._whole, kind, "is no list of tables", f"write [[{kind}]] above each row")
            else:
                header = re.compile(rf"\s*\[\[\s*[\"']?{kind}[\"']?\s*\]\]")
                starts = [number for number, each in enumerate(lines, 1) if header.match(each)]
                for at, table in enumerate(tables):
                    start = starts[at] if len(starts) == len(tables) else 0  # written inline: the file must do
                    place = Place(self._name, start)
                    yield from read_row(self._kinds, kind, _plain(table), place, _key_lines(lines, start))


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """TOML's own dates as the text that they were."""
    return {
        name: value.isoformat() if isinstance(value, date | datetime) else value for name, value in table.items()
    }


def _key_lines(lines: Sequence[str], start: int) -> dict[str, int]:
    """The line of each key, and of each table within, of the table whose header stands in line `start`."""
    found: dict[str, int] = {}
    for number, line in enumerate(lines[start:], start + 1) if start else ():
        if line.lstrip().startswith("[["):
            break
        key = re.match(r"\s*(?:\[\s*\w+\s*\.\s*)?[\"']?([\w-]+)[\"']?\s*[=\].]", line)
        if key:
            found.setdefault(key[1], number)
    return found


def _said(kind: type[BaseModel], column: str | None, error: str, message: str) -> tuple[str, str]:
    """What is wrong and what to do, in our words where we have some."""
    message = message.removeprefix("Value error, ")
    if column is None:  # of a whole row: its validators name the remedy themselves
        what, _, remedy = message.partition("; ")
        return what, remedy or "correct the row"
    field = _fields(kind).get(column)
    if field is None:
        return "is no column of this kind", f"the columns are {_columns(kind)}"
    remedy = f"write {field.description or 'a value'}"
    if error == "missing":
        return "is missing", remedy
    if error == "string_pattern_mismatch":
        return "has not the right form", remedy
    if error == "value_error":  # where it knows the remedy better than the column does, it says it itself
        what, _, own = message.partition("; ")
        return what, own or remedy
    return message[:1].lower() + message[1:], remedy


def _fields(kind: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in kind.model_fields.items()}


def _columns(kind: type[BaseModel]) -> str:
    return ", ".join(_fields(kind))
