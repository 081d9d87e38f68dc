"""What the registry asks of a destination's row: the channel itself judges its address and its settings."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from gateway.reporting.channels import NAMES, channel
from gateway.reporting.schedule import Schedule

__all__ = ["NAMES", "check_address", "check_schedule", "check_settings"]


def check_address(channel_name: str, text: str) -> str:
    """The address as it is to be kept.

    Raises:
        ValueError: it is none of this channel; the remedy stands after a semicolon.
    """
    return channel(channel_name).check_address(text)


def check_settings(channel_name: str, table: dict[str, Any] | str) -> str:
    """A table of settings, or the JSON text of one, as it is to be kept: what was written and no default.

    Raises:
        ValueError: it does not fit the channel's settings; every unfit one is named.
    """
    model = channel(channel_name).settings
    try:
        if isinstance(table, str):
            table = json.loads(table or "{}")
        found = model.model_validate(table)
    except json.JSONDecodeError:
        raise ValueError('is no JSON; write it like {"pause_s": 2}') from None
    except ValidationError as error:
        raise ValueError(_said(model.model_fields, channel_name, error)) from None
    written = found.model_dump(mode="json", exclude_unset=True)
    return json.dumps(written, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def check_schedule(text: str) -> str:
    """A batch schedule.

    Raises:
        ValueError: it is none; the remedy stands after a semicolon.
    """
    Schedule.parse(text)
    return " ".join(text.split())


def _said(fields: dict[str, Any], channel_name: str, error: ValidationError) -> str:
    whats, remedies = [], []
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            whats.append(f"{channel_name} has no setting {name}")
            remedies.append(f"the settings are {', '.join(fields)}")
            continue
        message = problem["msg"].removeprefix("Value error, ")
        whats.append(f"{name + ': ' if name else ''}{message[:1].lower()}{message[1:]}")
        field = fields.get(str(problem["loc"][0])) if problem["loc"] else None
        if field is not None and field.description:
            remedies.append(f"{problem['loc'][0]}: {field.description}")
    return f"{', '.join(whats)}; {', '.join(dict.fromkeys(remedies)) or 'correct it'}"
