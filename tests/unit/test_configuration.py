"""A configuration that cannot be used says where and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.configuration import ConfigurationError, Section, load, shipped
from gateway.mqtt.configuration import Mqtt


class Example(Section):
    mqtt: Mqtt = Mqtt()


def write(folder: Path, text: str) -> Path:
    file = folder / "example.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_empty_file_means_safe_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path, ""), Example).mqtt.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[mqtt]\nprot = 1", "mqtt.prot"),
        ("[mqtt]\nport = 70000", "mqtt.port"),
        ('[mqtt.tls]\ncertificate = "a"', "certificate and key"),
        ("[mqtt", "not valid TOML"),
    ],
)
def test_the_key_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as refused:
        load(write(tmp_path, text), Example)
    assert "example.toml" in str(refused.value)


def test_every_unfit_key_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(write(tmp_path, "[mqtt]\nport = 0\nkeepalive_s = 1"), Example)
    assert "mqtt.port" in str(refused.value)
    assert "mqtt.keepalive_s" in str(refused.value)


def test_a_missing_file_points_to_the_examples(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="examples"):
        load(tmp_path / "absent.toml", Example)


def test_the_shipped_folder_is_there() -> None:
    assert (shipped() / "schemas").is_dir()
