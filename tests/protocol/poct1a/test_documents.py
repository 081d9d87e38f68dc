from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.protocols.poct1a.documents import MAX_DEPTH, glance, guess, parse
from drivers.protocols.poct1a.times import device_time
from tests.protocol.poct1a.made import document, hello, observation


def test_hello_of_a_real_vendor(vector: Callable[[str], bytes]) -> None:
    hello = parse(vector("device_hel_r01_nova.xml"))
    assert (hello.name, hello.control_id) == ("HEL.R01", "7135")
    device = hello.root.part("DEV")
    assert device is not None
    said = {field.name: field.said for field in device.fields}
    assert said == {
        "DEV.device_id": "MGH^ICU",
        "DEV.vendor_id": "NOVABIO",
        "DEV.model_id": "StatStrip",
        "DEV.serial_id": "0600100736",
        "DEV.hw_version": "K1",
        "DEV.sw_version": "3.10.8.0",
        "DEV.device_name": "DLO-OV",
    }
    version = device.field("DEV.sw_version")
    assert version is not None
    assert version.text == "3.10.8.0_it-IT"
    assert hello.root.deep("DCP", "DCP.application_timeout") == "120"
    abilities = device.part("DSC")
    assert abilities is not None
    assert [field.said for field in abilities.fields if field.name == "DSC.topics_supported_cd"] == [
        "D_EV",
        "NOVA.STATSTRIP.SETUP",
        "NOVA.REAG",
    ]
    assert abilities.said("DSC.connection_profile_cd") == "SA"
    assert abilities.said("DSC.directives_supported_cd") == "START_CONTINUOUS"
    assert abilities.said("DSC.max_message_sz") == "32768"


def test_status_of_a_real_vendor(vector: Callable[[str], bytes]) -> None:
    status = parse(vector("device_dst_r01_nova.xml"))
    part = status.root.part("DST")
    assert part is not None
    assert {field.name: field.said for field in part.fields} == {
        "DST.status_dttm": "2007-04-12T18:53:04.00-05:00",
        "DST.new_observations_qty": "0",
        "DST.new_events_qty": "0",
        "DST.condition_cd": "R",
        "DST.observations_update_dttm": "2000-01-01T00:00:00.00-05:00",
        "DST.operators_update_dttm": "2007-04-12T18:49:09-05:00",
        "DST.setup_update_dttm": "2007-04-12T18:49:07-05:00",
    }


def test_observation_of_a_real_vendor(vector: Callable[[str], bytes]) -> None:
    octets = vector("device_obs_r01_nova.xml")
    message = parse(octets)
    service = message.root.part("SVC")
    assert service is not None
    assert octets[service.start :].startswith(b"<SVC>")
    assert octets[: service.end].endswith(b"</SVC>")
    (observation,) = service.every("OBS")
    value = observation.field("OBS.value")
    named = observation.field("OBS.observation_id")
    assert value is not None
    assert named is not None
    assert (value.said, value.attributes["U"]) == ("145", "mg/dL")
    assert dict(named.attributes) == {"V": "2341-6", "DN": "Glu", "SN": "LN"}
    assert octets[value.offset :].startswith(b"<OBS.value ")
    assert observation.said("OBS.interpretation_cd") == "HH"
    assert observation.said("OBS.normal_lo-hi_limit") == "[80;120]"
    assert observation.said("OBS.critical_lo-hi_limit") == "[60;140]"
    assert service.deep("PT", "PT.location") == "Cambridge Hosp^ICU-4"
    assert service.deep("OPR", "OPR.operator_id") == "OP777-88-9999"
    assert service.deep("ORD", "ORD.universal_service_id") == "CHEM"
    assert service.deep("SPC", "SPC.type_cd") == "BLD"
    assert service.deep("RGT", "RGT.name") == "TY=TS"
    notes = [(note.said("NTE.text"), note.fields[0].text) for note in service.every("NTE")]
    assert notes == [("New strip", "TY=C^CH=1^FL=0"), ("SAMPLE ID TYPE", "MRN")]


