"""What one SFTP partner wants: where, as whom, which host key, which receipts."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, StringConstraints, model_validator

from gateway.reporting.channels.agreement import Agreement
from gateway.reporting.channels.document import DocumentSettings

__all__ = ["Place", "SftpSettings", "check_address", "place"]

SecretName = Annotated[str, StringConstraints(min_length=1, max_length=127)]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]
Pattern = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\\]{1,300}$")]


class SftpSettings(DocumentSettings):
    """Settings of a destination of channel ``sftp``; those of the PDF report are among them.

    The host key is pinned and never taken on trust: the partner gives its fingerprint (``ssh-keygen -lf`` prints
    it), or a file in the form of OpenSSH's known_hosts. Two fingerprints bridge a change of key.
    """

    key: Annotated[SecretName | None, Field(description="name of the secret with our private key (OpenSSH)")] = None
    key_passphrase: Annotated[SecretName | None, Field(description="name of the secret that opens the key")] = None
    password: Annotated[SecretName | None, Field(description="name of the secret with our password")] = None
    host_keys: Annotated[
        tuple[Fingerprint, ...], Field(description="fingerprints of the host key, like SHA256:47DEQpj8...")
    ] = ()
    known_hosts: Annotated[Path | None, Field(description="a file in the form of OpenSSH's known_hosts")] = None
    prefix: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_-]{0,40}$", description="what file names begin with; letters, digits, - _")
    ] = "INR_"
    """Before control id and ``.pdf``: the name says nothing of a patient, and a resend has the same."""
    read_back: Annotated[bool, Field(description="true or false")] = True
    """False: the server is a letter box that lets nobody read. Then an upload proves no more than ``sent``."""
    receipt: Annotated[
        Pattern | None, Field(description="where the partner's receipt lies, like ../receipts/{name}.ok")
    ] = None
    """``{name}`` is the file's name, ``{id}`` the control id; without a leading / it starts at the folder."""
    receipt_has_digest: Annotated[bool, Field(description="true or false")] = False
    """True: a receipt counts only if it holds the SHA-256 of the file, in hexadecimal."""
    receipt_wait_s: Annotated[
        float, Field(ge=0, le=300, description="seconds to wait for the receipt before the next report is sent")
    ] = 5.0
    """A receipt that comes later is found too: an accepted report is looked after at growing intervals."""
    refusal: Annotated[
        Pattern | None, Field(description="where the partner puts what it cannot use, like ../errors/{name}.err")
    ] = None
    accepted_is_enough: Annotated[
        Agreement | None,
        Field(description="who signed that an accepted file is the agreed way: by = ..., on = ..."),
    ] = None

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        if not self.host_keys and self.known_hosts is None:
            raise ValueError("the host key is not pinned; give host_keys or known_hosts as the partner told you")
        if self.key is None and self.password is None:
            raise ValueError("nothing to log in with; give key or password, the name of a secret")
        for name in ("receipt", "refusal"):
            pattern = getattr(self, name)
            if pattern is not None and "{name}" not in pattern and "{id}" not in pattern:
                raise ValueError(
                    f"{name}: holds neither {{name}} nor {{id}}; one file would answer for all reports"
                )
        return self

    def file_name(self, control_id: str) -> str:
        """The name of a report's file."""
        return f"{self.prefix}{control_id}.pdf"

    def beside(self, folder: PurePosixPath, pattern: str, control_id: str) -> str:
        """The path of a receipt or a refusal."""
        name = self.file_name(control_id)
        return str(folder / pattern.replace("{name}", name).replace("{id}", control_id))


class Place(NamedTuple):
    """Where reports go. `folder` is absolute, or starts at the user's home."""

    user: str
    host: str
    port: int
    folder: PurePosixPath


def place(address: str) -> Place:
    """The parts of ``sftp://user@host:port/folder``; ``/~/folder`` starts at the user's home.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(address)
    try:
        port = parts.port or 22
    except ValueError:
        port = 0
    user, path = unquote(parts.username or ""), unquote(parts.path)
    right = parts.scheme == "sftp" and parts.hostname and port and user and not (parts.query or parts.fragment)
    if not right or parts.password is not None or not path.startswith("/") or ".." in path.split("/"):
        raise ValueError(
            "this is no SFTP address; write it as sftp://user@host:port/folder, the password as a secret of its own"
        )
    folder = PurePosixPath(path.removeprefix("/~/") or ".") if path.startswith("/~/") else PurePosixPath(path)
    return Place(user, parts.hostname or "", port, folder)


def check_address(address: str) -> str:
    """The address, if it is one. Raises ValueError as `place` does."""
    place(address)
    return address
