"""Transports move octets and nothing else; only here are pyserial, pyusb and bleak imported."""
