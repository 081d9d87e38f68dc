"""Codes and their reference identifiers, as far as a manager of INR meters meets them.

A full code is 32 bits: partition in the upper half, term in the lower. Attributes, object classes, events and
actions are terms of partition 1; units of partition 4. Sources: IEEE 11073-10101 terms as printed in public code
and in the HL7 Personal Health Device implementation guide (commit 5af8412f); INR terms as the LNI ``Mdc`` table has
them.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACTIONS",
    "ATTRIBUTES",
    "CLASSES",
    "DEVICE_STATUS",
    "EVENTS",
    "MEASUREMENT_STATUS",
    "TERMS",
    "UNITS",
    "bit_names",
    "name",
]

METRIC: Final = 2 << 16
DISEASE: Final = 128 << 16
INFRASTRUCTURE: Final = 8 << 16

INR: Final = METRIC | 29188
PT_SECONDS: Final = METRIC | 29192
QUICK: Final = METRIC | 29196
ISI: Final = METRIC | 29200
CONTROL: Final = METRIC | 29204
STRIP_LOT: Final = DISEASE | 29300
DEVICE_STATUS_TYPE: Final = DISEASE | 29301
TARGET_LEVEL: Final = DISEASE | 29304
MEDICATION_NOW: Final = DISEASE | 29308
MEDICATION_NEW: Final = DISEASE | 29312
TESTER: Final = DISEASE | 29316
COAGULATION_PROFILE: Final = INFRASTRUCTURE | 4114

TERMS: Final[dict[int, str]] = {
    METRIC | 18458: "MDC_PULS_OXIM_PULS_RATE",
    METRIC | 18474: "MDC_PULS_RATE_NON_INV",
    METRIC | 18948: "MDC_PRESS_BLD_NONINV",
    METRIC | 18949: "MDC_PRESS_BLD_NONINV_SYS",
    METRIC | 18950: "MDC_PRESS_BLD_NONINV_DIA",
    METRIC | 18951: "MDC_PRESS_BLD_NONINV_MEAN",
    METRIC | 19384: "MDC_PULS_OXIM_SAT_O2",
    METRIC | 19516: "MDC_MODALITY_SPOT",
    INR: "MDC_RATIO_INR_COAG",
    PT_SECONDS: "MDC_TIME_PD_COAG",
    QUICK: "MDC_QUICK_VALUE_COAG",
    ISI: "MDC_ISI_COAG",
    CONTROL: "MDC_COAG_CONTROL",
    METRIC | 57664: "MDC_MASS_BODY_ACTUAL",
    METRIC | 57668: "MDC_LEN_BODY_ACTUAL",
    METRIC | 57676: "MDC_BODY_FAT",
    METRIC | 57680: "MDC_RATIO_MASS_BODY_LEN_SQ",
    INFRASTRUCTURE | 4100: "MDC_DEV_SPEC_PROFILE_PULS_OXIM",
    INFRASTRUCTURE | 4103: "MDC_DEV_SPEC_PROFILE_BP",
    INFRASTRUCTURE | 4111: "MDC_DEV_SPEC_PROFILE_SCALE",
    INFRASTRUCTURE | 4113: "MDC_DEV_SPEC_PROFILE_GLUCOSE",
    COAGULATION_PROFILE: "MDC_DEV_SPEC_PROFILE_COAG",
    STRIP_LOT: "MDC_BATCHCODE_COAG",
    DEVICE_STATUS_TYPE: "MDC_INR_METER_DEV_STATUS",
    TARGET_LEVEL: "MDC_TARGET_LEVEL_COAG",
    MEDICATION_NOW: "MDC_MED_CURRENT_COAG",
    MEDICATION_NEW: "MDC_MED_NEW_COAG",
    TESTER: "MDC_CTXT_INR_TESTER",
    DISEASE | 29317: "MDC_CTXT_INR_TESTER_SELF",
    DISEASE | 29318: "MDC_CTXT_INR_TESTER_HCP",
    DISEASE | 29319: "MDC_CTXT_INR_TESTER_LAB",
}

DIM_INR: Final = 6608
DIM_DIMLESS: Final = 512
DIM_PERCENT: Final = 544
DIM_SECOND: Final = 2176

UNITS: Final[dict[int, tuple[str, str]]] = {
    DIM_DIMLESS: ("MDC_DIM_DIMLESS", ""),
    DIM_PERCENT: ("MDC_DIM_PERCENT", "%"),
    1297: ("MDC_DIM_CENTI_M", "cm"),
    1731: ("MDC_DIM_KILO_G", "kg"),
    1746: ("MDC_DIM_MILLI_G", "mg"),
    1760: ("MDC_DIM_LB", "lb"),
    1952: ("MDC_DIM_KG_PER_M_SQ", "kg/m2"),
    DIM_SECOND: ("MDC_DIM_SEC", "s"),
    2208: ("MDC_DIM_MIN", "min"),
    2720: ("MDC_DIM_BEAT_PER_MIN", "/min"),
    3872: ("MDC_DIM_MMHG", "mmHg"),
    4274: ("MDC_DIM_MILLI_VOLT", "mV"),
    DIM_INR: ("MDC_DIM_INR", "INR"),
}
"""Unit code: reference identifier and how it is written."""

CLASSES: Final[dict[int, str]] = {
    5: "MDC_MOC_VMO_METRIC_ENUM",
    6: "MDC_MOC_VMO_METRIC_NU",
    9: "MDC_MOC_VMO_METRIC_SA_RT",
    16: "MDC_MOC_SCAN",
    17: "MDC_MOC_SCAN_CFG",
    18: "MDC_MOC_SCAN_CFG_EPI",
    19: "MDC_MOC_SCAN_CFG_PERI",
    37: "MDC_MOC_VMS_MDS_SIMP",
    61: "MDC_MOC_VMO_PMSTORE",
    62: "MDC_MOC_PM_SEGMENT",
}
NUMERIC: Final = 6
ENUMERATION: Final = 5
PM_STORE: Final = 61

ATTRIBUTES: Final[dict[int, str]] = {
    0x0913: "MDC_ATTR_CONFIRM_MODE",
    0x0914: "MDC_ATTR_CONFIRM_TIMEOUT",
    0x0921: "MDC_ATTR_ID_HANDLE",
    0x0922: "MDC_ATTR_ID_INSTNO",
    0x0927: "MDC_ATTR_ID_LABEL_STRING",
    0x0928: "MDC_ATTR_ID_MODEL",
    0x092B: "MDC_ATTR_ID_PHYSIO",
    0x092D: "MDC_ATTR_ID_PROD_SPECN",
    0x092F: "MDC_ATTR_ID_TYPE",
    0x0941: "MDC_ATTR_METRIC_STORE_CAPAC_CNT",
    0x0943: "MDC_ATTR_METRIC_STORE_SAMPLE_ALG",
    0x0944: "MDC_ATTR_METRIC_STORE_USAGE_CNT",
    0x0947: "MDC_ATTR_MSMT_STAT",
    0x094A: "MDC_ATTR_NU_ACCUR_MSMT",
    0x094B: "MDC_ATTR_NU_CMPD_VAL_OBS",
    0x0950: "MDC_ATTR_NU_VAL_OBS",
    0x0951: "MDC_ATTR_NUM_SEG",
    0x0953: "MDC_ATTR_OP_STAT",
    0x0955: "MDC_ATTR_POWER_STAT",
    0x097B: "MDC_ATTR_SEG_USAGE_CNT",
    0x0984: "MDC_ATTR_SYS_ID",
    0x0986: "MDC_ATTR_SYS_TYPE",
    0x0987: "MDC_ATTR_TIME_ABS",
    0x0988: "MDC_ATTR_TIME_BATT_REMAIN",
    0x098A: "MDC_ATTR_TIME_END_SEG",
    0x098D: "MDC_ATTR_TIME_PD_SAMP",
    0x098F: "MDC_ATTR_TIME_REL",
    0x0990: "MDC_ATTR_TIME_STAMP_ABS",
    0x0991: "MDC_ATTR_TIME_STAMP_REL",
    0x0992: "MDC_ATTR_TIME_START_SEG",
    0x0995: "MDC_ATTR_TX_WIND",
    0x0996: "MDC_ATTR_UNIT_CODE",
    0x0999: "MDC_ATTR_UNIT_LABEL_STRING",
    0x099C: "MDC_ATTR_VAL_BATT_CHARGE",
    0x099E: "MDC_ATTR_VAL_ENUM_OBS",
    0x09E8: "MDC_ATTR_TIME_REL_HI_RES",
    0x09E9: "MDC_ATTR_TIME_STAMP_REL_HI_RES",
    0x0A44: "MDC_ATTR_DEV_CONFIG_ID",
    0x0A45: "MDC_ATTR_MDS_TIME_INFO",
    0x0A46: "MDC_ATTR_METRIC_SPEC_SMALL",
    0x0A47: "MDC_ATTR_SOURCE_HANDLE_REF",
    0x0A48: "MDC_ATTR_SIMP_SA_OBS_VAL",
    0x0A49: "MDC_ATTR_ENUM_OBS_VAL_SIMP_OID",
    0x0A4A: "MDC_ATTR_ENUM_OBS_VAL_SIMP_STR",
    0x0A4B: "MDC_ATTR_REG_CERT_DATA_LIST",
    0x0A4C: "MDC_ATTR_NU_VAL_OBS_BASIC",
    0x0A4D: "MDC_ATTR_PM_STORE_CAPAB",
    0x0A4E: "MDC_ATTR_PM_SEG_MAP",
    0x0A4F: "MDC_ATTR_PM_SEG_PERSON_ID",
    0x0A50: "MDC_ATTR_SEG_STATS",
    0x0A51: "MDC_ATTR_SEG_FIXED_DATA",
    0x0A52: "MDC_ATTR_PM_SEG_ELEM_STAT_ATTR",
    0x0A53: "MDC_ATTR_SCAN_HANDLE_ATTR_VAL_MAP",
    0x0A54: "MDC_ATTR_SCAN_REP_PD_MIN",
    0x0A55: "MDC_ATTR_ATTRIBUTE_VAL_MAP",
    0x0A56: "MDC_ATTR_NU_VAL_OBS_SIMP",
    0x0A57: "MDC_ATTR_PM_STORE_LABEL_STRING",
    0x0A58: "MDC_ATTR_PM_SEG_LABEL_STRING",
    0x0A59: "MDC_ATTR_TIME_PD_MSMT_ACTIVE",
    0x0A5A: "MDC_ATTR_SYS_TYPE_SPEC_LIST",
    0x0A5F: "MDC_ATTR_METRIC_ID_PART",
    0x0A60: "MDC_ATTR_ENUM_OBS_VAL_PART",
    0x0A61: "MDC_ATTR_SUPPLEMENTAL_TYPES",
    0x0A62: "MDC_ATTR_TIME_ABS_ADJUST",
    0x0A63: "MDC_ATTR_CLEAR_TIMEOUT",
    0x0A64: "MDC_ATTR_TRANSFER_TIMEOUT",
    0x0A65: "MDC_ATTR_ENUM_OBS_VAL_SIMP_BIT_STR",
    0x0A66: "MDC_ATTR_ENUM_OBS_VAL_BASIC_BIT_STR",
    0x0A73: "MDC_ATTR_METRIC_STRUCT_SMALL",
    0x0A74: "MDC_ATTR_NU_CMPD_VAL_OBS_SIMP",
    0x0A75: "MDC_ATTR_NU_CMPD_VAL_OBS_BASIC",
    0x0A76: "MDC_ATTR_ID_PHYSIO_LIST",
    0x0A77: "MDC_ATTR_SCAN_HANDLE_LIST",
    0x0A81: "MDC_ATTR_TIME_BO",
    0x0A82: "MDC_ATTR_TIME_STAMP_BO",
    0x0A83: "MDC_ATTR_TIME_START_SEG_BO",
    0x0A84: "MDC_ATTR_TIME_END_SEG_BO",
}

ACTIONS: Final[dict[int, str]] = {
    0x0C0C: "MDC_ACT_SEG_CLR",
    0x0C0D: "MDC_ACT_SEG_GET_INFO",
    0x0C17: "MDC_ACT_SET_TIME",
    0x0C1B: "MDC_ACT_DATA_REQUEST",
    0x0C1C: "MDC_ACT_SEG_TRIG_XFER",
    0x0C1D: "MDC_ACT_SET_BO_TIME",
}
SEG_CLR: Final = 0x0C0C
SEG_GET_INFO: Final = 0x0C0D
SET_TIME: Final = 0x0C17
DATA_REQUEST: Final = 0x0C1B
SEG_TRIG_XFER: Final = 0x0C1C
SET_BO_TIME: Final = 0x0C1D

EVENTS: Final[dict[int, str]] = {
    0x0D1C: "MDC_NOTI_CONFIG",
    0x0D1D: "MDC_NOTI_SCAN_REPORT_FIXED",
    0x0D1E: "MDC_NOTI_SCAN_REPORT_VAR",
    0x0D1F: "MDC_NOTI_SCAN_REPORT_MP_FIXED",
    0x0D20: "MDC_NOTI_SCAN_REPORT_MP_VAR",
    0x0D21: "MDC_NOTI_SEGMENT_DATA",
    0x0D22: "MDC_NOTI_UNBUF_SCAN_REPORT_VAR",
    0x0D23: "MDC_NOTI_UNBUF_SCAN_REPORT_FIXED",
    0x0D24: "MDC_NOTI_UNBUF_SCAN_REPORT_GROUPED",
    0x0D25: "MDC_NOTI_UNBUF_SCAN_REPORT_MP_VAR",
    0x0D26: "MDC_NOTI_UNBUF_SCAN_REPORT_MP_FIXED",
    0x0D27: "MDC_NOTI_UNBUF_SCAN_REPORT_MP_GROUPED",
    0x0D28: "MDC_NOTI_BUF_SCAN_REPORT_VAR",
    0x0D29: "MDC_NOTI_BUF_SCAN_REPORT_FIXED",
    0x0D2A: "MDC_NOTI_BUF_SCAN_REPORT_GROUPED",
    0x0D2B: "MDC_NOTI_BUF_SCAN_REPORT_MP_VAR",
    0x0D2C: "MDC_NOTI_BUF_SCAN_REPORT_MP_FIXED",
    0x0D2D: "MDC_NOTI_BUF_SCAN_REPORT_MP_GROUPED",
}
CONFIG_REPORT: Final = 0x0D1C
SEGMENT_DATA: Final = 0x0D21

DEVICE_STATUS: Final[dict[int, str]] = {
    0: "battery-low",
    1: "sensor-malfunction",
    2: "sample-size-insufficient",
    3: "strip-insertion-error",
    4: "strip-type-incorrect",
    5: "result-too-high",
    6: "result-too-low",
    7: "temperature-too-high",
    8: "temperature-too-low",
    9: "read-interrupted",
    10: "device-fault",
    11: "calibration-due",
}
"""Bits of the INR meter's device status; bit 0 is the most significant of 16."""

MEASUREMENT_STATUS: Final[dict[int, str]] = {
    0: "invalid",
    1: "questionable",
    2: "not-available",
    3: "calibration-ongoing",
    4: "test-data",
    5: "demo-data",
    8: "validated-data",
    9: "early-indication",
    10: "measurement-ongoing",
}


def bit_names(bits: int, names: dict[int, str], width: int = 16) -> tuple[str, ...]:
    """Names of the bits that are set, most significant first; unnamed ones as ``bit-13``."""
    if not bits:
        return ()
    return tuple(names.get(place, f"bit-{place}") for place in range(width) if bits >> (width - 1 - place) & 1)


def name(table: dict[int, str], code: int) -> str:
    """Reference identifier, or the code itself in hexadecimal when it is not in the table."""
    return table.get(code) or f"0x{code:04X}"
