"""Readings and receipts as they travel between hub and server; both sides import them from here."""
