"""The PDF report as a file in a partner's folder, over SFTP with a pinned host key.

``NAME.part`` is written, read back, compared, and only then given its name: that is level *accepted*. The partner's
receipt file is level *delivered*. A file that lies there already is not written again, whatever is asked for twice.
"""

from __future__ import annotations

from importlib.util import find_spec

from gateway.reporting.channels import document
from gateway.reporting.channels.base import Channel
from gateway.reporting.channels.sftp.sender import sender
from gateway.reporting.channels.sftp.settings import SftpSettings, check_address

__all__ = ["CHANNEL"]

for _package in ("asyncssh", "reportlab"):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"channel sftp needs {_package}", name=_package)

CHANNEL = Channel(
    name="sftp",
    settings=SftpSettings,
    check_address=check_address,
    render=document.render,
    sender=sender,
    summary=True,
)
