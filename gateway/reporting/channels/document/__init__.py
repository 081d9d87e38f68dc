"""A result as a PDF: one page that a physician reads in half a minute, and the same octets every time it is made.

`compose` chooses the words, `page` and `picture` draw them. The channels that carry files use `render`.
"""

from __future__ import annotations

from gateway.reporting.channels.document.settings import DocumentSettings
from gateway.reporting.reportable import ReportableResult, UnreportableError

__all__ = ["DocumentSettings", "render"]


def render(report: ReportableResult, settings: DocumentSettings) -> bytes:
    """The PDF report of one result.

    Raises:
        UnreportableError: the library that draws is not installed, or a font that the settings name cannot be used.
    """
    from gateway.reporting.channels.document import compose, page
    from gateway.reporting.channels.document.pen import FontError

    try:
        return page.draw(compose.of_result(report, settings), settings.paper, settings.more_fonts)
    except (FontError, page.PaperError) as error:
        raise UnreportableError(str(error)) from None
