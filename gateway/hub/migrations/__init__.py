"""Numbered, frozen schema files of the hub journal."""
