"""How a particular meter uses POCT1-A2 where the standard leaves a choice, or where meters stray from it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from simulators.part import Part, Text

__all__ = ["COAGUCHEK", "DIALECTS", "PT2", "Code", "Dialect"]


class Code(Part):
    """How one quantity is named: attributes of OBS.observation_id, and the unit of OBS.value."""

    code: Text
    display: Text = ""
    system: Text = ""
    unit: Text = ""


class Dialect(Part):
    """One way to speak.

    Attributes:
        inr, pt_seconds, quick_percent: their names; None: the meter does not send it.
        packed_vendor: DEV.vendor_id holds vendor, model and name with ``&`` between, and there is no DEV.model_id.
        services_per_message: so many tests (SVC) in one OBS document at most.
        controls: ``R02`` sends them as OBS.R02, ``R01`` as OBS.R01 with role LQC.
        errors: a failed test has 0 as INR and PT, or no value with NULL="NI", or SVC.status_cd ERR.
        beyond: a reading off the range is written ``>8.0``, or 8.0 with interpretation ``>``, or no value with HI.
        utc_offset: after times: nothing, the truth, or always the same, like ``-05:00``.
        sequence: whether SVC.sequence_nbr is filled or empty.
        reference: by which field of an ACK the meter knows what is meant; ``none``: it takes it for the last one.
        wrapped: documents stand between VT and FS CR.
        declaration: documents begin with an XML declaration.
        line_end: between elements.
        blank_after_equals: attributes are written ``V= "..."``.
        hangs_up: after EOT was acknowledged the meter closes instead of waiting for END.
        sent_once: a test that was accepted is never offered again.
        application_timeout_s: how long the meter waits for an answer.
        tries: how often a document is sent before the meter gives up.
        directives: what it says it can: START_CONTINUOUS, SET_TIME.
        keep_alive_s: in continuous mode, between two KPA.
    """

    inr: Code
    pt_seconds: Code | None = None
    quick_percent: Code | None = None
    packed_vendor: bool = False
    services_per_message: Annotated[int, Field(ge=1)] = 1
    controls: Literal["R01", "R02"] = "R02"
    errors: Literal["zero", "null", "status"] = "null"
    beyond: Literal["text", "interpretation", "status"] = "text"
    utc_offset: Annotated[str, Field(pattern=r"^(none|true|[+-]\d\d:\d\d)$")] = "none"
    sequence: Literal["number", "empty"] = "number"
    reference: Literal["ack_control_id", "control_id", "none"] = "ack_control_id"
    wrapped: bool = False
    declaration: bool = False
    line_end: Literal["", "\n", "\r\n"] = "\n"
    blank_after_equals: bool = False
    hangs_up: bool = False
    sent_once: bool = True
    application_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    tries: Annotated[int, Field(ge=1)] = 2
    directives: tuple[Text, ...] = ()
    keep_alive_s: Annotated[float, Field(gt=0)] = 30.0


PT2: Final = Dialect(
    inr=Code(code="34714-6", display="INR", system="LN"),
    pt_seconds=Code(code="5902-2", display="PT", system="LN", unit="s"),
    services_per_message=5,
    errors="zero",
    beyond="status",
    reference="none",
    hangs_up=True,
)
"""Like a Coag-Sense PT2, as far as public hosts show it: LOINC codes, several services in a document, zeros for
errors, acknowledgements without reference. What stands beyond the range is a guess."""
COAGUCHEK: Final = Dialect(
    inr=Code(code="INR", display="INR", system="ROCHE"),
    pt_seconds=Code(code="SEC", display="SEC", system="ROCHE", unit="s"),
    quick_percent=Code(code="%Q", display="%Q", system="ROCHE", unit="%"),
    packed_vendor=True,
    controls="R01",
    beyond="text",
    utc_offset="+00:00",
    sequence="empty",
    declaration=True,
    line_end="\r\n",
    blank_after_equals=True,
    directives=("SET_TIME", "START_CONTINUOUS"),
)
"""Like a CoaguChek XS Plus, as far as public hosts show it: packed vendor, QC role in OBS.R01, empty sequence
numbers, a zone that is always +00:00. The observation codes are a guess."""
DIALECTS: Final = {"pt2": PT2, "coaguchek": COAGUCHEK}
