"""A signed JSON report to a web service of the provider.

The request. ``POST`` with ``Content-Type: application/json`` and a body of schema ``inr-gateway/report/1``, and

* ``webhook-id``: the report's control id, in the body as ``id``; the same on every repetition, so that a receiver
  that has it already answers as before and keeps one. ``Idempotency-Key`` is the same.
* ``webhook-timestamp``: seconds since 1970, when this try was signed. Refuse what is older than some minutes.
* ``webhook-signature``: ``v1,BASE64`` over ``id.timestamp.body`` with HMAC-SHA256, one for each key, parted by a
  blank. One right signature is enough.

The answer. Any 2xx means *accepted*: a web server has taken the post. To say that the application has the result,
which is *delivered*, answer 2xx with a JSON object whose member ``received`` is the id::

    {"received": "ABCDEFGHIJKLMNOPQRST"}

Where ``signed_receipts`` is agreed, that answer also carries ``webhook-timestamp`` and ``webhook-signature`` over
``id.timestamp.body`` of the answer, with one of the same keys. A signature that is given and wrong never counts.
An answer that names another id is no answer to this report; the report is sent again.

408, 425, 429 and 5xx mean "not now" (``Retry-After`` is kept to); every other status waits for a person; redirects
are not followed.
"""

from __future__ import annotations

from importlib.util import find_spec

from gateway.reporting.channels.base import Channel
from gateway.reporting.channels.webhook.sender import WebhookSender
from gateway.reporting.channels.webhook.settings import WebhookSettings, check_address
from gateway.reporting.reportable import ReportableResult

__all__ = ["CHANNEL"]

if find_spec("httpx") is None:
    raise ModuleNotFoundError("channel webhook needs httpx", name="httpx")


def render(report: ReportableResult, _settings: WebhookSettings) -> bytes:
    """The body of the post, without its line end."""
    from gateway.reporting.message import message

    return message(report).model_dump_json(by_alias=True).encode()


CHANNEL = Channel(
    name="webhook",
    settings=WebhookSettings,
    check_address=check_address,
    render=render,
    sender=WebhookSender,
)
