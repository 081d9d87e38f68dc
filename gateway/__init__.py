"""The home INR gateway: hub, ingestion server, reporting.

The rooms and who may import whom are drawn in ``docs/architecture.md``; a test enforces it.
"""

__version__ = "0.1.0"
