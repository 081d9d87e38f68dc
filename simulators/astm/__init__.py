"""A meter that speaks ASTM: E1394 records (LIS02) over the E1381 link (LIS01), written from the standards."""
