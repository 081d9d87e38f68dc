"""``units evaluate``: golden cases."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Compute cases, or compare them with what they expect: 1 if one differs or is refused, or none is compared."""
    from gateway.reporting.policies import shipped_diagnoses
    from gateway.reporting.units.cases import evaluate
    from gateway.reporting.units.errors import BadValueError, UnitsError

    try:
        document = _read(arguments.cases)
    except _UnreadableError as error:
        print(f"inr-gateway units: {arguments.cases}: {error}", file=sys.stderr)
        return 2
    if not isinstance(document, dict):
        raise BadValueError(str(arguments.cases), "is no JSON object", "give a file of cases")
    if not document.get("cases"):
        what = "is empty; give at least one case" if "cases" in document else "is missing; give a list of cases"
        raise BadValueError(f"{arguments.cases}: cases", *what.split("; "))
    computed = compared = differing = 0
    refused: list[UnitsError] = []
    for name in arguments.case or [None]:
        for each in evaluate(document, shipped_diagnoses(), name, refused):
            computed += 1
            compared += each.expected is not None
            differing += bool(each.differences)
            called = f"{each.case} {dict(each.variant)}" if each.variant else each.case
            if not arguments.check:
                print(json.dumps({"case": each.case, "policy": dict(each.variant), "expected": each.computed}))
            elif each.expected is None:
                print(
                    f"inr-gateway units: {called}: nothing to compare with: it has no 'expected'", file=sys.stderr
                )
            for line in each.differences if arguments.check else ():
                print(f"{called}: {line}")
    for refusal in refused:
        print(f"inr-gateway units: {refusal}", file=sys.stderr)
    if not arguments.check:
        return 1 if refused else 0
    print(f"{computed} statements computed, {differing} differ from what is expected")
    if not compared:
        print(f"inr-gateway units: {arguments.cases}: nothing was compared", file=sys.stderr)
    return 1 if refused or differing or not compared else 0


class _UnreadableError(Exception):
    """The file holds no JSON; the message says why."""


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _UnreadableError(f"cannot be read: {error.strerror}; name a file of cases") from None
    except UnicodeDecodeError as error:
        raise _UnreadableError(f"is not UTF-8, at octet {error.start}; save the file as UTF-8") from None
    except RecursionError:
        raise _UnreadableError("is no JSON: nested too deeply; correct it") from None
    except ValueError as error:
        raise _UnreadableError(f"is no JSON: {error}; correct it there") from None
