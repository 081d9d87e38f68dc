"""Topics name readings, and nothing else is taken for one."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import topics

JOURNAL = UUID("0f0e0d0c-0b0a-4908-8706-050403020100")


@given(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z"), st.uuids(), st.integers(1, 10**18 - 1))
def test_a_reading_topic_reads_back(hub: str, journal: UUID, number: int) -> None:
    assert topics.parse_reading(topics.reading(hub, journal, number)) == topics.ReadingName(hub, journal, number)


@pytest.mark.parametrize(
    "topic",
    [
        f"inr/2/hub/h/reading/{JOURNAL}/1",
        f"inr/1/hub/h/reading/{JOURNAL}/0",
        f"inr/1/hub/h/reading/{JOURNAL}/-1",
        f"inr/1/hub/h/reading/{JOURNAL}/1/2",
        f"inr/1/hub//reading/{JOURNAL}/1",
        "inr/1/hub/h/reading/0f0e0d0c0b0a49088706050403020100----/1",
        "inr/1/hub/h/status",
        "",
    ],
)
def test_what_names_no_reading_is_none(topic: str) -> None:
    assert topics.parse_reading(topic) is None


@given(st.text())
def test_any_text_is_safe(topic: str) -> None:
    topics.parse_reading(topic)
    topics.parse_status(topic)


def test_status_names_its_hub() -> None:
    assert topics.parse_status(topics.status("hub-1")) == "hub-1"
    assert topics.parse_status(topics.receipts("hub-1")) is None
