"""Why a test does not count and why a unit is held: codes, plain words, who bears the cost, which rule says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Liability = Literal["none", "supplier", "patient"]
Reason = Literal[
    "DUPLICATE",
    "VOIDED",
    "SUPERSEDED",
    "CONTROL",
    "ERROR",
    "CLINIC_TEST",
    "FUTURE_DATED",
    "DIAGNOSIS_NOT_COVERED",
    "NOT_ON_WARFARIN",
    "TRAINING_NOT_DOCUMENTED",
    "BEFORE_TRAINING",
    "TRAINING_DAY",
    "WARFARIN_LT_3_MONTHS",
    "NO_ACTIVE_ORDER",
    "BEFORE_COVERAGE",
    "NOT_FFS",
    "AFTER_TERMINATION",
    "MANUAL_UNVERIFIED",
    "EXTRA_CLINICAL",
    "NOT_ACKNOWLEDGED",
    "NOT_REVIEWED",
    "REPORTED_TOO_LATE",
    "ACK_AFTER_END",
    "SAME_WEEK_NO_REASON",
    "NEXT_WEEK_USED",
    "EARLY_NOT_ALLOWED",
    "FOUR_IN_FOUR_WEEKS",
    "LT_7_DAYS",
]
Flag = Literal[
    "ACK_AFTER_END",
    "CLAIMED_TEST_INVALIDATED",
    "CORRECTED_RESULT",
    "EARLY_TEST",
    "FIVE_TAKEN_IN_FOUR_WEEKS",
    "LATE_REPORT",
    "LONG_SPAN",
    "MANUAL_ENTRY",
    "PERIOD_LT_28_DAYS_TERMINATION",
    "PORCINE_WITH_OTHER_INDICATION",
    "PROVISIONAL",
    "REASON_DOCUMENTED_LATE",
    "WITHIN_28_DAYS_OF_PREVIOUS_DOS",
]

WORDS: Final[Mapping[str, str]] = {
    "DUPLICATE": "the same test is already recorded",
    "VOIDED": "the result was withdrawn",
    "SUPERSEDED": "a correction has replaced the result",
    "CONTROL": "a quality-control run, not a patient's test",
    "ERROR": "the meter gave an error or no result",
    "CLINIC_TEST": "taken in a clinic, not by the patient at home",
    "FUTURE_DATED": "the test is dated after today or after its own report",
    "DIAGNOSIS_NOT_COVERED": "no covered diagnosis on the day of the test",
    "NOT_ON_WARFARIN": "the patient is not on warfarin",
    "TRAINING_NOT_DOCUMENTED": "no record of the training is on file",
    "BEFORE_TRAINING": "taken before the training",
    "TRAINING_DAY": "taken on the day of the training, which has its own code",
    "WARFARIN_LT_3_MONTHS": "less than three months on warfarin",
    "NO_ACTIVE_ORDER": "no signed order was in force on the day of the test",
    "BEFORE_COVERAGE": "taken before the coverage by this payer began",
    "NOT_FFS": "taken on or after the start of Medicare Advantage",
    "AFTER_TERMINATION": "taken after the service had ended",
    "MANUAL_UNVERIFIED": "entered by hand, and the policy does not accept it as it stands",
    "EXTRA_CLINICAL": "an additional test for a clinical reason",
    "NOT_ACKNOWLEDGED": "no evidence yet that the treating provider received it",
    "NOT_REVIEWED": "not yet reviewed by the physician",
    "REPORTED_TOO_LATE": "reported later than the policy's limit after the test",
    "ACK_AFTER_END": "received only after the last covered day",
    "SAME_WEEK_NO_REASON": "the second test of its week, without a reason in the record",
    "NEXT_WEEK_USED": "taken early for the next week, which already has its test",
    "EARLY_NOT_ALLOWED": "taken early, which the policy never allows",
    "FOUR_IN_FOUR_WEEKS": "it would be the fifth test within four weeks",
    "LT_7_DAYS": "less than seven days from another counted test",
}
"""Plain words for every `Reason`, to be read after 'does not count: '."""

RULES: Final[dict[Reason, str]] = {
    "DUPLICATE": "R20",
    "VOIDED": "R22",
    "SUPERSEDED": "R22",
    "CONTROL": "R19",
    "ERROR": "R19",
    "CLINIC_TEST": "R19",
    "FUTURE_DATED": "R3",
    "DIAGNOSIS_NOT_COVERED": "R26",
    "NOT_ON_WARFARIN": "R28",
    "TRAINING_NOT_DOCUMENTED": "R27",
    "BEFORE_TRAINING": "R27",
    "TRAINING_DAY": "R27",
    "WARFARIN_LT_3_MONTHS": "R28",
    "NO_ACTIVE_ORDER": "R29",
    "BEFORE_COVERAGE": "R37",
    "NOT_FFS": "R25",
    "AFTER_TERMINATION": "R25",
    "MANUAL_UNVERIFIED": "R21",
    "EXTRA_CLINICAL": "R11",
    "NOT_ACKNOWLEDGED": "R4",
    "NOT_REVIEWED": "R32",
    "REPORTED_TOO_LATE": "R18",
    "ACK_AFTER_END": "R25",
    "SAME_WEEK_NO_REASON": "R6",
    "NEXT_WEEK_USED": "R8",
    "EARLY_NOT_ALLOWED": "R8",
    "FOUR_IN_FOUR_WEEKS": "R9",
    "LT_7_DAYS": "R2b",
}
"""The rule behind each reason."""

LIABILITY: Final[dict[Reason, Liability]] = {
    "SAME_WEEK_NO_REASON": "supplier",
    "NEXT_WEEK_USED": "supplier",
    "EARLY_NOT_ALLOWED": "supplier",
    "FOUR_IN_FOUR_WEEKS": "supplier",
    "LT_7_DAYS": "supplier",
    "EXTRA_CLINICAL": "supplier",
}
"""Who bears the cost (rule R12); reasons not listed: nothing to charge to anyone. A clinical extra with an order
and a notice signed before the test is the patient's."""

