"""``inr-gateway schemas``: the JSON Schemas of everything that travels, written from the models."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.epilog = "The schemas of this release stand in config/schemas; a test keeps them equal to the models."
    sub = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = sub.add_parser("show", help="print one schema")
    show.add_argument("name", help="for example reading-1")
    write = sub.add_parser("write", help="write all schemas into a folder")
    write.add_argument("folder", type=Path)
    sub.add_parser("list", help="print the names")


def schemas() -> dict[str, str]:
    """Name and text of every schema, for example ``reading-1``."""
    from pydantic import BaseModel

    from gateway.reporting.message import ReportMessage
    from gateway.result import Result
    from gateway.wire.reading import Reading
    from gateway.wire.receipt import Epoch, HubStatus, Receipts

    models: dict[str, type[BaseModel]] = {
        "result-1": Result,
        "reading-1": Reading,
        "receipts-1": Receipts,
        "epoch-1": Epoch,
        "hub-status-1": HubStatus,
        "report-1": ReportMessage,
    }
    return {
        name: json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=True)},
            indent=2,
            sort_keys=True,
        )
        + "\n"
        for name, model in models.items()
    }


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    known = schemas()
    if arguments.action == "list":
        print("\n".join(known))
        return 0
    if arguments.action == "show":
        if arguments.name not in known:
            print(f"no schema {arguments.name!r}; there are: {', '.join(known)}", file=sys.stderr)
            return 2
        print(known[arguments.name], end="")
        return 0
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, text in known.items():
        (arguments.folder / f"{name}.schema.json").write_text(text, encoding="utf-8")
    print(f"wrote {len(known)} schemas into {arguments.folder}")
    return 0
