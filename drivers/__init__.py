"""Meter drivers: octets in, events and records out. Knows nothing of MQTT, patients or money."""
