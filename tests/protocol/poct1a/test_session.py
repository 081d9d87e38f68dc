from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Context, Finished, Piece, Rejected, Send
from drivers.errors import DeviceReason, FramingReason, TransportReason
from drivers.meters.poct1a import Poct1aDriver
from drivers.protocols.poct1a.replies import AckDialect, AckType, Replies
from drivers.protocols.poct1a.session import Poct1aSession, SessionSettings
from tests.protocol.poct1a.made import Host, document, hello, observation, service, status

Make = Callable[..., Poct1aDriver]
ACK = document("ACK.R01", '<ACK><ACK.type_cd V="AA"/></ACK>')
NO = document("ACK.R01", '<ACK><ACK.type_cd V="AE"/></ACK>')
EOT = document("EOT.R01", '<EOT><EOT.topic_cd V="OBS"/></EOT>', "8")


def said(octets: bytes) -> list[str]:
    """The host's documents in short: name, then what it says."""
    short = []
    for one in re.findall(rb"<([A-Z]{3}\.R\d\d)>(.*?)</\1>", octets, re.DOTALL):
        values = re.findall(rb"<(?:ACK|REQ|DTV|TM|TRM)\.\w+ V=\"([^\"]*)\"/>", one[1])
        short.append(b" ".join([one[0], *values]).decode())
    return short


def ready(host: Host, qty: str | None = "1", abilities: str = "", more: str = "") -> list[str]:
    host.open()
    assert said(host.receive(hello(abilities=abilities))) == ["ACK.R01 AA 1"]
    return said(host.receive(status(qty, more=more)))


def test_the_basic_profile_step_by_step(driver: Make) -> None:
    host = Host(driver().session())
    assert host.open() == b""
    assert said(host.receive(hello())) == ["ACK.R01 AA 1"]
    assert said(host.receive(status())) == ["ACK.R01 AA 2", "REQ.R01 ROBS"]
    assert said(host.receive(observation())) == ["ACK.R01 AA 3"]
    assert said(host.receive(observation(control_id="4", name="OBS.R02"))) == ["ACK.R01 AA 4"]
    assert said(host.receive(EOT)) == ["ACK.R01 AA 8", "END.R01 NRM"]
    assert host.finished == []
    assert host.receive(ACK) == b""
    assert host.finished == [Finished(None, close=True)]
    assert host.journal == [observation(), observation(control_id="4", name="OBS.R02")]
    assert host.messages[1] == [hello(), status(), host.journal[1]]


def test_no_octet_acknowledges_a_result_before_it_is_confirmed(driver: Make) -> None:
    session = driver().session()
    session.opened(0)
    session.receive(hello(), 0)
    session.receive(status(), 0)
    events = session.receive(observation() + EOT, 0)
    assert events == [Piece(observation(), starts_message=True, ends_message=True)]
    assert session.receive(b"\n", 0) == []
    assert session.tick(10_000) == []
    assert session.deadline_s is None
    later = session.confirm(1)
    assert said(b"".join(event.octets for event in later if isinstance(event, Send))) == [
        "ACK.R01 AA 3",
        "ACK.R01 AA 8",
        "END.R01 NRM",
    ]


def test_a_result_that_cannot_be_committed_is_refused_and_the_line_closed(driver: Make) -> None:
    host = Host(driver().session(), full=True)
    ready(host)
    assert said(host.receive(observation())) == ["ACK.R01 AE 3"]
    assert host.finished == [Finished(None, close=True)]
    assert host.receive(observation(control_id="4")) == b""
    assert host.journal == []


CONVERSATION = (
    hello() + b"\r\n" + status() + observation() + b"<x>&</x>" + observation(control_id="4") + b"junk" + EOT
)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 700), max_size=30))
def test_every_chunking_gives_the_same_events(sizes: list[int]) -> None:
    whole = converse([])
    assert converse(sizes) == whole
    assert [kind for kind, _ in whole].count("commit") == 3


