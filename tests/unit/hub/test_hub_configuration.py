"""hub.toml: the shipped example works, and every mistake is named with its key and a remedy."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.configuration import ConfigurationError, shipped
from gateway.hub.configuration import AttachmentSection, driver_of, read

MINIMAL = """
[hub]
id = "hub-1"
zone = "America/New_York"
journal = "/tmp/journal.db"
"""


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "hub.toml"
    path.write_text(text)
    return read(path)


def test_the_shipped_example_is_usable() -> None:
    configuration = read(shipped() / "hub.toml")
    assert [driver_of(section).name for section in configuration.attachment] == ["astm"]


def test_the_shipped_example_shows_the_true_defaults(tmp_path: Path) -> None:
    """Every key that is commented out, uncommented: the result is what is there without it."""
    lines = []
    for line in (shipped() / "hub.toml").read_text().splitlines():
        bare = line.removeprefix("# ")
        is_key = line.startswith("# ") and " = " in bare and bare.split(" = ")[0].isidentifier()
        optional = ("username", "password_file", "ca", "certificate", "key", "zone", "capture", "now")
        keep = is_key and bare.split(" = ")[0] not in optional
        lines.append(bare if keep or bare.startswith("[publish]") else line)
    path = tmp_path / "hub.toml"
    path.write_text("\n".join(lines))
    assert tomllib.loads(path.read_text())["publish"]
    assert read(path) == read(shipped() / "hub.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("[hub]\nid = 'h'\n", "hub.zone: Field required", id="missing"),
        pytest.param(MINIMAL.replace("hub-1", "hub/1"), "hub.id", id="id"),
        pytest.param(MINIMAL.replace("New_York", "Springfield"), "no such zone 'America/Springfield'", id="zone"),
        pytest.param(MINIMAL + "keep_day = 3", "hub.keep_day: Extra inputs", id="misspelt"),
        pytest.param(MINIMAL + "[mqtt]\nport = 70000", "mqtt.port", id="port"),
        pytest.param(MINIMAL + "[mqtt.tls]\ncertificate = '/x'", "belong together", id="tls"),
        pytest.param(MINIMAL + "[rig]\nnow = 2026-01-01T00:00:00Z", "hub.origin is simulator", id="rig"),
        pytest.param(
            MINIMAL + 2 * "[[attachment]]\nname = 'm'\naddress = 'tcp-listen://:0'\ndriver = 'astm'\n",
            "attachment.name: m stands there twice",
            id="twice",
        ),
        pytest.param(
            MINIMAL + "".join(f"[[attachment]]\nname = '{n}'\naddress = '/dev/x'\ndriver = 'astm'\n" for n in "ab"),
            "attachment.address: /dev/x stands there twice",
            id="address",
        ),
        pytest.param("[hub", "not valid TOML", id="syntax"),
    ],
)
def test_mistakes_name_the_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
    assert "hub.toml" in str(caught.value)


def test_a_rig_starts_its_clock_where_told(tmp_path: Path) -> None:
    text = MINIMAL + "origin = 'simulator'\n[rig]\nnow = 2026-03-14T08:00:00-04:00\n"
    path = tmp_path / "hub.toml"
    path.write_text(text)
    rig = read(path).rig
    assert rig is not None
    assert rig.now == datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("driver", "profile", "says"),
    [
        ("nonesuch", None, "no driver 'nonesuch'"),
        ("astm", "nonesuch", "shipped profiles are"),
        ("astm", "{folder}/bad.toml", "cannot be read"),
        ("astm", "{folder}/empty.toml", "profile"),
    ],
)
def test_a_driver_that_cannot_be_used_names_its_attachment(
    tmp_path: Path, driver: str, profile: str | None, says: str
) -> None:
    (tmp_path / "bad.toml").write_text("[unfinished")
    (tmp_path / "empty.toml").write_text("")
    profile = None if profile is None else profile.format(folder=tmp_path)
    section = AttachmentSection(name="kitchen", address="tcp-listen://:0", driver=driver, profile=profile)
    with pytest.raises(ConfigurationError, match="attachment kitchen") as caught:
        driver_of(section)
    assert says in str(caught.value)
