"""Who may bill which code (rules R32, R34)."""

from __future__ import annotations

from typing import Literal

from gateway.reporting.units.model import Code

BillerKind = Literal["idtf", "physician", "hospital"]
"""Independent diagnostic testing facility, physician's practice, hospital clinic."""


def obstacle(kind: BillerKind | None, code: Code) -> str:
    """Why a biller of this kind cannot bill `code`, in words; empty where nothing is known against it.

    G0249 may be billed by all three (R34). None: nobody has said what kind of biller it is.
    """
    if kind == "idtf" and code == "G0250":
        return (
            "an independent diagnostic testing facility (IDTF) cannot bill G0250, the physician's side (rule R32, "
            "PARA 2023); the practice that reviewed the tests bills it"
        )
    return ""


def doubt(kind: BillerKind | None, code: Code) -> str:
    """What a person should make sure of before `code` is billed while nobody has said the biller's kind; or ''."""
    if kind is None and code == "G0250":
        return (
            "an independent diagnostic testing facility (IDTF) cannot bill G0250 (rule R32): say in server.toml "
            "what kind of biller this is, [delivery.supplier] kind"
        )
    return ""