def converse(sizes: list[int]) -> list[tuple[str, bytes]]:
    now = datetime(2026, 3, 14, tzinfo=UTC)
    host = Host(Poct1aSession(SessionSettings(), lambda: now))
    host.open()
    at = 0
    for size in (*sizes, len(CONVERSATION)):
        host.receive(CONVERSATION[at : at + size])
        at += size
    return host.log


def test_one_octet_at_a_time_gives_the_same_events() -> None:
    assert converse([1] * len(CONVERSATION)) == converse([])


def test_cut_at_every_octet_loses_nothing_that_was_acknowledged(driver: Make) -> None:
    make = driver()
    for cut in range(len(CONVERSATION)):
        host = Host(make.session())
        host.open()
        sent = host.receive(CONVERSATION[:cut])
        host.lost()
        assert len([short for short in said(sent) if short in ("ACK.R01 AA 3", "ACK.R01 AA 4")]) <= len(
            host.journal
        )
        assert all(piece in CONVERSATION for piece in host.journal)
        kept = b"".join([*host.contexts, *host.journal, *(damage.octets for damage in host.rejected)])
        assert len(kept) >= len(CONVERSATION[:cut].replace(b"\r\n", b"").replace(EOT, b"").rstrip())
        again = Host(make.session())
        again.open()
        again.receive(CONVERSATION)
        assert {*again.journal} >= {observation(), observation(control_id="4")}


@pytest.mark.parametrize("qty", ["1", "2000", None, "many"])
def test_results_are_asked_for_unless_there_are_none(driver: Make, qty: str | None) -> None:
    assert ready(Host(driver().session()), qty) == ["ACK.R01 AA 2", "REQ.R01 ROBS"]


def test_nothing_new_ends_at_once(driver: Make) -> None:
    assert ready(Host(driver().session()), "0") == ["ACK.R01 AA 2", "END.R01 NRM"]


@pytest.mark.parametrize(
    ("dialect", "field"), [("ack_control_id", "ACK.ack_control_id"), ("control_id", "ACK.control_id")]
)
def test_acknowledgements_name_the_document_as_the_dialect_says(driver: Make, dialect: str, field: str) -> None:
    host = Host(driver(ack=dialect).session())
    host.open()
    sent = host.receive(hello(control_id="&lt;a&gt;&quot;&amp;"))
    answer = ET.fromstring(sent)
    named = answer.find(f"ACK/{field}")
    assert named is not None
    assert named.get("V") == '<a>"&'


def test_acknowledgement_without_reference(driver: Make, vector: Callable[[str], bytes]) -> None:
    host = Host(driver(ack="none").session())
    host.open()
    ours = ET.fromstring(host.receive(hello()))
    theirs = ET.fromstring(vector("host_ack_pt2.xml.txt"))
    assert [element.tag for element in ours.iter()] == [element.tag for element in theirs.iter()]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("host_ack_pt2.xml.txt", lambda to: to(AckDialect.NONE).acknowledge(AckType.ACCEPTED, "7")),
        ("host_ack_roche.xml.txt", lambda to: to(AckDialect.ACK_CONTROL_ID).acknowledge(AckType.ACCEPTED, "7")),
        ("host_req_robs_pt2.xml.txt", lambda to: to(AckDialect.NONE).request("ROBS")),
    ],
)
def test_replies_have_the_form_that_real_meters_accept(
    vector: Callable[[str], bytes], name: str, write: Callable[[Callable[[AckDialect], Replies]], bytes]
) -> None:
    ours = ET.fromstring(write(lambda dialect: Replies(dialect, lambda: datetime(2026, 3, 14, tzinfo=UTC))))
    theirs = ET.fromstring(vector(name))
    assert [(element.tag, [*element.keys()]) for element in ours.iter()] == [
        (element.tag, [*element.keys()]) for element in theirs.iter()
    ]


def test_replies_carry_a_declaration_if_asked(driver: Make) -> None:
    host = Host(driver(declaration=True).session())
    host.open()
    assert host.receive(hello()).startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<ACK.R01>')


