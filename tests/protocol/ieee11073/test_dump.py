"""The decoder's door: one object for each APDU, every field named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drivers.errors import DriverError
from drivers.protocols.ieee11073.dump import messages
from simulators.ieee11073.dialect import Dialect, Transfer
from tests.protocol.ieee11073.conftest import ABOVE_RANGE, CONFIGURATION, REPORT
from tests.protocol.ieee11073.conversation import agent, converse


def test_every_valid_vector_is_shown_as_json(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        if vector["valid"]:
            shown = list(messages(bytes.fromhex(vector["hex"])))
            assert len(shown) == 1
            assert json.loads(json.dumps(shown[0]))["apdu"] in {"AARQ", "AARE", "RLRQ", "RLRE", "ABRT", "PRST"}


def test_an_association_request(published: dict[str, bytes]) -> None:
    shown = next(messages(published["H211"]))
    assert shown["apdu"] == "AARQ"
    protocol = shown["protocols"][0]
    assert protocol["system-id"] == "8877665544332211"
    assert protocol["dev-config-id"] == "4000"
    assert protocol["data-req-mode-flags"] == "0081"


def test_a_configuration_with_nested_lists() -> None:
    shown = next(messages(CONFIGURATION))
    inr = shown["info"]["objects"][0]
    assert inr["class"]["name"] == "MDC_MOC_VMO_METRIC_NU"
    values = {each["name"]: each["value"] for each in inr["attributes"]}
    assert values["MDC_ATTR_ID_TYPE"] == {"code": 160260, "name": "MDC_RATIO_INR_COAG"}
    assert values["MDC_ATTR_UNIT_CODE"] == {"code": 6608, "name": "MDC_DIM_INR"}
    assert [slot["attribute"]["name"] for slot in values["MDC_ATTR_ATTRIBUTE_VAL_MAP"]] == [
        "MDC_ATTR_NU_VAL_OBS_BASIC",
        "MDC_ATTR_TIME_STAMP_ABS",
    ]
    for each in inr["attributes"]:
        assert CONFIGURATION[each["offset"] - 4 : each["offset"] - 2].hex().upper() == each["id"]


def test_observations_stand_only_where_the_configuration_is_known() -> None:
    assert "observations" not in next(messages(REPORT))
    shown = next(messages(REPORT, configuration=CONFIGURATION))
    inr, pt = shown["observations"]
    assert inr["type"]["name"] == "MDC_RATIO_INR_COAG"
    assert inr["values"]["MDC_ATTR_NU_VAL_OBS_BASIC"] == "2.5"
    assert pt["unit"]["name"] == "MDC_DIM_SEC"
    assert pt["values"]["MDC_ATTR_TIME_STAMP_ABS"]["local"] == "2026-03-14T07:30:05"


def test_a_configuration_in_the_input_serves_what_follows() -> None:
    _, first, second = messages(CONFIGURATION + REPORT + ABOVE_RANGE)
    assert first["message"] == 2
    assert first["offset"] == len(CONFIGURATION)
    status = second["observations"][1]["values"]["MDC_ATTR_ENUM_OBS_VAL_BASIC_BIT_STR"]
    assert status == {"bits": "0400", "set": ("result-too-high",)}
    assert second["observations"][0]["values"]["MDC_ATTR_NU_VAL_OBS_BASIC"] == "+INFINITY"


@pytest.mark.parametrize("transfer", Transfer)
def test_a_whole_conversation_is_shown(transfer: Transfer) -> None:
    outcome = converse(agent(Dialect(transfer=transfer)))
    shown = list(messages(b"".join(outcome.host.messages[-1])))
    json.dumps(shown)
    assert shown[0]["apdu"] == "AARQ"
    assert shown[-1]["observations"]
    regulation = [
        each["value"]
        for apdu in shown
        for each in apdu.get("attributes", [])
        if each["name"] == "MDC_ATTR_REG_CERT_DATA_LIST"
    ]
    assert regulation[0][0]["classes"] == [{"code": 0x2012, "name": "coagulation monitor, USB"}]


def test_a_broken_second_apdu_names_its_place_in_the_input(published: dict[str, bytes]) -> None:
    octets = published["H211"] + published["H221_ID_0190"]
    with pytest.raises(DriverError, match="APDU 2, from octet 54") as caught:
        list(messages(octets))
    assert caught.value.offset is not None
    assert caught.value.offset > 54


@pytest.mark.parametrize("octets", [b"", b"\xe2", b"\xe7\x00\x00\x08\x00"])
def test_an_end_too_soon_is_an_error(octets: bytes) -> None:
    with pytest.raises(DriverError):
        list(messages(octets))
