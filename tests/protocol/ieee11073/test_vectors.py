"""Published octets: what they say, that they can be written again, that broken ones are refused at the place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from drivers.errors import DriverError
from drivers.protocols.ieee11073 import apdu as a
from drivers.protocols.ieee11073 import attributes, information, nomenclature
from drivers.protocols.ieee11073.association import event_reply, examined, response
from drivers.protocols.ieee11073.configuration import ConfigReply, ConfigReport
from drivers.protocols.ieee11073.dump import messages
from drivers.protocols.ieee11073.mder import AbsoluteTime
from drivers.protocols.ieee11073.objects import Meter, configuration_of
from drivers.protocols.ieee11073.reports import observations
from drivers.protocols.ieee11073.scans import DataReply, DataRequest, ScanReport

BROKEN_AT = {
    "H221_ID_0190": 172,
    "H221_ID_02BC": 152,
    "data_apdu1": 0,
    "data_apdu2": 0,
    "pedometer/pedometer_noti_config": 646,
    "pulse_oximeter/pulse_oximeter_buf_scan_report_mp_grouped": 4,
}
"""Where the first thing that cannot be right stands: a length too large, octets after the end, or no APDU."""


def whole(octets: bytes) -> a.Apdu:
    """An APDU with everything inside it read as well."""
    apdu = a.decode(octets)
    if isinstance(apdu, a.EventReport | a.EventReply):
        inside = information.read_event(apdu)
        assert inside is None or inside.encode() == apdu.info
        if isinstance(inside, ConfigReport):
            for each in inside.objects:
                for attribute in each.attributes:
                    attributes.read(attribute)
    elif isinstance(apdu, a.Action | a.ActionReply):
        inside = information.read_action(apdu)
        assert inside is None or inside.encode() == apdu.info
    elif isinstance(apdu, a.GetReply | a.SetReply):
        for attribute in apdu.attributes:
            attributes.read(attribute)
    return apdu


def test_every_valid_one_is_understood_and_written_again(vectors: list[dict[str, Any]]) -> None:
    valid = [vector for vector in vectors if vector["valid"]]
    assert len(valid) == 51
    for vector in valid:
        octets = bytes.fromhex(vector["hex"])
        assert whole(octets).encode() == octets, vector["name"]


def test_every_broken_one_is_refused_at_its_place(vectors: list[dict[str, Any]]) -> None:
    refused = {}
    for vector in vectors:
        if not vector["valid"]:
            with pytest.raises(DriverError) as caught:
                whole(bytes.fromhex(vector["hex"]))
            assert str(caught.value.offset) in str(caught.value)
            refused[vector["name"]] = caught.value.offset
    assert refused == BROKEN_AT


FIELDS: dict[str, Callable[[Any], bool]] = {
    r"assoc-version 80000000": lambda apdu: apdu.version == 0x80000000,
    r"encoding A000": lambda apdu: agent_of(apdu).encoding_rules == 0xA000,
    r"dev-config-id 4000": lambda apdu: agent_of(apdu).config_id == 0x4000,
    r"data-req-mode-flags 0081": lambda apdu: agent_of(apdu).request_mode_flags == 0x0081,
    r"data-req-mode-flags 8480": lambda apdu: agent_of(apdu).request_mode_flags == 0x8480,
    r"functional-units 40000000": lambda apdu: agent_of(apdu).functional_units == 0x40000000,
    r"flags 0001": lambda apdu: agent_of(apdu).request_mode_flags == 0x0001,
    r"invoke-id 4321": lambda apdu: apdu.invoke_id == 0x4321,
    r"invoke-id 3456": lambda apdu: apdu.invoke_id == 0x3456,
}
"""Phrases of the published field lists and what they claim."""


def agent_of(apdu: a.Apdu) -> a.Association:
    assert isinstance(apdu, a.Aarq)
    agent = apdu.protocols[0].information
    assert isinstance(agent, a.Association)
    return agent


def test_the_fields_listed_with_them(vectors: list[dict[str, Any]]) -> None:
    checked = 0
    for vector in vectors:
        if not vector["valid"]:
            continue
        apdu = a.decode(bytes.fromhex(vector["hex"]))
        listed = vector.get("fields", "")
        for phrase, holds in FIELDS.items():
            if phrase in listed:
                assert holds(apdu), (vector["name"], phrase)
                checked += 1
        for system_id in re.findall(r"system-id ([0-9A-F]{16})", listed) if isinstance(apdu, a.Aarq) else ():
            assert agent_of(apdu).system_id.hex().upper() == system_id
            checked += 1
        for result in re.findall(r"AARE,? result (\d)", vector["note"]):
            assert isinstance(apdu, a.Aare)
            assert apdu.result == int(result)
            checked += 1
        for reason in re.findall(r"ABRT.* reason (\d)", vector["note"]):
            assert isinstance(apdu, a.Abrt)
            assert apdu.reason == int(reason)
            checked += 1
    assert checked >= 20


def test_the_weighing_scale_configuration(published: dict[str, bytes]) -> None:
    configuration = configuration_of(published["H221_ID_05DC"])
    described = {
        handle: (each.type and each.type & 0xFFFF, each.unit) for handle, each in configuration.objects.items()
    }
    assert described == {1: (0xE140, 0x06C3), 2: (0xE144, 0x0511), 3: (0xE150, 0x07A0)}
    assert configuration.config_id == 0x4000


def test_the_standard_configuration_that_is_described_all_the_same(published: dict[str, bytes]) -> None:
    configuration = configuration_of(published["weighing_scale/std_config_05DC"])
    assert configuration.config_id == 0x05DC
    assert configuration.types == {nomenclature.METRIC | 0xE140}


def test_the_mds_of_the_weighing_scale(published: dict[str, bytes]) -> None:
    reply = a.decode(published["H233"])
    assert isinstance(reply, a.GetReply)
    meter = Meter.of(reply.attributes)
    assert (meter.manufacturer, meter.model) == ("TheCompany", "TheScaleABC")
    assert meter.serial == "DE124567"
    assert meter.specializations == (0x100F,)
    assert isinstance(meter.clock, AbsoluteTime)
    assert meter.clock.local is not None
    assert meter.clock.local.isoformat() == "2007-02-01T12:05:00"


@pytest.mark.parametrize(
    ("configuration", "report", "expected"),
    [
        ("H221", "H241", ["62.4", "25.6"]),
        ("pulse_oximeter/pulse_oximeter_noti_config_with_scanner", "H241_ID_0190", ["98", "72"]),
    ],
)
def test_reports_resolved_by_their_configuration(
    published: dict[str, bytes], configuration: str, report: str, expected: list[str]
) -> None:
    known = configuration_of(published[configuration])
    apdu = a.decode(published[report])
    assert isinstance(apdu, a.EventReport)
    told = information.read_event(apdu)
    assert isinstance(told, ScanReport)
    values = [
        str(observation.values.get(0x0A56) or observation.values.get(0x0A4C))
        for scan in told.scans
        for observation in observations(told, scan, known, apdu.handle)
    ]
    assert values == expected


@pytest.mark.parametrize("form", ["fixed", "grouped", "var", "mp_fixed", "mp_var"])
def test_scanners_of_a_pulse_oximeter(published: dict[str, bytes], form: str) -> None:
    known = configuration_of(published["pulse_oximeter/pulse_oximeter_noti_config_with_scanner"])
    apdu = a.decode(published[f"pulse_oximeter/pulse_oximeter_buf_scan_report_{form}"])
    assert isinstance(apdu, a.EventReport)
    told = information.read_event(apdu)
    assert isinstance(told, ScanReport)
    found = [each for scan in told.scans for each in observations(told, scan, known, apdu.handle)]
    values = {each.handle: str(each.values[0x0A4C]) for each in found}
    assert values[1] == "98"
    assert values[10] == ("73" if form == "grouped" else "72")
    assert {each.person for each in found} == ({1} if "mp" in form else {None})


def test_four_stored_measurements_in_one_report(published: dict[str, bytes]) -> None:
    shown = list(messages(published["H241_ID_05DC"], configuration=published["H221_ID_05DC"]))
    values = [each["values"]["MDC_ATTR_NU_VAL_OBS_SIMP"] for each in shown[0]["observations"]]
    assert values == ["76.2", "24.3", "76.0", "24.2"]


def test_what_a_manager_answers_is_what_was_published(published: dict[str, bytes]) -> None:
    request = a.decode(published["H211"])
    assert isinstance(request, a.Aarq)
    agent, result = examined(request)
    assert result == 0
    manager = bytes.fromhex("1122334455667788")
    assert response(3, agent, manager).encode() == published["H212"]
    assert response(0, agent, bytes.fromhex("8877665544332211")).encode() == published["rx_aare_example_one"]
    report = a.decode(published["H221"])
    assert isinstance(report, a.EventReport)
    info = ConfigReply(0x4000, 0).encode()
    reply = a.EventReply(report.invoke_id, report.handle, report.time, report.event, info)
    assert reply.encode() == published["H222"]
    assert a.Get(0x3456, handle=0).encode() == published["H232"]
    measured = a.decode(published["H241"])
    assert isinstance(measured, a.EventReport)
    assert event_reply(measured).encode() == published["H242"]
    wish = DataRequest(0x0100, 0x8480, 0, 0, nomenclature.NUMERIC)
    order = a.Action(0x7654, confirmed=True, handle=0, action=nomenclature.DATA_REQUEST, info=wish.encode())
    assert order.encode() == published["H243"]


def test_the_report_inside_a_data_response(published: dict[str, bytes]) -> None:
    reply = a.decode(published["H244"])
    assert isinstance(reply, a.ActionReply)
    told = information.read_action(reply)
    assert isinstance(told, DataReply)
    report = told.report()
    assert report is not None
    assert report.request_id == 0x0100
    assert [scan.handle for scan in report.scans] == [1, 2]
    assert [reply.encode()[scan.at : scan.at + 4].hex() for scan in report.scans] == ["ff000270", "ff000100"]
