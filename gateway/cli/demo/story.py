"""The demo's patient, who does not exist, and the fixed day on which the story is told."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

__all__ = ["NOW", "PATIENT", "TODAY", "registry"]

TODAY = date(2026, 3, 14)
"""A Saturday; the clocks went forward on the Sunday before, so the five weeks cross a change of the clocks."""
NOW = datetime(2026, 3, 14, 12, 0, tzinfo=ZoneInfo("America/New_York"))
PATIENT = "P-1"


def registry(mllp_port: int, hub: str) -> str:
    """Everybody and everything the server must know, as a file for ``inr-gateway registry import``."""
    return f"""\
[[providers]]
id = "clinic"
name = "Riverside Anticoagulation Clinic"

[[destinations]]
id = "clinic-ehr"
provider = "clinic"
channel = "hl7v2"
address = "mllp://127.0.0.1:{mllp_port}"
application = "EHR"
facility = "RIVERSIDE"

[[patients]]
id = "{PATIENT}"
family_name = "Example"
given_name = "Robin"
birth_date = 1948-03-18
sex = "F"

[[zones]]
patient = "{PATIENT}"
from_date = 2025-01-01
zone = "America/New_York"

[[hubs]]
id = "{hub}"
kind = "rig"

[[meters]]
vendor = "ACME"
serial = "SN000123"
model = "HomeINR"

[[assignments]]
vendor = "ACME"
serial = "SN000123"
patient = "{PATIENT}"
from = 2025-12-01

[[treatments]]
patient = "{PATIENT}"
provider = "clinic"
provider_patient_id = "MRN-0042"
from = 2025-01-01

[[enrollments]]
patient = "{PATIENT}"
payer = "medicare_ffs"
mac = "noridian"
diagnosis = "I48.20 Z79.01"
warfarin_start = 2025-06-01
training_date = 2025-12-01
training_documented = true
order_signed_on = 2025-11-20
"""
