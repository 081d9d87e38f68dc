from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from drivers.errors import DriverError
from drivers.meters.poct1a import Poct1aDriver
from drivers.protocols.poct1a.dump import messages
from tests.protocol.poct1a.made import hello, observation, status


def test_one_object_for_each_document_with_every_field_and_its_offset(vector: Callable[[str], bytes]) -> None:
    octets = b"\n".join(vector(f"device_{name}.xml") for name in ("hel_r01_nova", "dst_r01_nova", "obs_r01_nova"))
    found = [json.loads(json.dumps(message)) for message in messages(octets)]
    assert [(message["message"], message["name"], message["control_id"]) for message in found] == [
        (1, "HEL.R01", "7135"),
        (2, "DST.R01", "1019"),
        (3, "OBS.R01", "10003"),
    ]
    for message in found:
        assert octets[message["offset"] :].startswith(b"<" + message["name"].encode())
        assert check_places(message, octets) > 5
    service = found[2]["objects"][1]
    observation_part = next(part for part in service["objects"][0]["objects"] if part["name"] == "OBS")
    value = next(field for field in observation_part["fields"] if field["name"] == "OBS.value")
    assert value["attributes"] == {"V": "145", "U": "mg/dL"}


def check_places(part: dict[str, object], octets: bytes) -> int:
    fields, objects = part.get("fields", []), part.get("objects", [])
    assert isinstance(fields, list)
    assert isinstance(objects, list)
    for inner in (*fields, *objects):
        assert octets[inner["offset"] :].startswith(b"<" + inner["name"].encode())
    return len(fields) + sum(check_places(inner, octets) for inner in objects)


def test_an_observation_carries_what_a_driver_needs(pt2: Poct1aDriver) -> None:
    *_, last = messages(b"\x0b" + hello() + b"\x1c\r" + status() + observation())
    decoded = pt2.decode([base64.b64decode(last["octets"])])
    assert decoded == pt2.decode([hello() + status() + observation()])
    assert decoded.meter.serial == "S1"


@pytest.mark.parametrize(
    ("octets", "offset"),
    [
        (b"", 0),
        (b" \n", 2),
        (b"rubbish", 0),
        (hello() + b"rubbish", len(hello())),
        (hello() + b"\n<OBS.R01><SVC></OBS.R01>", len(hello()) + 17),
        (hello() + b"<OBS.R01>", len(hello())),
        (b"<html></html>", 0),
        (b"<HEL.R01/><!DOCTYPE OBS.R01 [<!ENTITY a 'b'>]><OBS.R01>&a;</OBS.R01>", 28),
    ],
)
def test_what_is_no_poct1a_names_the_offset(octets: bytes, offset: int) -> None:
    with pytest.raises(DriverError) as refused:
        list(messages(octets))
    assert refused.value.offset == offset
    assert f"octet {offset}" in str(refused.value) or not octets.strip()
