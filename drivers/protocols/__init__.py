"""Sans-IO codecs and session state machines, one package for each protocol."""
