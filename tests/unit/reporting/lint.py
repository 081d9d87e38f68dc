"""A second judge of our ORU^R01 messages, for what hl7apy's strict validation lets pass.

Written from HL7 v2.5.1: the ORU_R01 structure (7.3.1), OBX (7.4.2), tables 0078, 0085, 0103, 0123 and 0125, and the
escape sequences of 2.7; for version 2.6 from IHE PCD TF-2 (PCD-01; appendix A: OBX-4; appendix C: EI, HD, CX, XPN).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

ORDER = {
    "2.5.1": re.compile(r"MSH PID ORC OBR( OBX( NTE)*)+$"),
    "2.6": re.compile(r"MSH PID OBR( OBX( NTE)*)+$"),
}
ABNORMAL_FLAGS = {"L", "H", "LL", "HH", "<", ">", "N", "A", "AA", "U", "D", "B", "W", "S", "R", "I", "MS", "VS"}
OBSERVATION_STATUS = set("CDFINOPRSUWX")
ORDER_STATUS = set("OISAPCRFXYZ")
PROCESSING = {"P", "T", "D"}
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?$")
STRUCTURED = re.compile(r"(<|>|<=|>=|=|<>)?\^[+-]?\d+(\.\d+)?$")
INSTANT = re.compile(r"\d{14}(\.\d{1,4})?[+-]\d{4}$")
CODED = re.compile(r"[^^&~|]+\^[^^&~|]+\^[^^&~|]+$")
SEQUENCE = re.compile(r"\\([FSTRE]|X([0-9A-F]{2})+)\\")
VALUE_TYPES = {"NM": NUMBER, "SN": STRUCTURED, "ST": re.compile(r"[^^&~|]+$"), "CWE": CODED, "": re.compile("$")}
PLACE = re.compile(r"\d+(\.\d+){0,5}$")
UNIVERSAL = {"ISO": re.compile(r"[0-2](\.(0|[1-9]\d*))+$"), "EUI-64": re.compile(r"[0-9A-F]{16}$")}


def fields(segment: str) -> list[str]:
    """Fields by HL7 number: `fields(obx)[5]` is OBX-5; MSH-1 is the separator itself."""
    parts = segment.split("|")
    return [parts[0], "|", *parts[1:]] if parts[0] == "MSH" else parts


def segments(octets: bytes) -> list[list[str]]:
    text = octets.decode("utf-8")
    return [fields(segment) for segment in text.removesuffix("\r").split("\r")]


def unescape(text: str) -> str:
    names = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}
    return SEQUENCE.sub(
        lambda found: names.get(found[1]) or bytes.fromhex(found[1][1:]).decode("utf-8"),
        text,
    )


def lint(octets: bytes) -> list[str]:
    """What is wrong with a message; empty when nothing is."""
    if not octets.endswith(b"\r"):
        return ["the last segment has no end"]
    rows = [row + [""] * (30 - len(row)) for row in segments(octets)]
    version = rows[0][12]
    if version not in ORDER:
        return [f"MSH-12 {version}"]
    found = _header(rows[0], octets.isascii())
    names = " ".join(row[0] for row in rows)
    if not ORDER[version].match(names):
        found.append(f"segments: {names}")
    numbers = {"OBX": 0, "NTE": 0}
    for row in rows:
        name = row[0]
        if name in numbers:
            numbers[name] += 1
            if row[1] != str(numbers[name]):
                found.append(f"{name}-1 {row[1]}")
        if name == "OBX":
            found += _observation(row)
        elif name == "OBR":
            found += [f"OBR-7 {row[7]}"] if not INSTANT.match(row[7]) else []
        for field in row[3:] if name == "MSH" else row:
            if "\\" in SEQUENCE.sub("", field):
                found.append(f"{name}: a bare escape character")
            if any(ord(character) < 0x20 for character in field):
                found.append(f"{name}: a control character")
    return found + (_laboratory(rows) if version == "2.5.1" else _device(rows))


def _header(header: list[str], is_ascii: bool) -> list[str]:
    found = []
    if header[9] != "ORU^R01^ORU_R01":
        found.append(f"MSH-9 {header[9]}")
    if not re.match(r"[\x21-\x7e]{1,20}$", header[10]):
        found.append(f"MSH-10 {header[10]}")
    if header[11] not in PROCESSING:
        found.append(f"MSH-11 {header[11]}")
    if header[18] != ("" if is_ascii else "UNICODE UTF-8"):
        found.append(f"MSH-18 {header[18]!r}")
    if not INSTANT.match(header[7]):
        found.append(f"MSH-7 {header[7]}")
    return found


def _observation(row: list[str]) -> list[str]:
    found = []
    if row[2] not in VALUE_TYPES or not VALUE_TYPES[row[2]].match(row[5]):
        found.append(f"OBX-5 {row[5]} of type {row[2]}")
    if not CODED.match("^".join(row[3].split("^")[:3])):
        found.append(f"OBX-3 {row[3]}")
    if row[11] not in OBSERVATION_STATUS:
        found.append(f"OBX-11 {row[11]}")
    if row[14] and not INSTANT.match(row[14]):
        found.append(f"OBX-14 {row[14]}")
    return found + [f"OBX-8 {flag}" for flag in row[8].split("~") if flag and flag not in ABNORMAL_FLAGS]


def _laboratory(rows: list[list[str]]) -> list[str]:
    """What a laboratory report of ours has beyond that: original mode, and instants everywhere."""
    header = rows[0]
    found = ["MSH-15 or MSH-16 asks for enhanced acknowledgement"] if header[15] or header[16] else []
    for row in rows:
        if row[0] == "OBR":
            found += [f"OBR-22 {row[22]}"] if not INSTANT.match(row[22]) else []
            found += [f"OBR-25 {row[25]}"] if row[25] not in ORDER_STATUS else []
        if row[0] == "OBX":
            found += [f"OBX-{number} {row[number]}" for number in (14, 19) if not INSTANT.match(row[number])]
    return found


def _device(rows: list[list[str]]) -> list[str]:
    """What IHE PCD-01 wants beyond that."""
    header, patient = rows[0], rows[1]
    found = [] if (header[15], header[16]) == ("NE", "AL") else [f"MSH-15, MSH-16 {header[15]}, {header[16]}"]
    identifiers = [("MSH-21", header[21])]
    parts = header[3].split("^")
    if not (parts[0] or len(parts) == 3) or (len(parts) == 3 and not _universal(parts[1], parts[2])):
        found.append(f"MSH-3 {header[3]}")
    who = patient[3].split("^")
    if len(who) < 5 or not (who[0] and who[3] and who[4]):
        found.append(f"PID-3 {patient[3]}")
    if len(patient[5].split("^")) < 7 or not patient[5].split("^")[6]:
        found.append(f"PID-5 {patient[5]}")
    places = []
    for row in rows:
        if row[0] == "OBR":
            identifiers += [("OBR-2", row[2]), ("OBR-3", row[3])]
            found += [] if row[3] and CODED.match(row[4]) else [f"OBR-3, OBR-4 {row[3]}, {row[4]}"]
        elif row[0] == "OBX":
            places.append(row[4])
            identifiers.append(("OBX-18", row[18]))
            found += _of_a_device(row)
    if len(set(places)) < len(places):
        found.append(f"OBX-4 twice: {places}")
    if not any(row[0] == "OBX" and row[4] == "1" and row[11] == "X" for row in rows):
        found.append("no row of the device itself")
    return found + [f"{name} {value}" for name, value in identifiers if value and not _identifies(value)]


def _of_a_device(row: list[str]) -> list[str]:
    found = []
    if not PLACE.match(row[4]):
        found.append(f"OBX-4 {row[4]}")
    if not row[3].endswith("^MDC"):
        found.append(f"OBX-3 {row[3]}")
    if row[2] in ("NM", "SN") and not (CODED.match(row[6]) and row[6].endswith("^MDC") and row[14]):
        found.append(f"OBX-6, OBX-14 {row[6]}, {row[14]}")
    if (row[2] == "") != (row[11] == "X"):
        found.append(f"OBX-11 {row[11]} of type {row[2]!r}")
    return found


def _identifies(identifier: str) -> bool:
    """EI: the first, and the second or both third and fourth."""
    first, second, third, fourth = [*identifier.split("^"), "", "", ""][:4]
    return bool(first and (second or (third and fourth))) and (not third or _universal(third, fourth))


def _universal(name: str, kind: str) -> bool:
    return kind not in UNIVERSAL or bool(UNIVERSAL[kind].match(name))


def strict(octets: bytes) -> Any:
    """The message as hl7apy has it; raises what hl7apy says against it."""
    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.parser import parse_message

    message = parse_message(octets.decode(), validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
    assert message.validate()
    return message


@lru_cache(maxsize=1024)  # hl7apy takes about a hundred milliseconds for a message
def judges(octets: bytes) -> tuple[str, ...]:
    """What either judge has against a message."""
    from hl7apy.exceptions import HL7apyException

    found = lint(octets)
    try:
        strict(octets)
    except (HL7apyException, ValueError) as error:
        found.append(f"hl7apy: {type(error).__name__}: {error}")
    return tuple(found)
