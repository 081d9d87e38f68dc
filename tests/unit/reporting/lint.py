"""A second judge of our ORU^R01 messages, for what hl7apy's strict validation lets pass.

Written from HL7 v2.5.1: the ORU_R01 structure (7.3.1), OBX (7.4.2), tables 0078, 0085, 0103, 0123 and 0125, and the
escape sequences of 2.7.
"""

from __future__ import annotations

import re

ORDER = re.compile(r"MSH PID ORC OBR( OBX( NTE)*)+$")
ABNORMAL_FLAGS = {"L", "H", "LL", "HH", "<", ">", "N", "A", "AA", "U", "D", "B", "W", "S", "R", "I", "MS", "VS"}
OBSERVATION_STATUS = set("CDFINOPRSUWX")
ORDER_STATUS = set("OISAPCRFXYZ")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?$")
STRUCTURED = re.compile(r"(<|>|<=|>=|=|<>)?\^[+-]?\d+(\.\d+)?$")
INSTANT = re.compile(r"\d{14}(\.\d{1,4})?[+-]\d{4}$")
SEQUENCE = re.compile(r"\\([FSTRE]|X([0-9A-F]{2})+)\\")
VALUE_TYPES = {"NM": NUMBER, "SN": STRUCTURED, "ST": re.compile(r"[^^&~|]+$")}


def fields(segment: str) -> list[str]:
    """Fields by HL7 number: `fields(obx)[5]` is OBX-5; MSH-1 is the separator itself."""
    parts = segment.split("|")
    return [parts[0], "|", *parts[1:]] if parts[0] == "MSH" else parts


def segments(octets: bytes) -> list[list[str]]:
    text = octets.decode("utf-8")
    assert text.endswith("\r"), "the last segment has no end"
    return [fields(segment) for segment in text[:-1].split("\r")]


def unescape(text: str) -> str:
    names = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}
    return SEQUENCE.sub(
        lambda found: names.get(found[1]) or bytes.fromhex(found[1][1:]).decode("utf-8"),
        text,
    )


def lint(octets: bytes) -> list[str]:
    """What is wrong with a message; empty when nothing is."""
    found: list[str] = []
    rows = segments(octets)
    if not ORDER.match(" ".join(row[0] for row in rows)):
        found.append("segments: " + " ".join(row[0] for row in rows))
    header = rows[0] + [""] * 20
    if header[9] != "ORU^R01^ORU_R01":
        found.append(f"MSH-9 {header[9]}")
    if not 1 <= len(header[10]) <= 20:
        found.append(f"MSH-10 {header[10]}")
    if header[11] not in {"P", "T", "D"}:
        found.append(f"MSH-11 {header[11]}")
    if header[15] or header[16]:
        found.append("MSH-15 or MSH-16 asks for enhanced acknowledgement")
    if octets.isascii() != (header[18] == ""):
        found.append(f"MSH-18 {header[18]!r}")
    instants = [("MSH-7", header[7])]
    numbers = {"OBX": 0, "NTE": 0}
    for row in rows:
        name = row[0]
        if name == "OBR":
            instants += [("OBR-7", row[7]), ("OBR-22", row[22])]
            if row[25] not in ORDER_STATUS:
                found.append(f"OBR-25 {row[25]}")
        if name in numbers:
            numbers[name] += 1
            if row[1] != str(numbers[name]):
                found.append(f"{name}-1 {row[1]}")
        if name == "OBX":
            instants += [("OBX-14", row[14]), ("OBX-19", row[19])]
            if row[2] not in VALUE_TYPES or not VALUE_TYPES[row[2]].match(row[5]):
                found.append(f"OBX-5 {row[5]} of type {row[2]}")
            if row[11] not in OBSERVATION_STATUS:
                found.append(f"OBX-11 {row[11]}")
            found += [f"OBX-8 {flag}" for flag in row[8].split("~") if flag and flag not in ABNORMAL_FLAGS]
        for field in row[3:] if name == "MSH" else row:
            if "\\" in SEQUENCE.sub("", field):
                found.append(f"{name}: a bare escape character")
            if any(ord(character) < 0x20 for character in field):
                found.append(f"{name}: a control character")
    found += [f"{name} {text}" for name, text in instants if not INSTANT.match(text)]
    return found
