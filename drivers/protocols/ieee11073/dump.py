"""Any 20601 octets as plain structures: one object for each APDU, every field named, nested lists nested.

Scan reports and stored segments come with their observations resolved when the input, or the octets given beside
it, hold the configuration report (and for segments the segment information) they need. Offsets count from the start
of the input. ``octets`` is what a driver can decode alone, in base64: the APDU, for reports behind its contexts.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from drivers.errors import FramingError, FramingReason, ProtocolError, ProtocolReason
from drivers.protocols.ieee11073 import apdu as a
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.configuration import ConfigReply, ConfigReport
from drivers.protocols.ieee11073.information import Information, read_action, read_event
from drivers.protocols.ieee11073.mder import Reader
from drivers.protocols.ieee11073.message import Damaged, read_message, split, surroundings_of
from drivers.protocols.ieee11073.reports import Observation
from drivers.protocols.ieee11073.scans import DataReply, Form, ScanReport
from drivers.protocols.ieee11073.segments import SegmentData, SegmentList
from drivers.protocols.ieee11073.values import attribute, code, number_or_text, value

__all__ = ["messages"]

_AARE_RESULTS = {
    0: "accepted",
    1: "rejected-permanent",
    2: "rejected-transient",
    3: "accepted-unknown-config",
    4: "rejected-no-common-protocol",
    5: "rejected-no-common-parameter",
    6: "rejected-unknown",
    7: "rejected-unauthorized",
    8: "rejected-unsupported-assoc-version",
}
_ABORTS = {0: "undefined", 1: "buffer-overflow", 2: "response-timeout", 3: "configuration-timeout"}
_CONFIG_RESULTS = {0: "accepted-config", 1: "unsupported-config", 2: "standard-config-unknown"}
_KINDS = {
    a.Aarq: "AARQ",
    a.Aare: "AARE",
    a.Rlrq: "RLRQ",
    a.Rlre: "RLRE",
    a.Abrt: "ABRT",
}
_OPERATIONS = {
    a.EventReply: "rors-cmip-confirmed-event-report",
    a.Get: "roiv-cmip-get",
    a.GetReply: "rors-cmip-get",
    a.SetReply: "rors-cmip-confirmed-set",
    a.ActionReply: "rors-cmip-confirmed-action",
    a.OperationError: "roer",
    a.OperationReject: "rorj",
}
_INVOKED = {a.EventReport: "event-report", a.Set: "set", a.Action: "action"}


def messages(octets: bytes, configuration: bytes = b"") -> Iterator[dict[str, Any]]:
    """Yield one structure for each APDU, in order.

    Args:
        octets: APDUs one after another.
        configuration: APDUs that tell what reports need: a configuration report, possibly with the association
            request, the answer to GET and segment information around it.

    Raises:
        DriverError: at the first octet that does not fit, with its offset from the start of `octets`.
    """
    if not octets:
        raise FramingError("there is no APDU in the input", FramingReason.UNEXPECTED, offset=0)
    contexts = tuple(enumerate(split(configuration)))
    position, number = 0, 0
    while position < len(octets):
        number += 1
        size = 4 + int.from_bytes(octets[position + 2 : position + 4], "big")
        whole = octets[position : position + size]
        try:
            apdu = a.decode(whole)
            shown, is_context = _shown(apdu, contexts, whole, position)
        except ProtocolError as error:
            offset = position + (error.offset or 0)
            message = f"APDU {number}, from octet {position}: {error}"
            raise ProtocolError(message, ProtocolReason(error.reason), offset=offset) from error
        alone = b"".join(each for _, each in contexts) + whole if "observations" in shown else whole
        yield {
            "message": number,
            "protocol": "ieee11073",
            "offset": position,
            "length": len(whole),
            **shown,
            "octets": b64encode(alone).decode(),
        }
        if is_context:
            contexts = (*contexts, (len(contexts), whole))
        position += len(whole)


def _shown(
    apdu: a.Apdu, contexts: tuple[tuple[int, bytes], ...], whole: bytes, base: int
) -> tuple[dict[str, Any], bool]:
    """The fields of an APDU, and whether later ones need it."""
    if type(apdu) in _KINDS:
        return {"apdu": _KINDS[type(apdu)], **_association(apdu, base)}, isinstance(apdu, a.Aarq)
    shown: dict[str, Any] = {"apdu": "PRST", "operation": _operation(apdu)}
    information: Information | None = None
    if isinstance(apdu, a.EventReport | a.EventReply):
        information = read_event(apdu)
        shown |= _common(apdu) | {"event": code(apdu.event, mdc.EVENTS), "event-time": apdu.time}
        shown |= {"info": _information(information, apdu.info, base)}
    elif isinstance(apdu, a.Action | a.ActionReply):
        information = read_action(apdu)
        shown |= _common(apdu) | {"action": code(apdu.action, mdc.ACTIONS)}
        shown |= {"info": _information(information, apdu.info, base)}
    elif isinstance(apdu, a.GetReply | a.SetReply):
        shown |= _common(apdu) | {"attributes": [attribute(each, base) for each in apdu.attributes]}
    elif isinstance(apdu, a.Get):
        shown |= _common(apdu) | {"attributes": [code(each, mdc.ATTRIBUTES) for each in apdu.attributes]}
    elif isinstance(apdu, a.Set):
        changes = [{"operator": each, **attribute(change, base)} for each, change in apdu.changes]
        shown |= _common(apdu) | {"changes": changes}
    elif isinstance(apdu, a.OperationError):
        shown |= {"invoke-id": apdu.invoke_id, "error": apdu.value, "parameter": apdu.parameter.hex()}
    elif isinstance(apdu, a.OperationReject):
        shown |= {"invoke-id": apdu.invoke_id, "problem": apdu.problem}
    if isinstance(information, ScanReport | SegmentData | DataReply):
        _resolve(shown, contexts, whole)
    is_context = isinstance(information, ConfigReport | SegmentList) or isinstance(apdu, a.GetReply)
    return shown, is_context


def _operation(apdu: a.Apdu) -> str:
    if isinstance(apdu, a.EventReport | a.Set | a.Action):
        return f"roiv-cmip-{'confirmed-' if apdu.confirmed else ''}{_INVOKED[type(apdu)]}"
    return _OPERATIONS[type(apdu)]


def _common(apdu: a.Apdu) -> dict[str, Any]:
    return {name: getattr(apdu, name.replace("-", "_")) for name in ("invoke-id", "handle")}


def _association(apdu: a.Apdu, base: int) -> dict[str, Any]:
    if isinstance(apdu, a.Aarq):
        return {
            "assoc-version": f"{apdu.version:08X}",
            "protocols": [_protocol(each, base) for each in apdu.protocols],
        }
    if isinstance(apdu, a.Aare):
        result = {"code": apdu.result, "name": _AARE_RESULTS.get(apdu.result)}
        return {"result": result, "protocol": _protocol(apdu.protocol, base)}
    if isinstance(apdu, a.Abrt):
        return {"reason": {"code": apdu.reason, "name": _ABORTS.get(apdu.reason)}}
    reason = apdu.reason if isinstance(apdu, a.Rlrq | a.Rlre) else 0
    return {"reason": {"code": reason, "name": "normal" if reason == 0 else None}}


def _protocol(protocol: a.DataProtocol, base: int) -> dict[str, Any]:
    told = protocol.information
    if isinstance(told, bytes):
        return {"data-proto-id": protocol.id, "info": told.hex()}
    return {
        "data-proto-id": protocol.id,
        "protocol-version": f"{told.protocol_version:08X}",
        "encoding-rules": f"{told.encoding_rules:04X}",
        "nomenclature-version": f"{told.nomenclature_version:08X}",
        "functional-units": f"{told.functional_units:08X}",
        "system-type": f"{told.system_type:08X}",
        "system-id": told.system_id.hex().upper(),
        "dev-config-id": f"{told.config_id:04X}",
        "data-req-mode-flags": f"{told.request_mode_flags:04X}",
        "init-agent-count": told.agent_requests,
        "init-manager-count": told.manager_requests,
        "options": [attribute(each, base) for each in told.options],
    }


def _information(information: Information | None, info: bytes, base: int) -> Any:
    if information is None:
        return info.hex() or None
    if isinstance(information, ConfigReport):
        return {
            "config-report-id": f"{information.config_id:04X}",
            "objects": [
                {
                    "class": code(each.object_class, mdc.CLASSES),
                    "handle": each.handle,
                    "attributes": [attribute(one, base) for one in each.attributes],
                }
                for each in information.objects
            ],
        }
    if isinstance(information, ConfigReply):
        return {
            "config-report-id": f"{information.config_id:04X}",
            "result": {"code": information.result, "name": _CONFIG_RESULTS.get(information.result)},
        }
    if isinstance(information, ScanReport):
        return _scan_report(information, base)
    if isinstance(information, SegmentList):
        return [
            {"instance": each.instance, "attributes": [attribute(one, base) for one in each.attributes]}
            for each in information.segments
        ]
    if isinstance(information, DataReply):
        report = information.report()
        return {
            "rel-time-stamp": information.time,
            "result": information.result,
            "event": code(information.event, mdc.EVENTS),
            "info": _scan_report(report, base) if report is not None else information.info.hex() or None,
        }
    shown = {each.name.replace("_", "-"): getattr(information, each.name) for each in fields(information)}
    shown.pop("at", None)
    return {name: value(content) for name, content in shown.items()}


def _scan_report(report: ScanReport, base: int) -> dict[str, Any]:
    scans: list[dict[str, Any]] = []
    for scan in report.scans:
        shown: dict[str, Any] = {"offset": base + scan.at, "handle": scan.handle}
        if scan.person is not None:
            shown["person-id"] = scan.person
        if report.form is Form.VARIABLE:
            told = a.attribute_list(Reader(scan.octets, scan.at))
            shown["attributes"] = [attribute(each, base) for each in told]
        else:
            shown["data"] = scan.octets.hex()
        scans.append(shown)
    return {
        "form": str(report.form),
        "by-person": report.by_person,
        "data-req-id": f"{report.request_id:04X}",
        "scan-report-no": report.number,
        "scans": scans,
    }


def _resolve(shown: dict[str, Any], contexts: tuple[tuple[int, bytes], ...], whole: bytes) -> None:
    """Add the observations, if the configuration they need is known."""
    if not surroundings_of(contexts).configuration.objects:
        return
    found: list[dict[str, Any]] = []
    shown["observations"] = found
    for part in read_message((*(octets for _, octets in contexts), whole)).parts:
        if isinstance(part, Damaged):
            found.append({"error": str(part.error)})
        else:
            found.extend(_observation(each) for each in part.observations)


def _observation(observation: Observation) -> dict[str, Any]:
    unit = observation.unit
    shown: dict[str, Any] = {
        "handle": observation.handle,
        "type": None if observation.type is None else code(observation.type, mdc.TERMS),
        "unit": None if unit is None else {"code": unit, "name": mdc.UNITS.get(unit, (None,))[0]},
        "values": {
            mdc.name(mdc.ATTRIBUTES, identifier): number_or_text(identifier, told, observation.type)
            for identifier, told in observation.values.items()
        },
    }
    if observation.person is not None:
        shown["person-id"] = observation.person
    return shown