def test_wrapped_documents_get_wrapped_answers(driver: Make) -> None:
    host = Host(driver().session())
    host.open()
    assert re.fullmatch(
        rb"\x0b<ACK\.R01>.*</ACK\.R01>\n\x1c\r", host.receive(b"\x0b" + hello() + b"\x1c\r"), re.DOTALL
    )
    answers = host.receive(b"\x0b" + status() + b"\x1c\r")
    assert answers.count(b"\x0b") == answers.count(b"\x1c\r") == 2


def test_a_repeated_result_is_acknowledged_again_and_not_reported(driver: Make) -> None:
    host = Host(driver().session())
    ready(host)
    assert said(host.receive(observation() * 2)) == ["ACK.R01 AA 3", "ACK.R01 AA 3"]
    assert said(host.receive(observation(control_id="4") + observation())) == ["ACK.R01 AA 4", "ACK.R01 AA 3"]
    assert len(host.journal) == 3


def test_without_reference_no_answer_is_given_twice_in_haste(pt2: Poct1aDriver) -> None:
    # The second of two answers would be taken for that to the next result, which nobody has committed.
    host = Host(pt2.session())
    host.open()
    assert said(host.receive(hello() * 2)) == ["ACK.R01 AA"]
    assert said(host.receive(status() * 2)) == ["ACK.R01 AA", "REQ.R01 ROBS"]
    assert said(host.receive(observation() * 2)) == ["ACK.R01 AA"]
    host.now_s += 3
    assert said(host.receive(observation())) == ["ACK.R01 AA"], "the answer was lost"
    assert (len(host.contexts), len(host.journal)) == (2, 1)


def test_a_result_repeated_in_the_next_conversation_is_known(pt2: Poct1aDriver) -> None:
    host = Host(pt2.session([hello(), status(), observation()]))
    ready_without_reference(host)
    assert said(host.receive(observation())) == ["ACK.R01 AA"]
    assert host.journal == []


def ready_without_reference(host: Host) -> None:
    host.open()
    host.receive(hello())
    host.receive(status())


@pytest.mark.parametrize(
    "octets",
    [
        b"<OBS.R01><HDR><HDR.control_id V='9'/></HDR><SVC></OBS.R01>",
        b'<!DOCTYPE OBS.R01 [<!ENTITY a "b">]><OBS.R01><HDR><HDR.control_id V="9"/></HDR>&a;</OBS.R01>',
        b"\x0b<OBS.R01><HDR><HDR.control_id V='9'/>\x1c",
    ],
)
def test_an_unreadable_document_is_kept_and_does_not_stall_the_meter(driver: Make, octets: bytes) -> None:
    host = Host(driver().session())
    ready(host)
    assert said(host.receive(octets)) == ["ACK.R01 AA 9"]
    assert host.journal == [octets.strip(b"\x0b\x1c")]
    assert said(host.receive(observation())) == ["ACK.R01 AA 3"]


def test_an_unreadable_status_is_kept_and_results_are_asked_for(driver: Make) -> None:
    host = Host(driver().session())
    host.open()
    host.receive(hello())
    assert said(host.receive(b"<DST.R01><DST></DST.R01>")) == ["ACK.R01 AA", "REQ.R01 ROBS"]
    assert len(host.journal) == 1


def test_a_document_beyond_the_limit_is_rejected_and_the_next_passes(driver: Make) -> None:
    host = Host(driver(max_document_octets=4096).session())
    ready(host)
    long = observation(service(after=f"<NTE><NTE.text V='{'x' * 20_000_000}'/></NTE>"), "77")
    assert said(host.receive(long)) == ["ACK.R01 AR 77"]
    (rejected,) = host.rejected
    assert rejected.error.reason is FramingReason.TOO_LONG
    assert len(rejected.octets) == 4096
    assert said(host.receive(observation())) == ["ACK.R01 AA 3"]


