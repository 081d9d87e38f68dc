"""A notice by e-mail that a report is ready, with a link and without anything of patient or result.

The mail server's 250 is level *sent* and no more: where the mail went from there, and whether somebody read it, it
does not say. TLS is required, except towards this machine.
"""

from __future__ import annotations

from gateway.reporting.channels.base import Channel
from gateway.reporting.channels.email.notice import render
from gateway.reporting.channels.email.sender import EmailSender
from gateway.reporting.channels.email.settings import EmailSettings, check_address

__all__ = ["CHANNEL"]

CHANNEL = Channel(
    name="email",
    settings=EmailSettings,
    check_address=check_address,
    render=render,
    sender=EmailSender,
)
