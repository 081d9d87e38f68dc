"""What one destination wants otherwise of the PDF report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.reporting.channels.base import ChannelSettings

__all__ = ["DocumentSettings"]


class DocumentSettings(ChannelSettings):
    """Paper, letters, and how much of the past the report shows."""

    paper: Annotated[Literal["letter", "a4"], Field(description="letter or a4")] = "letter"
    more_fonts: Annotated[
        tuple[Path, ...],
        Field(description="TrueType files with letters that DejaVu Sans lacks (Chinese, Japanese, Korean, Thai)"),
    ] = ()
    rows: Annotated[int, Field(ge=1, le=200, description="how many results the table shows")] = 12
    picture_days: Annotated[int, Field(ge=7, le=3660, description="how many days the picture shows")] = 182
