"""Channels to a treating provider: pure renderers and senders behind one interface."""
