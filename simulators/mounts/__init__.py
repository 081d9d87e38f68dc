"""Where a simulated meter that speaks over a stream of octets can be plugged in: a pty or TCP."""
