"""POCT1-A2 device messaging (CLSI POCT1-A2, Device Messaging Layer): octets in, events and octets out.

Modules: `framing` finds whole documents in a stream, `documents` reads one into named fields, `conversation` knows
what the host says next, `replies` writes it, `session` joins them to the driver contract, `dump` is the door for
``inr-gateway decode``.
"""
