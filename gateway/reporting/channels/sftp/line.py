"""A connection to an SFTP server whose host key is the pinned one, and what its errors mean.

Sources: RFC 4251 chapter 4.1 (a host key must be known beforehand), draft-ietf-secsh-filexfer-02 (version 3).
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gateway.reporting.channels.base import Circumstances, SecretError
from gateway.reporting.channels.sftp.settings import Place, SftpSettings

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Line", "UnreachableError", "connect"]


class UnreachableError(Exception):
    """No connection that can be trusted; the message says why."""


class Line:
    """An open connection.

    Attributes:
        host_key: SHA-256 of the server's host key, hexadecimal.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection, files: asyncssh.SFTPClient, host_key: str) -> None:
        self._connection = connection
        self.files = files
        self.host_key = host_key

    @property
    def stands(self) -> bool:
        """Whether it was not closed by either side."""
        return not self._connection.is_closed()

    async def close(self) -> None:
        """End it, politely as long as it stands."""
        self.files.exit()
        self._connection.close()
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(2):
                await self._connection.wait_closed()


async def connect(place: Place, settings: SftpSettings, circumstances: Circumstances) -> Line:
    """Connect and log in.

    Raises:
        UnreachableError: no connection, not the pinned host key, or our key or password is not taken.
    """
    import asyncssh

    pinned = _Pinned(settings)
    patience_s = circumstances.delivery.connect_timeout_s
    try:
        async with asyncio.timeout(patience_s):
            connection, _ = await asyncssh.create_connection(
                pinned.client,
                place.host,
                place.port,
                username=place.user,
                known_hosts=_known_hosts(settings),
                config=[],  # not what stands in the ~/.ssh of whoever runs the server
                agent_path=None,
                x509_trusted_certs=None,
                keepalive_interval=30,
                **_login(settings, circumstances),
            )
            files = await connection.start_sftp_client()
    except TimeoutError:
        raise UnreachableError(f"no SFTP connection within {patience_s:g} s") from None
    except asyncssh.HostKeyNotVerifiable:
        seen = f": it is {pinned.seen}" if pinned.seen else ""
        raise UnreachableError(
            f"the server's host key is not the pinned one{seen}; ask the partner before you change the settings"
        ) from None
    except asyncssh.PermissionDenied:
        raise UnreachableError("the server takes neither our key nor our password") from None
    except ValueError as error:  # a secret, or a line of known_hosts, that cannot be used
        raise UnreachableError(str(error)) from None
    except (OSError, asyncssh.Error) as error:
        raise UnreachableError(
            f"cannot connect: {error.strerror if isinstance(error, OSError) else error}"
        ) from None
    key = connection.get_server_host_key()
    return Line(connection, files, _digest(key) if key is not None else "")


class _Pinned:
    """Says yes to a host key with one of the fingerprints, and remembers what the server showed."""

    def __init__(self, settings: SftpSettings) -> None:
        self._fingerprints = settings.host_keys
        self.seen = ""

    def client(self) -> asyncssh.SSHClient:
        import asyncssh

        pinned = self

        class Client(asyncssh.SSHClient):
            def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
                pinned.seen = key.get_fingerprint()
                return pinned.seen in pinned._fingerprints

        return Client()


def _known_hosts(settings: SftpSettings) -> Any:
    """What the library compares with before it asks `_Pinned`. Never None: that would trust any host."""
    if settings.known_hosts is None:
        return [], [], []
    try:
        return settings.known_hosts.read_bytes()
    except OSError as error:
        raise UnreachableError(
            f"{settings.known_hosts}: cannot be read: {error.strerror}; nothing is trusted without it"
        ) from None


def _login(settings: SftpSettings, circumstances: Circumstances) -> dict[str, Any]:
    """Raises SecretError, or asyncssh.KeyImportError for a file that is no private key."""
    import asyncssh

    read = circumstances.secrets.read
    keys = []
    if settings.key is not None:
        passphrase = None if settings.key_passphrase is None else read(settings.key_passphrase).decode()
        try:
            keys.append(asyncssh.import_private_key(read(settings.key), passphrase))
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise SecretError(f"secret {settings.key}: no private key that can be used ({error})") from None
    password = None if settings.password is None else read(settings.password).decode()
    return {"client_keys": keys or None, "password": password}


def _digest(key: asyncssh.SSHKey) -> str:
    fingerprint = key.get_fingerprint().removeprefix("SHA256:")
    return base64.b64decode(fingerprint + "=").hex()
