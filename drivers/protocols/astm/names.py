"""Names of the fields of E1394 records (LIS02-A 6 to 14), for people who read a decoded capture."""

from __future__ import annotations

from typing import Final

__all__ = ["RECORDS", "field_name"]

RECORDS: Final = {
    "H": (
        "type delimiters control_id password sender sender_address reserved sender_telephone "
        "sender_characteristics receiver comment processing_id version message_time"
    ),
    "P": (
        "type sequence practice_patient_id laboratory_patient_id patient_id_3 patient_name mothers_maiden_name "
        "birthdate sex race address reserved telephone physician special_1 special_2 height weight diagnosis "
        "medications diet practice_1 practice_2 admission_dates admission_status location diagnostic_code_nature "
        "diagnostic_code religion marital_status isolation language hospital_service hospital_institution "
        "dosage_category"
    ),
    "O": (
        "type sequence specimen_id instrument_specimen_id test_id priority ordered_time collection_time "
        "collection_end_time collection_volume collector action_code danger_code clinical_information "
        "specimen_received_time specimen_descriptor physician physician_telephone user_1 user_2 laboratory_1 "
        "laboratory_2 reported_time charge section report_type reserved ward infection_flag specimen_service "
        "specimen_institution"
    ),
    "R": (
        "type sequence test_id value unit reference_range abnormal_flags abnormality_nature status "
        "normative_change_time operator started_time completed_time instrument"
    ),
    "C": "type sequence source text comment_type",
    "Q": (
        "type sequence range_start range_end test_id time_limit_nature results_from results_until physician "
        "physician_telephone user_1 user_2 information_status"
    ),
    "M": "type sequence",
    "S": "type sequence",
    "L": "type sequence termination_code",
}
_NAMES: Final = {record: tuple(names.split()) for record, names in RECORDS.items()}


def field_name(record_type: str, number: int) -> str | None:
    """The name of a field counted from 1, or None where the standard has none."""
    names = _NAMES.get(record_type, ())
    return names[number - 1] if number <= len(names) else None
