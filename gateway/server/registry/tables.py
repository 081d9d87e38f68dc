"""CSV and TOML files into rows that know where they stood; every problem names file, line, column and remedy."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from gateway.server.registry.kinds import KINDS, Row

__all__ = ["Place", "Placed", "Problem", "read_files"]

MOST_OCTETS = 64 * 1024 * 1024


class Place(NamedTuple):
    """Where a row stood. `line` counts from 1; 0 means the file as a whole."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Placed(NamedTuple):
    """A row and where it stood."""

    kind: str
    row: Row
    place: Place


class Problem(NamedTuple):
    """Why an import is refused: where, what, and the remedy. Values of patients are not repeated."""

    place: Place
    column: str | None
    what: str
    remedy: str

    def __str__(self) -> str:
        column = f" column {self.column}:" if self.column else ""
        return f"{self.place}:{column} {self.what}; {self.remedy}"


def read_files(paths: Sequence[Path]) -> tuple[list[Placed], list[Problem]]:
    """Read files, or every CSV and TOML file of a folder."""
    rows: list[Placed] = []
    problems: list[Problem] = []
    files: list[Path] = []
    for path in paths:
        found = (
            sorted(each for each in path.iterdir() if each.suffix in (".csv", ".toml")) if path.is_dir() else [path]
        )
        if not found:
            problems.append(
                Problem(Place(str(path), 0), None, "holds no CSV or TOML file", "name the right folder")
            )
        files += found
    for path in files:
        for item in _read_file(path):
            (rows if isinstance(item, Placed) else problems).append(item)  # type: ignore[arg-type]  # told apart above
    return rows, problems


def _read_file(path: Path) -> Iterator[Placed | Problem]:
    whole = Place(str(path), 0)
    try:
        if path.stat().st_size > MOST_OCTETS:
            yield Problem(whole, None, f"is larger than {MOST_OCTETS} octets", "split it")
            return
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        yield Problem(whole, None, f"cannot be read: {error.strerror}", "name a readable file")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        yield Problem(Place(str(path), line), None, "is not UTF-8", "save the file as UTF-8")
    else:
        if path.suffix == ".toml":
            yield from _read_toml(str(path), text)
        elif path.stem in KINDS and path.suffix == ".csv":
            yield from _read_csv(str(path), path.stem, text)
        else:
            names = ", ".join(f"{kind}.csv" for kind in KINDS)
            yield Problem(whole, None, "its name says no kind of row", f"name it one of {names}, or use TOML")


def _read_csv(file: str, kind: str, text: str) -> Iterator[Placed | Problem]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            place, line = Place(file, line), reader.line_num + 1
            if not any(cell.strip() for cell in cells) or cells[0].startswith("#"):
                continue
            if columns is None:
                columns = [cell.strip() for cell in cells]
                problems = list(_check_header(place, kind, columns))
                if problems:
                    yield from problems
                    return
            elif len(cells) != len(columns):
                what = f"has {len(cells)} cells, the header has {len(columns)}"
                yield Problem(place, None, what, "count the commas; put a text that holds a comma in quotes")
            else:
                filled = {name: cell for name, cell in zip(columns, cells, strict=True) if cell.strip()}
                yield from _row(kind, filled, place, {})
    except csv.Error as error:
        yield Problem(Place(file, reader.line_num), None, f"is no CSV: {error}", "look for an unclosed quote")
    if columns is None:
        yield Problem(Place(file, 1), None, "has no header", f"the first line names the columns: {_columns(kind)}")


def _check_header(place: Place, kind: str, columns: Sequence[str]) -> Iterator[Problem]:
    known = _fields(kind)
    remedy = f"the columns are {_columns(kind)}"
    if len(columns) == 1 and ";" in columns[0]:
        yield Problem(place, None, "is separated by semicolons", "separate the cells by commas")
        return
    for name in dict.fromkeys(columns):
        if name not in known:
            yield Problem(place, name or "(empty)", "is no column of this kind", remedy)
        elif columns.count(name) > 1:
            yield Problem(place, name, "stands there twice", "leave one of them out")
    for name, field in known.items():
        if field.is_required() and name not in columns:
            yield Problem(place, name, "is missing", remedy)


def _read_toml(file: str, text: str) -> Iterator[Placed | Problem]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        yield Problem(Place(file, int(found[1]) if found else 0), None, f"is no TOML: {error}", "correct it there")
        return
    lines = text.splitlines()
    for kind, tables in content.items():
        if kind not in KINDS:
            line = next((number for number, each in enumerate(lines, 1) if kind in each), 0)
            yield Problem(Place(file, line), kind, "is no kind of row", f"the kinds are {', '.join(KINDS)}")
        elif not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            yield Problem(Place(file, 0), kind, "is no list of tables", f"write [[{kind}]] above each row")
        else:
            starts = [
                number
                for number, each in enumerate(lines, 1)
                if re.match(rf"\s*\[\[\s*[\"']?{kind}[\"']?\s*\]\]", each)
            ]
            for index, table in enumerate(tables):
                start = starts[index] if len(starts) == len(tables) else 0  # written inline: the file must do
                yield from _row(kind, _plain(table), Place(file, start), _key_lines(lines, start))


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """TOML's own dates as the text that they were."""
    return {
        name: value.isoformat() if isinstance(value, date | datetime) else value for name, value in table.items()
    }


def _key_lines(lines: Sequence[str], start: int) -> dict[str, int]:
    """The line of each key of the table whose header stands in line `start`."""
    found: dict[str, int] = {}
    for number, line in enumerate(lines[start:], start + 1) if start else ():
        if line.lstrip().startswith("[["):
            break
        key = re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line)
        if key:
            found.setdefault(key[1], number)
    return found


def _row(
    kind: str, content: Mapping[str, Any], place: Place, lines: Mapping[str, int]
) -> Iterator[Placed | Problem]:
    try:
        yield Placed(kind, KINDS[kind].model_validate(content), place)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            column = str(problem["loc"][0]) if problem["loc"] else None
            where = place._replace(line=lines.get(column or "", place.line))
            yield Problem(where, column, *_said(kind, column, problem["type"], problem["msg"]))


def _said(kind: str, column: str | None, error: str, message: str) -> tuple[str, str]:
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
    what = message if error == "value_error" else message[:1].lower() + message[1:]
    return what, remedy


def _fields(kind: str) -> dict[str, Any]:
    return {field.alias or name: field for name, field in KINDS[kind].model_fields.items()}


def _columns(kind: str) -> str:
    return ", ".join(_fields(kind))
