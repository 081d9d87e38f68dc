"""The ingestion server: consume, validate, commit, acknowledge, send receipts."""
