"""Reporting: forward results to the treating provider, keep the evidence, tally tests toward units of service."""