def test_fragments_of_a_real_vendor_inside_a_document(vector: Callable[[str], bytes]) -> None:
    fields = vector("device_fragment_empty_sequence_roche.xml").decode()
    control = vector("device_fragment_qc_control_roche.xml").decode() + "</CTC>"
    message = parse(document("OBS.R01", f"<SVC>{fields}{control}</SVC>"))
    service = message.root.part("SVC")
    assert service is not None
    assert service.said("SVC.sequence_nbr") is None
    assert service.said("SVC.observation_dttm") == "2012-03-12T16:41:37+00:00"
    assert service.deep("CTC", "CTC.lot_number") == "89"
    assert service.deep("CTC", "CTC.expiration_date") == "2013-02-28T23:59:59+00:00"
    level = next(service.every("CTC")).field("CTC.level_cd")
    assert level is not None
    assert dict(level.attributes) == {"V": "1", "SN": "LEVEL"}


@pytest.mark.parametrize(
    "name",
    ["host_ack_pt2.xml.txt", "host_ack_roche.xml.txt", "host_dtv_settime_nova.xml.txt", "host_end_roche.xml.txt"],
)
def test_what_hosts_send_is_read_too(vector: Callable[[str], bytes], name: str) -> None:
    assert parse(vector(name)).name in ("ACK.R01", "DTV.R02", "END.R01")


@pytest.mark.parametrize(
    ("octets", "offset", "word"),
    [
        (b'<!DOCTYPE OBS.R01 SYSTEM "x"><OBS.R01/>', 28, "refused"),
        (b'<!DOCTYPE OBS.R01 [<!ENTITY a "b">]><OBS.R01>&a;</OBS.R01>', 18, "refused"),
        (b"<OBS.R01>&a;</OBS.R01>", 9, "entity"),
        (b"<OBS.R01><SVC></OBS.R01>", 16, "mismatched"),
        (b"<OBS.R01>" + b"<a>" * 50 + b"</OBS.R01>", 9 + 3 * (MAX_DEPTH - 1), "deep"),
        (b"<html/>", 0, "no POCT1-A message"),
        (b'<?xml version="1.0" encoding="klingon"?><OBS.R01/>', 30, "encoding"),
        (b'<?xml version="1.0" encoding="bz2"?><OBS.R01/>', 30, "encoding"),
        (b"<OBS.R01>\xff</OBS.R01>", 9, "not well-formed"),
        (b"", 0, "no element"),
    ],
)
def test_what_is_refused_names_the_place(octets: bytes, offset: int, word: str) -> None:
    with pytest.raises(ProtocolError, match=word) as refused:
        parse(octets)
    assert refused.value.offset == offset


def test_billion_laughs_costs_nothing() -> None:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    octets = f'<!DOCTYPE OBS.R01 [<!ENTITY l0 "lol">{entities}]><OBS.R01>&l9;</OBS.R01>'.encode()
    tracemalloc.start()
    started_s = time.process_time()
    with pytest.raises(ProtocolError, match="refused"):
        parse(octets)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert time.process_time() - started_s < 1


@pytest.mark.parametrize(
    "octets",
    [
        b"<OBS.R01><a V='" + b"x" * 250_000 + b"'/></OBS.R01>",
        b"<OBS.R01 " + b" ".join(b"a%d='1'" % n for n in range(20_000)) + b"/>",
        b"<OBS.R01>" + b"<a/>" * 60_000 + b"</OBS.R01>",
        b"<OBS.R01>" + b"&#65;" * 50_000 + b"</OBS.R01>",
    ],
    ids=["huge attribute", "many attributes", "many elements", "many references"],
)
def test_absurd_documents_cost_bounded_time_and_memory(octets: bytes) -> None:
    tracemalloc.start()
    started_s = time.process_time()
    parse(octets)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64_000_000
    assert time.process_time() - started_s < 5


