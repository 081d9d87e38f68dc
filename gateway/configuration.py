"""TOML configuration with errors that name file, key and remedy; and where the shipped data stand."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["ConfigurationError", "Section", "load", "shipped"]


class ConfigurationError(Exception):
    """A configuration file cannot be used; the message names file, key and remedy."""


class Section(BaseModel):
    """Base of configuration models: unknown keys are errors, because a misspelt key would be silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model]) -> Model:
    """Read a TOML file into a model.

    Raises:
        ConfigurationError: the file is missing, is no TOML, or does not fit; every unfit key is named.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; commented examples stand in {shipped()}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(str(part) for part in problem['loc']) or '(whole file)'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigurationError("\n".join(lines)) from error


def shipped() -> Path:
    """The folder with profiles, policies, schemas and commented examples that came with this installation."""
    packaged = Path(__file__).parent / "_config"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "config"