FLAG_WORDS: Final[Mapping[str, str]] = {
    "ACK_AFTER_END": "a result was received only after the last covered day",
    "CLAIMED_TEST_INVALIDATED": "a test of this claim no longer counts: correct or refund the claim",
    "CORRECTED_RESULT": "a result was corrected",
    "EARLY_TEST": "a test was taken early, with a reason in the record",
    "FIVE_TAKEN_IN_FOUR_WEEKS": "with the early test, five counted tests were taken within four calendar weeks",
    "LATE_REPORT": "a result was received more than seven days after its test",
    "LONG_SPAN": "more than 84 days lie between the first and the last test: confirm continued correct use",
    "MANUAL_ENTRY": "a value was entered by hand",
    "PERIOD_LT_28_DAYS_TERMINATION": "the date of service was pulled back to the last covered day",
    "PORCINE_WITH_OTHER_INDICATION": "the patient has a porcine valve beside another covered diagnosis",
    "PROVISIONAL": "the week that an early test stands in for is not over yet",
    "REASON_DOCUMENTED_LATE": "the reason for an early test was written more than seven days after it",
    "WITHIN_28_DAYS_OF_PREVIOUS_DOS": "the date is less than 28 days after the previous unit's",
}
"""Plain words for every `Flag`."""

FLAG_RULES: Final[Mapping[str, str]] = {
    "ACK_AFTER_END": "R25",
    "CLAIMED_TEST_INVALIDATED": "R22",
    "CORRECTED_RESULT": "R22",
    "EARLY_TEST": "R8",
    "FIVE_TAKEN_IN_FOUR_WEEKS": "R9",
    "LATE_REPORT": "R18",
    "LONG_SPAN": "R17",
    "MANUAL_ENTRY": "R21",
    "PERIOD_LT_28_DAYS_TERMINATION": "R25",
    "PORCINE_WITH_OTHER_INDICATION": "R26",
    "PROVISIONAL": "R8",
    "REASON_DOCUMENTED_LATE": "R7",
    "WITHIN_28_DAYS_OF_PREVIOUS_DOS": "R25",
}
"""The rule behind each flag."""
