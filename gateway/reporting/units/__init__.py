"""The tally of home INR tests toward units of service: a pure core that reads no clock, file or socket.

One door: `tally`; for a policy that changed, `tally_versions`. What goes in and comes out is in `model`; refusals
are in `errors`; policies and diagnosis tables are built from mappings that the caller has read (`policies`,
`diagnosis_table`).
"""

from gateway.reporting.units.claims import check_claimed, claim
from gateway.reporting.units.diagnoses import DiagnosisTable, diagnosis_table
from gateway.reporting.units.errors import UnitsError
from gateway.reporting.units.explain import explain
from gateway.reporting.units.model import (
    ClaimedUnit,
    EarlyReason,
    Enrollment,
    Event,
    NextEligible,
    NotCovered,
    Order,
    Statement,
    Step,
    Test,
    Therapy,
    Unit,
    ZoneChange,
)
from gateway.reporting.units.policy import Policy, choose, policies, with_options
from gateway.reporting.units.tally import tally
from gateway.reporting.units.versions import earlier_versions, tally_versions

__all__ = [
    "ClaimedUnit",
    "DiagnosisTable",
    "EarlyReason",
    "Enrollment",
    "Event",
    "NextEligible",
    "NotCovered",
    "Order",
    "Policy",
    "Statement",
    "Step",
    "Test",
    "Therapy",
    "Unit",
    "UnitsError",
    "ZoneChange",
    "check_claimed",
    "choose",
    "claim",
    "diagnosis_table",
    "earlier_versions",
    "explain",
    "policies",
    "tally",
    "tally_versions",
    "with_options",
]
