"""Drawing text of any script on a page: which font has which letter, how wide it is, where a line breaks.

The letters come from DejaVu Sans Condensed, which travels with this package and is embedded, so that a sheet looks
the same everywhere: Latin with all its accents (Vietnamese too), Greek, Cyrillic, Armenian, Georgian, Hebrew and
Arabic. It has no Chinese, Japanese, Korean or Thai: name a TrueType font that has, and it is used for what is
lacking. A letter that no font has stands as its Unicode number, such as U+4E2D.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

from gateway.reporting.channels.document.letters import formed, shown

__all__ = ["BLACK", "BOLD", "GREY", "PLAIN", "FontError", "Pen", "drawable", "register"]

PLAIN: Final = "DejaVuSansCondensed"
BOLD: Final = "DejaVuSansCondensed-Bold"
BLACK: Final = (0.0, 0.0, 0.0)
GREY: Final = (0.38, 0.38, 0.38)
Colour = tuple[float, float, float]


class FontError(ValueError):
    """A font that the settings name cannot be used; the message names the file."""


class Pen:
    """Writes on the pages of one document.

    Attributes:
        canvas: the library's page.
        lacking: whether a letter had to be written as its number.
    """

    def __init__(self, canvas: Any, more_fonts: Sequence[str] = ()) -> None:
        """Args: more_fonts: names that `register` gave."""
        self.canvas = canvas
        self.lacking = False
        self._more = more_fonts
        self._measured: dict[tuple[str, str], list[_Run]] = {}

    def width(self, text: str, size: float, font: str = PLAIN) -> float:
        """Of a line, in points."""
        return size * sum(width for _, _, width in self._runs(text, font))

    def write(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        font: str = PLAIN,
        colour: Colour = BLACK,
        align: float = 0.0,
    ) -> float:
        """Write one line and return its width. `align` is the part of it left of `x`: 0, 0.5, or 1."""
        runs = self._runs(text, font)
        width = size * sum(each for _, _, each in runs)
        at = x - align * width
        self.canvas.setFillColorRGB(*colour)
        for name, run, each in runs:
            self.canvas.setFont(name, size)
            self.canvas.drawString(at, y, run)
            at += size * each
        return width

    def lines(self, text: str, width: float, size: float, font: str = PLAIN) -> list[str]:
        """Break a text at blanks, and a word that is wider than the line within itself."""
        words = text.split()
        whole = " ".join(words)
        if self.width(whole, size, font) <= width:
            return [whole]
        found: list[str] = []
        line = ""
        for word in words:
            tried = f"{line} {word}" if line else word
            if self.width(tried, size, font) <= width:
                line = tried
                continue
            if line:
                found.append(line)
            while self.width(word, size, font) > width and len(word) > 1:
                fits = len(word) - 1
                while fits > 1 and self.width(word[:fits], size, font) > width:
                    fits -= 1
                found.append(word[:fits])
                word = word[fits:]
            line = word
        return [*found, line] if line or not found else found

    def _runs(self, text: str, font: str) -> list[_Run]:
        """Stretches of one font, as they are drawn."""
        known = self._measured.get((text, font))
        if known is None:
            known = self._measured[text, font] = list(self._parted(shown(text), font))
        return known

    def _parted(self, text: str, font: str) -> Iterator[_Run]:
        if _letters(font).issuperset(text):
            if text:
                yield _run(font, text)
            return
        current, run = font, ""
        for sign in text:
            name, drawn = self._font_of(sign, font)
            if name != current and run:
                yield _run(current, run)
                run = ""
            current, run = name, run + drawn
        if run:
            yield _run(current, run)

    def _font_of(self, sign: str, font: str) -> tuple[str, str]:
        for name in (font, *self._more):
            if sign in _letters(name):
                return name, sign
        self.lacking = True
        return font, _number(sign)


def drawable(text: str, font: str = PLAIN) -> str:
    """The text glyph by glyph from left to right, in letters of one font; another letter as its number."""
    letters = _letters(font)
    return "".join(sign if sign in letters else _number(sign) for sign in shown(text))


def _number(sign: str) -> str:
    return f"[U+{ord(sign):04X}]"


_Run = tuple[str, str, float]
"""Font, text, and its width at a size of one point."""


def _run(font: str, text: str) -> _Run:
    return font, text, float(_font(font).stringWidth(text, 1))


def register(more_fonts: Sequence[Path] = ()) -> list[str]:
    """Make the fonts known to the library; returns the names of `more_fonts`.

    Raises:
        FontError: one of them is no usable TrueType font.
    """
    own = files("gateway.reporting.channels.document") / "fonts"
    for name in (PLAIN, BOLD):
        with as_file(own / f"{name}.ttf") as path:
            _register(name, path)
    return [_register(f"more:{path}", path) for path in more_fonts]


def _font(name: str) -> Any:
    from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]  # publishes no types

    return pdfmetrics.getFont(name)


@cache
def _letters(font: str) -> frozenset[str]:
    """The letters that a font has and that may be drawn one by one."""
    return frozenset(sign for sign in map(chr, _font(font).face.charToGlyph) if formed(sign))


def _register(name: str, path: Path) -> str:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFError, TTFont  # type: ignore[import-untyped]  # publishes no types

    if name not in pdfmetrics.getRegisteredFontNames():
        try:
            pdfmetrics.registerFont(TTFont(name, str(path)))
        except (TTFError, OSError) as error:
            raise FontError(f"{path}: no TrueType font that can be used ({error})") from None
    return name
