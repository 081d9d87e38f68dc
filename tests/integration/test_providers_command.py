"""``inr-gateway providers``: the probe says what a far end really does, and going live asks for a name."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.reporting.channels import mllp_probe
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from simulators.ledger import Ledger
from simulators.provider.behaviour import Script
from simulators.provider.server import Provider
from tests.unit.reporting import receivers, scripted
from tests.unit.reporting.lint import lint, segments
from tests.unit.reporting.receivers import receiver, within
from tests.unit.reporting.scripted import ACCEPTED, DELIVERED, FAR_ENDS, REFUSED, FarEnd
from tests.unit.reporting.stores import Store

Typed = Callable[..., tuple[int, str]]


@contextmanager
def provider(*script: str) -> Iterator[tuple[str, Ledger]]:
    """A simulated provider's system on a socket, in a thread of its own."""
    ledger, ready, box = Ledger(), threading.Event(), dict[str, Any]()

    async def serve() -> None:
        box["loop"], box["end"] = asyncio.get_running_loop(), asyncio.Event()
        serving = Provider(ledger, Script.parse(script))
        box["address"] = "mllp://{}:{}".format(*await serving.start())
        ready.set()
        await box["end"].wait()
        await serving.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield box["address"], ledger
    finally:
        box["loop"].call_soon_threadsafe(box["end"].set)
        thread.join(10)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(mllp_probe, "CLOSES_AT_ONCE_S", 0.1)
    with scripted.installed():
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db", "production")
    (tmp_path / "server.toml").write_text(
        f'[server]\nname = "test"\nstore = "{store.path}"\nrole = "production"\n'
        "[delivery]\nanswer_timeout_s = 0.5\nconnect_timeout_s = 1\n",
        encoding="utf-8",
    )
    yield store
    store.close()


@pytest.fixture
def typed(store: Store, capsys: pytest.CaptureFixture[str]) -> Typed:
    def typing(*words: str) -> tuple[int, str]:
        status = main([words[0], words[1], "--config", str(store.path.parent / "server.toml"), *words[2:]])
        said = capsys.readouterr()
        return status, said.out + said.err

    return typing


def registered(store: Store, address: str, **columns: Any) -> None:
    store.provider("a", address, destination="ehr", live=0, live_at=None, **columns)


def findings(store: Store) -> dict[str, bool]:
    """Names of what the last probe found, and whether each is a danger."""
    text = store.value("SELECT findings FROM probe ORDER BY id DESC LIMIT 1")
    return {each["name"]: each["danger"] for each in json.loads(text)}


def test_a_good_receiver_is_probed_goes_live_and_gets_what_waited(store: Store, typed: Typed) -> None:
    with provider() as (address, ledger):
        registered(store, address)
        store.patient("p", "a")
        store.result("p")
        status, said = typed("providers", "probe", "ehr", "--by", "Ada")
        assert (status, findings(store)) == (0, {"takes-a-repetition": False})
        messages = [line["octets"].encode("latin-1") for line in ledger.lines]
        assert len(messages) == 4
        assert messages[0] == messages[1]
        assert f"control id {ledger.lines[0]['control_id']} is filed once" in said
        for message in messages:
            assert lint(message) == []
            assert segments(message)[0][11] == "T"
            assert segments(message)[1][3].startswith("INR-PROBE^")
        assert store.rows("SELECT 1 FROM report") == []
        assert typed("providers", "go-live", "ehr", "--by", "Ada")[0] == 0
        delivery = Delivery(store.path, Settings(poll_s=0.05), store.clock, "production")
        delivery.start()
        try:
            within(10, lambda: [row[0] for row in store.rows("SELECT state FROM report")] == ["delivered"])
        finally:
            delivery.stop()
    decision = store.rows("SELECT by_name, act, subject, note FROM decision")[-1]
    assert tuple(decision) == ("Ada", "go live", "destination ehr", "")


HABITS: dict[str, tuple[tuple[str, ...], dict[str, bool]]] = {
    "closes after each": (("*=close-after",), {"closes-after-each": False, "takes-a-repetition": False}),
    "commits only": (("*=CA",), {"commit-only": True}),
    "refuses": (("*=AR:204",), {"not-delivered": True}),
    "takes no tests": (("*=AR:202",), {"takes-no-tests": True}),
    "silent": (("*=silent",), {"not-delivered": True}),
    "names another": (("*=wrong-id",), {"not-delivered": True}),
    "half an answer": (("*=half-frame",), {"not-delivered": True}),
    "loses the repetition": (("2=hang-up",), {"repetition-refused": True}),
    "loses the second": (("3=silent",), {"takes-a-repetition": False, "second-lost": True}),
    "slow": (("1=late:0.3",), {"slow": False, "takes-a-repetition": False}),
    "no accents": (("4=AE:102",), {"takes-a-repetition": False, "no-utf-8": False}),
}


@pytest.mark.parametrize(("script", "expected"), HABITS.values(), ids=HABITS)
def test_the_probe_says_what_a_receiver_really_does(
    store: Store, typed: Typed, script: tuple[str, ...], expected: dict[str, bool]
) -> None:
    with provider(*script) as (address, _ledger):
        registered(store, address)
        status, said = typed("providers", "probe", "ehr")
    assert findings(store) == expected
    assert status == int(any(expected.values()))
    assert said.count("DANGER") == sum(expected.values())


