"""``inr-gateway drivers``: which meters are supported, and on what evidence."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import textwrap
import tomllib
from collections.abc import Mapping

from drivers import registry
from drivers.contract import ConfirmedBy, Driver
from gateway.configuration import shipped

__all__ = ["add_arguments", "run"]

_CONFIRMED = {
    ConfirmedBy.CALLER: "the gateway, after its journal has the record: nothing can be lost",
    ConfirmedBy.STACK: "the radio or USB stack by itself; what is missed is read from the meter's memory again",
    ConfirmedBy.NONE: "nobody: results can be lost unless the meter's memory is read again",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="this driver alone, with its whole checklist")
    parser.add_argument("--json", action="store_true", help="one JSON object for each driver")
    parser.description = (
        "Lists the drivers that are installed: what each rests on, who tells the meter that a record arrived, over "
        "which transports it works, and which profiles are shipped for it. What cannot be used is listed with the "
        "reason. With NAME: also what is proven of it, what follows from a specification, and what nobody knows."
    )


def run(arguments: argparse.Namespace) -> int:
    """List them: 0 done, 2 there is none of that name."""
    profiles = _profiles()
    wanted = arguments.name
    offers = [offer for offer in registry.available() if wanted in (None, offer.name)]
    if not offers:
        print(f"inr-gateway drivers: no driver {wanted!r} is installed; see inr-gateway drivers", file=sys.stderr)
        return 2
    for offer in offers:
        described = _described(offer, profiles.get(offer.name, {}))
        checklist = None if wanted is None or offer.driver is None else _checklist(offer.driver)
        if arguments.json:
            print(json.dumps({**described, **({"checklist": checklist} if checklist else {})}, ensure_ascii=False))
        else:
            _print(described)
            print(checklist or "", end="\n" if checklist else "")
    return 0


def _checklist(driver: type[Driver]) -> str:
    """The part of the module's docstring that says of each trait what it rests on."""
    _, heading, rest = (inspect.getdoc(inspect.getmodule(driver)) or "").partition("\nChecklist")
    return f"Checklist{rest}".rstrip() if heading else "This driver comes without a checklist."


def _profiles() -> dict[str, dict[str, str]]:
    """Driver to shipped profiles with their descriptions."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((shipped() / "profiles").glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        found.setdefault(str(content.get("driver")), {})[path.stem] = str(content.get("description", ""))
    return found


def _described(offer: registry.Offer, profiles: Mapping[str, str]) -> dict[str, object]:
    driver = offer.driver
    if driver is None:
        return {"name": offer.name, "package": offer.provider, "problem": offer.problem}
    return {
        "name": offer.name,
        "package": offer.provider,
        "summary": driver.summary,
        "evidence": driver.evidence,
        "confirmed_by": driver.confirmed_by.value,
        "transports": sorted(driver.transports),
        "profiles": dict(profiles),
    }


def _print(described: Mapping[str, object]) -> None:
    print(described["name"])
    if "problem" in described:
        _line("not usable", str(described["problem"]))
    else:
        _line("what", str(described["summary"]))
        _line("evidence", str(described["evidence"]))
        confirmed = ConfirmedBy(str(described["confirmed_by"]))
        _line("confirmed by", f"{confirmed.value}: {_CONFIRMED[confirmed]}")
        transports = described["transports"]
        assert isinstance(transports, list)
        _line("transports", ", ".join(transports))
        profiles = described["profiles"]
        assert isinstance(profiles, dict)
        for name, description in profiles.items():
            _line("profile", f"{name}: {description}")
    _line("package", str(described["package"]))
    print()


def _line(label: str, text: str) -> None:
    print(textwrap.fill(text, 110, initial_indent=f"  {label:<14}", subsequent_indent=" " * 16))
