"""The registry: what is built in, what a package adds, and a broken package that harms only itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers import registry
from drivers.meters.astm import AstmDriver

Install = Callable[..., None]

PACKAGE = """
from drivers.contract import ConfirmedBy, Decoded, Driver, MeterIdentity

class Good(Driver):
    name = "good"
    summary = "a third party's driver"
    evidence = "none"
    confirmed_by = ConfirmedBy.NONE
    transports = frozenset({"tcp"})
    def __init__(self, profile): pass
    def session(self, unfinished=()): raise NotImplementedError
    def decode(self, pieces): return Decoded(MeterIdentity(None, None), None, ())

class Unfinished(Driver):
    name = "unfinished"

class Renamed(Good):
    name = "other"

def decode(octets):
    yield {"octets": octets.hex()}

nothing = 7
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution with entry points where Python looks for packages."""

    def put(name: str, entry_points: str) -> None:
        (tmp_path / "third_party_meters.py").write_text(PACKAGE)
        information = tmp_path / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(entry_points)

    monkeypatch.syspath_prepend(str(tmp_path))
    return put


def test_the_drivers_that_are_built_in() -> None:
    assert registry.get("astm") is AstmDriver
    offer = next(offer for offer in registry.available() if offer.name == "astm")
    assert (offer.driver, offer.problem) == (AstmDriver, None)
    assert "astm" in registry.protocols()


def test_a_package_adds_a_driver_and_a_decoder(install: Install) -> None:
    install(
        "third-party",
        "[inr_gateway.drivers]\ngood = third_party_meters:Good\n"
        "[inr_gateway.decoders]\ngood = third_party_meters:decode\n",
    )
    assert registry.get("good").summary == "a third party's driver"
    offer = next(offer for offer in registry.available() if offer.name == "good")
    assert (offer.provider, offer.problem) == ("third-party", None)
    assert list(registry.decoder("good")(b"\x05")) == [{"octets": "05"}]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no_such_module:Driver", "No module named"),
        ("third_party_meters:Missing", "Missing"),
        ("third_party_meters:nothing", "no subclass"),
        ("third_party_meters:decode", "no subclass"),
        ("third_party_meters:Unfinished", "evidence"),
        ("third_party_meters:Renamed", "'other'"),
    ],
)
def test_a_broken_package_is_an_error_for_that_name_alone(install: Install, value: str, says: str) -> None:
    install("broken-meters", f"[inr_gateway.drivers]\nbroken = {value}\ngood = third_party_meters:Good\n")
    with pytest.raises(registry.NotUsableError, match="broken") as raised:
        registry.get("broken")
    assert says in str(raised.value)
    offers = {offer.name: offer for offer in registry.available()}
    assert offers["broken"].driver is None
    assert says in (offers["broken"].problem or "")
    assert offers["good"].problem is None
    assert offers["astm"].problem is None


def test_a_name_that_two_packages_claim_is_used_for_neither(install: Install) -> None:
    install("one", "[inr_gateway.drivers]\ngood = third_party_meters:Good\n")
    install("two", "[inr_gateway.drivers]\ngood = third_party_meters:Good\n")
    with pytest.raises(registry.NotUsableError, match="one and two"):
        registry.get("good")


def test_a_name_of_ours_cannot_be_taken(install: Install) -> None:
    install("taker", "[inr_gateway.drivers]\nastm = third_party_meters:Good\n")
    assert registry.get("astm") is AstmDriver
    taken = [offer for offer in registry.available() if offer.provider == "taker"]
    assert [offer.driver for offer in taken] == [None]
    assert "taken" in (taken[0].problem or "")


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(registry.NotUsableError, match=r"installed are.*astm"):
        registry.get("coaguchek")
    with pytest.raises(registry.NotUsableError, match="decoder 'hl7'"):
        registry.decoder("hl7")


def test_asking_for_a_built_in_driver_imports_no_serial_library() -> None:
    program = (
        "import sys; from drivers import registry; registry.get('astm'); registry.protocols();"
        "print([name for name in ('serial', 'usb', 'bleak', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
