"""Secrets: read from files that nobody else may read, and every refusal names file and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.reporting.secrets import SecretError, Secrets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    return folder


def put(folder: Path, name: str, octets: bytes, mode: int = 0o600) -> None:
    (folder / name).write_bytes(octets)
    (folder / name).chmod(mode)


@pytest.mark.parametrize(
    ("octets", "secret"),
    [(b"open", b"open"), (b"open\n", b"open"), (b"open\r\n", b"open"), (b"a\n\n", b"a\n"), (b"", b"")],
)
def test_one_line_end_is_not_part_of_it(folder: Path, octets: bytes, secret: bytes) -> None:
    put(folder, "token", octets)
    assert Secrets(folder).read("token") == secret


def test_a_new_secret_holds_at_once(folder: Path) -> None:
    secrets = Secrets(folder)
    for octets in (b"old", b"new"):
        put(folder, "token", octets)
        assert secrets.read("token") == octets


@pytest.mark.parametrize("name", ["", "../token", "a/b", ".hidden", "x" * 200])
def test_a_name_never_leaves_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(SecretError, match="no name of a secret"):
        Secrets(folder).read(name)


def test_every_refusal_names_the_file_and_the_remedy(folder: Path) -> None:
    with pytest.raises(SecretError, match=r"token: no folder.*set \[delivery\] secrets"):
        Secrets(None).read("token")
    with pytest.raises(SecretError, match=r"secrets/token: cannot be read: No such file.*put it there"):
        Secrets(folder).read("token")
    put(folder, "token", b"x", mode=0o640)
    with pytest.raises(SecretError, match=r"secrets/token: others.*chmod 0600"):
        Secrets(folder).read("token")
    (folder / "folder").mkdir()
    with pytest.raises(SecretError, match=r"is no file|cannot be read"):
        Secrets(folder).read("folder")
    folder.chmod(0o750)
    with pytest.raises(SecretError, match=r"secrets: others.*chmod 0700"):
        Secrets(folder).read("token")


def test_the_content_never_stands_in_an_error(folder: Path) -> None:
    put(folder, "token", b"very secret", mode=0o644)
    with pytest.raises(SecretError) as caught:
        Secrets(folder).read("token")
    assert "very secret" not in str(caught.value)
