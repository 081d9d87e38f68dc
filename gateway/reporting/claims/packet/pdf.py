"""A packet on paper. The same contents give the same octets: the file says nothing of when or where it was made.

Letters come from the fonts that reports are drawn with and are embedded; one that they lack stands as its number.
"""

from __future__ import annotations

import io
import re
from typing import Any
from xml.sax.saxutils import escape

from gateway.reporting.channels.document.pen import BOLD, PLAIN, drawable, register
from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.packet.contents import Contents, Table

__all__ = ["as_pdf"]

INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
FOOT = "Prepared for review; not submitted by this software."


def as_pdf(contents: Contents) -> bytes:
    """The packet as PDF 1.4 with the standard fonts.

    Raises:
        ClaimError: the library that draws is not installed.
    """
    try:
        from reportlab.lib import pagesizes, units  # type: ignore[import-untyped]  # publishes no types
        from reportlab.platypus import (  # type: ignore[import-untyped]  # publishes no types
            Paragraph,
            SimpleDocTemplate,
            Spacer,
        )
    except ImportError:
        raise ClaimError("a packet needs reportlab; install inr-gateway[documents]") from None
    register()
    styles = _styles()
    width = pagesizes.letter[0] - 1.2 * units.inch
    story: list[Any] = [Paragraph(_drawn(contents.title), styles["title"])]
    story.append(Paragraph(_drawn(contents.subtitle), styles["text"]))
    for section in contents.sections:
        story.append(Paragraph(_drawn(section.title), styles["heading"]))
        story += [Paragraph(_drawn(line), styles["text"]) for line in section.lines]
        if section.table is not None:
            story.append(Spacer(1, 3))
            story.append(_table(section.table, width, styles))
    octets = io.BytesIO()
    document = SimpleDocTemplate(
        octets,
        pagesize=pagesizes.letter,
        leftMargin=0.6 * units.inch,
        rightMargin=0.6 * units.inch,
        topMargin=0.6 * units.inch,
        bottomMargin=0.7 * units.inch,
        title=contents.title,
        author="",
        subject=contents.subtitle,
        creator="inr-gateway",
        producer="inr-gateway",
        invariant=1,
        pageCompression=1,
    )

    def foot(canvas: Any, page: Any) -> None:
        canvas.saveState()
        canvas.setFont(PLAIN, 7)
        canvas.drawString(0.6 * units.inch, 0.4 * units.inch, f"{_written(contents.subtitle)[:110]} {FOOT}")
        canvas.drawRightString(pagesizes.letter[0] - 0.6 * units.inch, 0.4 * units.inch, f"page {page.page}")
        canvas.restoreState()

    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return octets.getvalue()


def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]  # publishes no types

    text = ParagraphStyle("text", fontName=PLAIN, fontSize=8.5, leading=10.5)
    return {
        "text": text,
        "title": ParagraphStyle("title", text, fontName=BOLD, fontSize=14, leading=18, spaceAfter=4),
        "heading": ParagraphStyle(
            "heading", text, fontName=BOLD, fontSize=10.5, leading=13, spaceBefore=10, keepWithNext=1
        ),
        "cell": ParagraphStyle("cell", text, fontSize=7.5, leading=9, splitLongWords=1),
        "head": ParagraphStyle("head", text, fontName=BOLD, fontSize=7.5, leading=9),
    }


def _table(table: Table, width: float, styles: dict[str, Any]) -> Any:
    from reportlab.lib import colors
    from reportlab.platypus import LongTable, Paragraph, TableStyle

    headed = any(table.columns)
    rows = [[Paragraph(_drawn(cell), styles["head"]) for cell in table.columns]] if headed else []
    rows += [[Paragraph(_drawn(cell), styles["cell"]) for cell in row] for row in table.rows]
    drawn = LongTable(
        rows, colWidths=[share * width for share in table.widths], repeatRows=int(headed), hAlign="LEFT"
    )
    commands = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ]
    if headed:
        commands.append(("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke))
    drawn.setStyle(TableStyle(commands))
    return drawn


def _drawn(text: str) -> str:
    return escape(_written(text))


def _written(text: str) -> str:
    """Text in letters that the fonts have, with instants as people write them."""
    return drawable(INSTANT.sub(r"\1 \2 UTC", text))