def test_a_meter_that_floods_an_unconfirmed_host_is_cut_off(driver: Make) -> None:
    session = driver(max_document_octets=4096).session()
    session.opened(0)
    session.receive(observation(), 0)
    events: list[object] = []
    for _ in range(100):
        events += session.receive(b"x" * 1000, 0)
    assert [type(event) for event in events] == [Finished]


def test_events_lists_and_vendor_topics_are_acknowledged_only(driver: Make) -> None:
    host = Host(driver().session())
    ready(host)
    for name in ("EVS.R01", "KPA.R01", "OPL.R01", "PTL.R02", "NOVA.REAG"):
        assert said(host.receive(document(name))) == ["ACK.R01 AA 7"]
    assert host.journal == []


def test_events_are_asked_for_after_results(driver: Make) -> None:
    host = Host(driver().session())
    abilities = '<DSC.topics_supported_cd V="D_EV"/>'
    ready(host, abilities=abilities, more='<DST.new_events_qty V="2"/>')
    assert said(host.receive(EOT)) == ["ACK.R01 AA 8", "REQ.R01 RDEV"]
    assert said(host.receive(document("EVS.R01"))) == ["ACK.R01 AA 7"]
    assert said(host.receive(EOT)) == ["ACK.R01 AA 8", "END.R01 NRM"]


@pytest.mark.parametrize("refusal", [NO, document("ESC.R01", '<ESC><ESC.detail_cd V="BSY"/></ESC>')])
def test_a_meter_that_refuses_its_results_is_reported(driver: Make, refusal: bytes) -> None:
    host = Host(driver().session())
    ready(host)
    assert said(host.receive(refusal))[-1] == "END.R01 NRM"
    host.receive(ACK)
    (finished,) = host.finished
    assert finished.error is not None
    assert finished.error.reason is DeviceReason.REFUSED


def test_a_meter_may_end_the_conversation(driver: Make) -> None:
    host = Host(driver().session())
    ready(host)
    assert said(host.receive(document("END.R01", '<TRM><TRM.reason_cd V="USR"/></TRM>'))) == ["ACK.R01 AA 7"]
    assert host.finished == [Finished(None, close=True)]


CAN_SET = '<DSC.directives_supported_cd V="SET_TIME"/>'
CAN_GO_ON = '<DSC.directives_supported_cd V="START_CONTINUOUS"/>'


def test_the_clock_is_set_only_if_configured_listed_and_wrong(driver: Make) -> None:
    setting = driver(zone="America/New_York", set_time=True)
    # The wall clock is 12:00 UTC, 08:00 in New York, and the meter shows 08:00.
    assert ready(Host(setting.session()), "0", CAN_SET)[1:] == ["END.R01 NRM"]
    host = Host(setting.session())
    host.open()
    host.receive(hello(abilities=CAN_SET))
    sent = said(host.receive(status("0", at="2026-03-14T07:00:00")))
    assert sent[1:] == ["DTV.R02 SET_TIME 2026-03-14T08:00:00-04:00"]
    assert said(host.receive(ACK)) == ["END.R01 NRM"]
    for make, abilities in ((setting, ""), (driver(zone="America/New_York"), CAN_SET)):
        host = Host(make.session())
        host.open()
        host.receive(hello(abilities=abilities))
        assert said(host.receive(status("0", at="2026-03-14T07:00:00")))[1:] == ["END.R01 NRM"]


def test_continuous_mode(driver: Make) -> None:
    host = Host(driver(continuous=True, continuous_silence_s=900).session())
    assert ready(host, "0", CAN_GO_ON)[1:] == ["DTV.R01 START_CONTINUOUS"]
    assert host.receive(ACK) == b""
    assert said(host.receive(document("KPA.R01"))) == ["ACK.R01 AA 7"]
    assert said(host.receive(status("1"))) == ["ACK.R01 AA 2"]
    assert said(host.receive(observation())) == ["ACK.R01 AA 3"]
    assert host.messages == [[hello(abilities=CAN_GO_ON), status("0"), status("1"), observation()]]
    assert host.wait(899) == b""
    host.lost()
    assert host.finished == [Finished(None, close=True)]


