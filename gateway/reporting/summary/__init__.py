"""How a patient's INR has been over a time: time in range, tests in range, variability.

Pure functions over exact numbers: no clock, no file, no rounding before a figure is shown.
"""

from gateway.reporting.summary.make import Summary, percent, shown, summarise
from gateway.reporting.summary.points import Measured, Point, Target, daily
from gateway.reporting.summary.rosendaal import GAP_LIMIT_DAYS, InRange, by_day, covered, in_range
from gateway.reporting.summary.variability import deviation, fihn, growth_rate

__all__ = [
    "GAP_LIMIT_DAYS",
    "InRange",
    "Measured",
    "Point",
    "Summary",
    "Target",
    "by_day",
    "covered",
    "daily",
    "deviation",
    "fihn",
    "growth_rate",
    "in_range",
    "percent",
    "shown",
    "summarise",
]
