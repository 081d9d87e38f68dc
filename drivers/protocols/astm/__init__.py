"""ASTM E1381 (link) and E1394 (records), today CLSI LIS01 and LIS02."""
