"""Letters of any script in the order and shape in which paper shows them.

A PDF library draws glyph after glyph from left to right. Hebrew and Arabic stand in memory in reading order, so
they must be turned round, and an Arabic letter must be chosen by its neighbours. Names are short and of one
direction, which is all that is done here of the Unicode Bidirectional Algorithm (UAX 9): runs of right-to-left
letters within a left-to-right line, with numbers kept as they are. Shapes are the presentation forms that Unicode
itself lists (chapter 9.2, blocks FB50 to FDFF and FE70 to FEFF). Scripts whose letters are formed by more than that
(those of India, Khmer and others) are not drawn: `formed` says which.
"""

from __future__ import annotations

import unicodedata
from functools import cache

__all__ = ["formed", "shown"]

LAM = "\u0644"
TATWEEL = "\u0640"
MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")
CLOSING = {")": "(", "]": "[", "}": "{", ">": "<", "»": "«"}
# Scripts whose letters change place or shape in ways that a list of forms cannot give: Devanagari to Sinhala,
# Tibetan, Myanmar, Khmer. Thai and Lao only stack marks, which their fonts draw in place.
UNFORMED = ((0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x17FF))


def shown(text: str) -> str:
    r"""The text glyph by glyph from left to right; control characters become blanks.

    >>> shown("Levi (\u05dc\u05d5\u05d9)") == "Levi (\u05d9\u05d5\u05dc)"
    True
    """
    text = "".join(sign if sign.isprintable() else " " for sign in unicodedata.normalize("NFC", text))
    if not any(_leftward(sign) for sign in text):
        return text
    return _ordered(_joined(text))


def formed(sign: str) -> bool:
    """Whether a letter may be drawn by its own glyph."""
    return not any(first <= ord(sign) <= last for first, last in UNFORMED)


def _leftward(sign: str) -> bool:
    return unicodedata.bidirectional(sign) in ("R", "AL")


def _ordered(text: str) -> str:
    """Each run from one right-to-left letter to the last before other letters, turned round."""
    clusters: list[str] = []
    for sign in text:
        if clusters and unicodedata.combining(sign):
            clusters[-1] += sign  # a mark stays behind the letter that carries it
        else:
            clusters.append(sign)
    kinds = [_kind(cluster[0]) for cluster in clusters]
    line: list[str] = []
    at = 0
    while at < len(clusters):
        if kinds[at] != "R":
            line.append(clusters[at])
            at += 1
            continue
        end = last = at
        while end < len(clusters) and kinds[end] != "L":
            if kinds[end] == "R" or (clusters[end] in CLOSING and CLOSING[clusters[end]] in clusters[at:end]):
                last = end
            end += 1
        line += _turned(clusters[at : last + 1], kinds[at : last + 1])
        at = last + 1
    return "".join(line)


def _kind(sign: str) -> str:
    """``R``, ``L``, ``N`` a digit, or ``O`` other."""
    direction = unicodedata.bidirectional(sign)
    if direction in ("R", "AL"):
        return "R"
    if direction in ("EN", "AN"):
        return "N"
    return "L" if direction == "L" else "O"


def _turned(clusters: list[str], kinds: list[str]) -> list[str]:
    turned: list[str] = []
    number: list[str] = []
    for cluster, kind in zip(reversed(clusters), reversed(kinds), strict=True):
        if kind == "N":
            number.insert(0, cluster)
            continue
        turned += number
        number = []
        turned.append(cluster.translate(MIRRORED))
    return turned + number


@cache
def _forms() -> dict[str, dict[str, str]]:
    """Of each Arabic letter, and of lam with alef: its forms by name, out of Unicode's decompositions."""
    forms: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFC00), *range(0xFE80, 0xFEFD)):
        kind, *letters = unicodedata.decomposition(chr(code)).split()[:4] or [""]
        if kind in ("<isolated>", "<final>", "<initial>", "<medial>") and letters:
            plain = "".join(chr(int(letter, 16)) for letter in letters)
            forms.setdefault(plain, {}).setdefault(kind[1:-1], chr(code))
    return forms


def _joined(text: str) -> str:
    """Every Arabic letter in the form that its neighbours ask for; lam with alef becomes one sign."""
    forms = _forms()
    signs: list[str] = []
    for sign in text:
        if signs and signs[-1] == LAM and LAM + sign in forms:
            signs[-1] += sign
        else:
            signs.append(sign)

    def ties_on(at: int, step: int) -> bool:
        """Whether the next letter in that direction reaches out to this one; marks do not count."""
        at += step
        while 0 <= at < len(signs) and unicodedata.combining(signs[at][0]):
            at += step
        if not 0 <= at < len(signs):
            return False
        if signs[at] == TATWEEL:
            return True
        return ("initial" if step < 0 else "final") in forms.get(signs[at], {})

    drawn = []
    for at, sign in enumerate(signs):
        of = forms.get(sign, {})
        before = "final" in of and ties_on(at, -1)
        after = "initial" in of and ties_on(at, 1)
        name = {(True, True): "medial", (True, False): "final", (False, True): "initial"}.get((before, after))
        drawn.append(of.get(name or "isolated", of.get("isolated", sign)))
    return "".join(drawn)
