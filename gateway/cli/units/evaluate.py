"""``units evaluate``: golden cases."""

from __future__ import annotations

import argparse
import json
import sys

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Compute cases, or compare them with what they expect: 1 when one differs or is refused, after all others."""
    from gateway.reporting.policies import shipped_diagnoses
    from gateway.reporting.units.cases import evaluate
    from gateway.reporting.units.errors import BadValueError, UnitsError

    try:
        document = json.loads(arguments.cases.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"inr-gateway units: {arguments.cases}: cannot be read as JSON: {error}", file=sys.stderr)
        return 2
    if not isinstance(document, dict):
        raise BadValueError(str(arguments.cases), "is no JSON object", "give a file of cases")
    computed = differing = 0
    refused: list[UnitsError] = []
    for name in arguments.case or [None]:
        for each in evaluate(document, shipped_diagnoses(), name, refused):
            computed += 1
            differing += bool(each.differences)
            if not arguments.check:
                print(json.dumps({"case": each.case, "policy": dict(each.variant), "expected": each.computed}))
            for line in each.differences if arguments.check else ():
                print(f"{each.case} {dict(each.variant) or ''}: {line}")
    for refusal in refused:
        print(f"inr-gateway units: {refusal}", file=sys.stderr)
    if arguments.check:
        print(f"{computed} statements computed, {differing} differ from what is expected")
    return 1 if refused or (arguments.check and differing) else 0