@settings(max_examples=300, deadline=None)
@given(octets=st.binary(max_size=200))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    for body in (octets, b"<OBS.R01>" + octets + b"</OBS.R01>", b"<OBS.R01 " + octets):
        with suppress(ProtocolError):
            parse(body)
        assert guess(body).name in ("", "OBS.R01") or guess(body).name.encode() in body


def test_the_parts_of_nested_and_empty_objects_stand_where_they_stand() -> None:
    octets = b"<OBS.R01><SVC><PT/><PT><PT a='/>'/></PT></SVC><SVC/><SVC></SVC></OBS.R01>"
    found = [octets[part.start : part.end] for part in parse(octets).root.every("SVC")]
    assert found == [b"<SVC><PT/><PT><PT a='/>'/></PT></SVC>", b"<SVC/>", b"<SVC></SVC>"]


def test_what_can_be_seen_of_an_unreadable_document() -> None:
    message = guess(b"<?xml version='1.0'?><OBS.R01><HDR><HDR.control_id V= 'a1 '/><SVC></OBS.R01>")
    assert (message.name, message.control_id) == ("OBS.R01", "a1")
    assert guess(b"rubbish").control_id is None


@pytest.mark.parametrize(
    ("raw", "local", "offset_min"),
    [
        ("2001-11-01T16:29:54-05:00", "2001-11-01T16:29:54", -300),
        ("2007-04-12T18:53:04.25-05:00", "2007-04-12T18:53:04.250000", -300),
        ("2026-03-14T07:28:00", "2026-03-14T07:28:00", None),
        ("2026-03-14T07:28Z", "2026-03-14T07:28:00", 0),
        ("2026-03-14T07:28:00+05:30", "2026-03-14T07:28:00", 330),
        ("2026-02-30T07:28:00", None, None),
        ("0000-00-00T00:00:00", None, None),
        ("2026-03-14", None, None),
        ("2026-03-14T07:28:00+99:00", None, None),
        ("", None, None),
    ],
)
def test_times_are_kept_as_written(raw: str, local: str | None, offset_min: int | None) -> None:
    time_read = device_time(raw)
    assert time_read.raw == raw
    assert (None if time_read.local is None else time_read.local.isoformat()) == local
    assert time_read.utc_offset_min == offset_min


PARTS = [
    *("<OBS.R01>", "<OBS.R02 >", "</OBS.R01>", "</OBS.R02 >", "<HEL.R01>", "</HEL.R01>", "<HDR>", "</HDR>"),
    *('<HDR.control_id V="7"/>', "<HDR.control_id V= '8' />", '<HDR.control_id V="&lt;"/>', "<HDR.control_id/>"),
    *('<HDR.control_id V=" "/>', '<HDR.control_id V="é"/>', '<HDR.message_type V="OBS.R01"/>', "<SVC>", "</SVC>"),
    *('<?xml version="1.0"?>', "<!-- <HDR> -->", "<!-- ", " -->", "<![CDATA[", "]]>", "\r\n", " ", "x", "<", ">"),
]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PARTS), max_size=14).map("".join))
def test_a_glance_sees_what_reading_finds(text: str) -> None:
    octets = text.encode()
    seen = glance(octets)
    if seen is None:
        return
    assert seen.name in ("OBS.R01", "OBS.R02")
    with suppress(ProtocolError):
        whole = parse(octets)
        assert (seen.name, seen.control_id) == (whole.name, whole.control_id)


@pytest.mark.parametrize("declared", ["", '<?xml version="1.0" encoding="UTF-8"?>\r\n'])
def test_a_glance_is_enough_for_what_meters_send(declared: str) -> None:
    octets = declared.encode() + observation()
    seen = glance(octets)
    assert seen is not None
    assert (seen.name, seen.control_id) == (parse(octets).name, parse(octets).control_id)
    assert glance(hello()) is None
    assert glance(b"<!DOCTYPE OBS.R01>" + octets) is None
