"""The ingestion server: consume, validate, attribute, commit, acknowledge, receipt; and what persons decide."""
