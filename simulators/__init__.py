"""Meters and provider systems that do not exist, written from the specifications alone."""
