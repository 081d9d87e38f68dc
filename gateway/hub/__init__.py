"""The hub in the home: attach, read, journal, acknowledge, publish, wait for the receipt."""
