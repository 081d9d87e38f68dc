"""Numbered, frozen schema files of the store."""