def test_a_meter_that_will_not_go_on_continuously_is_dismissed(driver: Make) -> None:
    host = Host(driver(continuous=True).session())
    ready(host, "0", CAN_GO_ON)
    assert said(host.receive(NO)) == ["END.R01 NRM"]


def test_contexts_do_not_pile_up(driver: Make) -> None:
    host = Host(driver().session())
    host.open()
    for _ in range(200):
        host.receive(hello())
        host.receive(status("0"))
    assert len(host.contexts) < 100
    assert host.finished == [Finished(None, close=True)]


def test_it_is_left_to_a_meter_to_hang_up(pt2: Poct1aDriver) -> None:
    host = Host(pt2.session())
    ready_without_reference(host)
    assert said(host.receive(observation() + EOT)) == ["ACK.R01 AA", "ACK.R01 AA"]
    assert host.wait(9) == b""
    assert said(host.wait(1.1)) == ["END.R01 NRM"]
    assert host.wait(5.1) == b""
    assert host.finished == [Finished(None, close=True)]
    host = Host(pt2.session())
    ready_without_reference(host)
    host.receive(observation() + EOT)
    host.lost()
    assert host.finished == [Finished(None, close=True)]


def test_silence_ends_the_conversation_after_the_meters_own_timeout(driver: Make) -> None:
    host = Host(driver().session())
    ready(host)
    assert host.session.deadline_s == 65
    assert host.receive(b"<OBS.R01>") == b""
    host.wait(64)
    assert host.finished == []
    host.wait(2)
    (finished,) = host.finished
    assert finished.close
    assert finished.error is not None
    assert finished.error.reason is TransportReason.TIMED_OUT
    assert [damage.octets for damage in host.rejected] == [b"<OBS.R01>"]


def test_a_silent_connection_is_closed(driver: Make) -> None:
    host = Host(driver(hello_timeout_s=30).session())
    host.open()
    assert host.session.deadline_s == 30
    host.wait(30)
    assert [finished.close for finished in host.finished] == [True]
    patient = driver(hello_timeout_s=0).session()
    patient.opened(0)
    assert patient.deadline_s is None


def test_a_late_acknowledgement_without_reference_is_withheld(pt2: Poct1aDriver, driver: Make) -> None:
    for make, is_sent in ((pt2, False), (driver(), True)):
        session = make.session()
        session.opened(0)
        for octets in (hello(), status(), observation()):
            session.receive(octets, 0)
        events = session.confirm(50)
        assert any(isinstance(event, Send) for event in events) is is_sent
        assert any(isinstance(event, Finished) and event.close for event in events) is not is_sent


def test_a_broken_connection_is_told_apart_from_an_orderly_end(driver: Make) -> None:
    host = Host(driver().session())
    ready(host)
    host.receive(observation()[:100])
    host.lost()
    (finished,) = host.finished
    assert finished.error is not None
    assert finished.error.reason is TransportReason.CLOSED
    assert host.rejected[0].octets == observation()[:100]
    unheard = Host(driver().session())
    unheard.open()
    unheard.lost()
    assert unheard.finished == [Finished(None, close=True)]


@settings(max_examples=300, deadline=None)
@given(
    octets=st.binary(max_size=300)
    | st.text("<>/OBS.R01HELVDCTsvc \"'=&;![]-?\x0b\x1c", max_size=300).map(str.encode)
)
def test_hostile_octets_raise_nothing(octets: bytes) -> None:
    for start in (b"", hello() + status(), b"\x0b"):
        host = Host(Poct1aSession(SessionSettings(), lambda: datetime(2026, 3, 14, tzinfo=UTC)))
        host.open()
        host.receive(start + octets)
        host.wait(1000)
        if not host.finished:
            host.lost()
        assert len(host.finished) == 1


def test_only_known_events_come_out(driver: Make) -> None:
    session = driver().session()
    kinds = {type(event) for event in session.receive(hello() + b"?" + status(), 0)}
    assert kinds == {Context, Send, Rejected}
