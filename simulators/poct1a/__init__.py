"""A meter that speaks POCT1-A2, written from the standard's message tables and from what public hosts expect."""