def test_a_receiver_that_repeats_an_older_answer_is_known_as_one(store: Store, typed: Typed) -> None:
    with receiver(receivers.repeats_the_first_answer) as far_end:
        registered(store, far_end.address)
        assert typed("providers", "probe", "ehr")[0] == 0
    assert findings(store)["stale-acknowledgements"] is False


def test_nobody_there_is_a_danger(store: Store, typed: Typed) -> None:
    gone = receivers.Receiver(receivers.accepts)
    gone.close()
    registered(store, gone.address)
    status, said = typed("providers", "probe", "ehr")
    assert (status, findings(store)) == (1, {"unreachable": True})
    assert "Connection refused" in said


def test_agreed_commit_only_is_no_danger(store: Store, typed: Typed) -> None:
    with provider("*=CA") as (address, _ledger):
        registered(store, address, settings='{"commit_only":true}')
        assert typed("providers", "probe", "ehr")[0] == 0
    assert findings(store) == {"takes-a-repetition": False}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([DELIVERED], {"delivered": False, "takes-a-repetition": False}),
        ([DELIVERED, REFUSED, DELIVERED], {"delivered": False, "repetition-refused": True}),
        ([REFUSED], {"not-delivered": True}),
        ([ACCEPTED], {"accepted": False, "never-confirms": True, "takes-a-repetition": False}),
        ([DELIVERED, DELIVERED, REFUSED], {"delivered": False, "takes-a-repetition": False, "no-utf-8": False}),
    ],
)
def test_a_channel_without_a_probe_of_its_own_sends_the_same_twice(
    store: Store, typed: Typed, answers: list[Any], expected: dict[str, bool]
) -> None:
    FAR_ENDS["scripted:x"] = far_end = FarEnd(list(answers))
    registered(store, "scripted:x", channel="scripted")
    typed("providers", "probe", "ehr")
    assert findings(store) == expected
    assert far_end.got[:1] == far_end.got[1:2] or len(far_end.got) == 1


# ---------------------------------------------------------------- going live


def test_a_danger_keeps_it_from_going_live_until_somebody_accepts_it_by_name(store: Store, typed: Typed) -> None:
    with provider("*=CA") as (address, _ledger):
        registered(store, address)
        status, said = typed("providers", "go-live", "ehr", "--by", "Ada")
        assert status == 1
        assert "unprobed: it was never probed" in said
        typed("providers", "probe", "ehr")
    status, said = typed("providers", "go-live", "ehr", "--by", "Ada", "--despite", "unprobed")
    assert status == 1
    assert "--despite commit-only" in said
    assert store.value("SELECT live FROM destination") == 0
    words = ("go-live", "ehr", "--by", "Dr Ada", "--despite", "commit-only", "--note", "agreed by letter")
    assert typed("providers", *words)[0] == 0
    assert store.value("SELECT live FROM destination") == 1
    decision = store.rows("SELECT by_name, note FROM decision")[-1]
    assert tuple(decision) == ("Dr Ada", "despite commit-only; agreed by letter")
    assert typed("providers", "go-live", "ehr", "--by", "Ada")[0] == 1


def test_what_has_changed_since_the_probe_is_probed_again(store: Store, typed: Typed) -> None:
    with provider() as (address, _ledger):
        registered(store, address)
        typed("providers", "probe", "ehr")
    store.write("UPDATE destination SET settings = '{\"pause_s\":1}'")
    status, said = typed("providers", "go-live", "ehr", "--by", "Ada")
    assert status == 1
    assert "has changed since it was probed" in said


def test_errors_name_what_is_wrong(store: Store, typed: Typed) -> None:
    assert "there is no destination 'nobody'" in typed("providers", "probe", "nobody")[1]
    assert "there is no destination 'nobody'" in typed("providers", "go-live", "nobody", "--by", "Ada")[1]
    registered(store, "nowhere")
    status, said = typed("providers", "probe", "ehr")
    assert status == 1
    assert "write it as mllp://host:port" in said


def test_an_import_says_what_is_not_live_and_a_new_address_has_to_be_probed_again(
    store: Store, typed: Typed, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.toml"
    text = '[[providers]]\nid = "b"\nname = "B"\n[[destinations]]\nid = "b1"\nprovider = "b"\naddress = "{}"\n'
    rows.write_text(text.format("mllp://127.0.0.1:1"), encoding="utf-8")
    assert "b1 is not live: 'providers probe b1'" in typed("registry", "import", str(rows))[1]
    assert typed("providers", "go-live", "b1", "--by", "Ada", "--despite", "unprobed")[0] == 0
    first = store.value("SELECT live_at FROM destination")
    rows.write_text(text.format("mllp://127.0.0.1:1") + "rank = 2\n[destinations.settings]\npause_s = 1\n")
    assert "not live" not in typed("registry", "import", str(rows))[1]
    assert store.value("SELECT settings FROM destination") == '{"pause_s":1.0}'
    rows.write_text(text.format("mllp://127.0.0.1:2"), encoding="utf-8")
    assert "b1 is not live" in typed("registry", "import", str(rows))[1]
    assert store.value("SELECT live FROM destination") == 0
    assert typed("providers", "go-live", "b1", "--by", "Ada", "--despite", "unprobed")[0] == 0
    assert store.value("SELECT live_at FROM destination") == first
