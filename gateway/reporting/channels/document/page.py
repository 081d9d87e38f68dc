"""A sheet on paper, one page as a rule.

The same sheet gives the same octets: the file says nothing of when or where it was drawn. Nothing rests on colour
alone, because many offices read it from a fax.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from gateway.reporting.channels.document import picture
from gateway.reporting.channels.document.contents import Banner, Fact, Headline, Mark, Sheet, Tile
from gateway.reporting.channels.document.pen import BLACK, BOLD, GREY, PLAIN, Pen, register

__all__ = ["PaperError", "draw"]

MARGIN, FOOT = 40.0, 46.0
"""Left, right and above; and below, where the foot stands. In points."""
ROW = 13.0
PICTURE: Final = 186.0
WHITE: Final = (1.0, 1.0, 1.0)
LACKING = "A letter that the fonts of this paper do not have stands as its Unicode number, U+...."


class Block(NamedTuple):
    """A piece that stays together.

    Attributes:
        paint: draws it below the given height.
        under: stands above it again where it begins a page.
    """

    height: float
    paint: Callable[[float], None]
    under: Block | None = None


class PaperError(Exception):
    """Nothing can be drawn; the message says what to install."""


def draw(sheet: Sheet, paper: Literal["letter", "a4"] = "letter", more_fonts: Sequence[Path] = ()) -> bytes:
    """The sheet as PDF 1.4 with embedded fonts.

    Raises:
        PaperError: the library that draws is not installed.
        FontError: one of `more_fonts` cannot be used.
    """
    try:
        from reportlab.lib import pagesizes  # type: ignore[import-untyped]  # publishes no types
        from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]  # publishes no types
    except ImportError:
        raise PaperError("a PDF needs reportlab; install inr-gateway[documents]") from None
    size = pagesizes.letter if paper == "letter" else pagesizes.A4
    octets = io.BytesIO()
    fonts = register(more_fonts)
    canvas = Canvas(octets, pagesize=size, invariant=1, pageCompression=1, initialFontName=PLAIN)
    canvas.setTitle(sheet.title)
    for name in ("setAuthor", "setSubject", "setCreator", "setProducer"):
        getattr(canvas, name)("inr-gateway" if name in ("setCreator", "setProducer") else "")
    _Drawing(sheet, Pen(canvas, fonts), size[0], size[1]).draw()
    canvas.save()
    return octets.getvalue()


class _Drawing:
    def __init__(self, sheet: Sheet, pen: Pen, width: float, height: float) -> None:
        self.sheet, self.pen = sheet, pen
        self.left, self.right, self.top = MARGIN, width - MARGIN, height - MARGIN
        self.width = self.right - self.left

    @property
    def canvas(self) -> Any:
        return self.pen.canvas

    def draw(self) -> None:
        sheet = self.sheet
        blocks: list[Block] = [*map(self._banner, sheet.banners), self._people(), self._result()]
        if sheet.trend is not None:
            blocks.append(self._trend())
        if sheet.tiles:
            blocks.append(self._tiles(sheet.tiles))
        blocks += self._table()
        pages = self._paged(blocks)
        for number, page in enumerate(pages, start=1):
            y = self._head()
            for block in page:
                block.paint(y)
                y -= block.height
            self._foot(number, len(pages))
            self.canvas.showPage()

    def _paged(self, blocks: Sequence[Block]) -> list[list[Block]]:
        pages: list[list[Block]] = [[]]
        whole = self.top - 40 - FOOT
        room = whole
        for block in blocks:
            if block.height > room and pages[-1]:
                pages.append([] if block.under is None else [block.under])
                room = whole - sum(each.height for each in pages[-1])
            pages[-1].append(block)
            room -= block.height
        return pages

    # ------------------------------------------------------------ the frame

    def _head(self) -> float:
        self.pen.write(self.left, self.top - 13, self.sheet.title, 15, font=BOLD)
        for at, line in enumerate(self.sheet.supplier[:2]):
            self.pen.write(
                self.right, self.top - 8 - at * 10, line, 8.5 if at else 9.5, font=PLAIN if at else BOLD, align=1
            )
        self._rule(self.top - 24, 1.2)
        return self.top - 34

    def _foot(self, number: int, count: int) -> None:
        self._rule(FOOT - 8, 0.5)
        lines = self.pen.lines(self.sheet.foot, self.width - 60, 7)
        if self.pen.lacking:
            lines.append(LACKING)
        for at, line in enumerate(lines[:3]):
            self.pen.write(self.left, FOOT - 18 - at * 8.5, line, 7, colour=GREY)
        self.pen.write(self.right, FOOT - 18, f"Page {number} of {count}", 7.5, font=BOLD, align=1)

    def _rule(self, y: float, weight: float) -> None:
        self.canvas.setStrokeColorRGB(*BLACK)
        self.canvas.setLineWidth(weight)
        self.canvas.line(self.left, y, self.right, y)

    # ------------------------------------------------------------ the blocks

    def _banner(self, banner: Banner) -> Block:
        lines = self.pen.lines(banner.text, self.width - 20, 9)
        height = 22 + 11.5 * len(lines)

        def paint(y: float) -> None:
            self.canvas.setStrokeColorRGB(*BLACK)
            self.canvas.setLineWidth(2)
            self.canvas.rect(self.left + 1, y - height + 6, self.width - 2, height - 4, stroke=1, fill=0)
            self.pen.write(self.left + 10, y - 11, banner.headline, 11.5, font=BOLD)
            for at, line in enumerate(lines):
                self.pen.write(self.left + 10, y - 23.5 - at * 11.5, line, 9)

        return Block(height + 6, paint)

    def _people(self) -> Block:
        half = self.width * 0.6
        names = self.pen.lines(self.sheet.patient, half - 10, 14, BOLD)
        what, recipients = self.sheet.recipient
        to = [part for line in recipients for part in self.pen.lines(line, self.width - half, 9.5)]
        facts = self._flowing(self.sheet.patient_facts, half - 10)
        height = max(14 + 17.0 * len(names) + 13 * len(facts), 14 + 12.0 * len(to)) + 6

        def paint(y: float) -> None:
            self.pen.write(self.left, y - 6, "Patient", 7.5, colour=GREY)
            self.pen.write(self.left + half, y - 6, what, 7.5, colour=GREY)
            for at, name in enumerate(names):
                self.pen.write(self.left, y - 22 - at * 17, name, 14, font=BOLD)
            for at, together in enumerate(facts):
                x = self.left
                for label, value in together:
                    x += self.pen.write(x, y - 22 - len(names) * 17 + 2 - at * 13, f"{label} ", 9.5, colour=GREY)
                    x += self.pen.write(x, y - 22 - len(names) * 17 + 2 - at * 13, value, 9.5) + 14
            for at, line in enumerate(to):
                self.pen.write(self.left + half, y - 20 - at * 12, line, 9.5)
            self._rule(y - height + 1, 0.5)

        return Block(height + 6, paint)

    def _flowing(self, facts: Sequence[Fact], width: float) -> list[list[Fact]]:
        """As many facts to a line as fit."""
        lines: list[list[Fact]] = []
        used = width
        for label, value in facts:
            needed = self.pen.width(f"{label} {value}", 9.5) + 14
            if used + needed > width:
                lines.append([])
                used = 0.0
            lines[-1].append((label, value))
            used += needed
        return lines

    def _result(self) -> Block:
        headline, third = self.sheet.headline, self.width * 0.4 if self.sheet.headline else 0.0
        wide = self.width - third - 78
        rows = [(label, self.pen.lines(value, wide, 9)) for label, value in self.sheet.facts]
        notes = self.pen.lines(headline.note, third - 14, 8.5) if headline and headline.note else []
        table = sum(12.0 * len(lines) + 1 for _, lines in rows)
        height = max(table + 4, (84 + 10.5 * len(notes)) if headline else 0.0) + 4

        def paint(y: float) -> None:
            if headline is not None:
                self._headline(headline, notes, y)
            below = y - 8
            for label, lines in rows:
                self.pen.write(self.left + third, below, label, 8.5, colour=GREY)
                for at, line in enumerate(lines):
                    self.pen.write(self.left + third + 78, below - at * 12, line, 9)
                below -= 12.0 * len(lines) + 1

        return Block(height, paint)

    def _headline(self, headline: Headline, notes: Sequence[str], y: float) -> None:
        self.pen.write(self.left, y - 8, headline.label, 9, colour=GREY)
        size = 38.0
        while self.pen.width(headline.value, size, BOLD) > self.width * 0.38 and size > 10:
            size -= 1
        width = self.pen.write(self.left, y - 44, headline.value, size, font=BOLD)
        if headline.struck:
            self.canvas.setStrokeColorRGB(*BLACK)
            self.canvas.setLineWidth(2.5)
            self.canvas.line(self.left - 2, y - 44 + size * 0.3, self.left + width + 2, y - 44 + size * 0.3)
        if headline.verdict:
            critical = headline.mark is Mark.CRITICAL
            broad = self.pen.width(headline.verdict, 11, BOLD) + 14
            self.canvas.setFillColorRGB(*(BLACK if critical else WHITE))
            self.canvas.setStrokeColorRGB(*BLACK)
            self.canvas.setLineWidth(1.6 if headline.mark is Mark.OUT else 0.7)
            self.canvas.rect(self.left, y - 73, broad, 18, stroke=1, fill=1)
            font = BOLD if headline.mark is not Mark.IN else PLAIN
            self.pen.write(
                self.left + 7, y - 68, headline.verdict, 11, font=font, colour=WHITE if critical else BLACK
            )
        for at, line in enumerate(notes):
            self.pen.write(self.left, y - (86 if headline.verdict else 62) - at * 10.5, line, 8.5)

    def _trend(self) -> Block:
        trend = self.sheet.trend
        assert trend is not None
        return Block(
            PICTURE + 6, lambda y: picture.draw(self.pen, trend, self.left, y - PICTURE, self.width, PICTURE)
        )

    def _tiles(self, tiles: Sequence[Tile]) -> Block:
        each = self.width / len(tiles)
        notes = [self.pen.lines(tile.note, each - 16, 7.5) for tile in tiles]
        height = 40 + 9.0 * max(len(lines) for lines in notes)

        def paint(y: float) -> None:
            self.canvas.setStrokeColorRGB(0.6, 0.6, 0.6)
            self.canvas.setLineWidth(0.6)
            self.canvas.rect(self.left, y - height + 4, self.width, height - 4, stroke=1, fill=0)
            for at, (tile, lines) in enumerate(zip(tiles, notes, strict=True)):
                x = self.left + at * each + 8
                if at:
                    self.canvas.line(x - 8, y, x - 8, y - height + 4)
                self.pen.write(x, y - 11, tile.label, 7.5, colour=GREY)
                self.pen.write(x, y - 27, tile.value, 14, font=BOLD)
                for line_at, line in enumerate(lines):
                    self.pen.write(x, y - 37 - line_at * 9, line, 7.5, colour=GREY)

        return Block(height + 8, paint)

    def _table(self) -> list[Block]:
        sheet = self.sheet
        starts = [self.left]
        for _, share in sheet.columns[:-1]:
            starts.append(starts[-1] + share * self.width)
        head = Block(15 + ROW, lambda y: self._table_head(starts, y))
        blocks = [head]
        for mark, row in zip(sheet.marks, sheet.rows, strict=True):
            widths = [share * self.width - 6 for _, share in sheet.columns]
            font = PLAIN if mark in (Mark.IN, Mark.NONE) else BOLD
            cells = [self.pen.lines(cell, width, 8.5, font) for cell, width in zip(row, widths, strict=True)]
            blocks.append(self._table_row(starts, cells, font)._replace(under=head))
        return blocks

    def _table_head(self, starts: Sequence[float], y: float) -> None:
        self.pen.write(self.left, y - 10, self.sheet.table_title, 10, font=BOLD)
        if not self.sheet.rows:
            return
        for x, (name, _) in zip(starts, self.sheet.columns, strict=True):
            self.pen.write(x, y - 23, name, 7.5, colour=GREY)
        self._rule(y - 26.5, 0.6)

    def _table_row(self, starts: Sequence[float], cells: Sequence[Sequence[str]], font: str) -> Block:
        height = ROW + 10.0 * (max(len(lines) for lines in cells) - 1)

        def paint(y: float) -> None:
            for x, lines in zip(starts, cells, strict=True):
                for at, line in enumerate(lines):
                    self.pen.write(x, y - 9 - at * 10, line, 8.5, font=font)
            self.canvas.setStrokeColorRGB(0.8, 0.8, 0.8)
            self.canvas.setLineWidth(0.3)
            self.canvas.line(self.left, y - height + 0.5, self.right, y - height + 0.5)

        return Block(height, paint)
