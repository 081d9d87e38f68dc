"""A treating provider's systems that do not exist: for HL7 v2, FHIR, mail, files and signed posts.

Each has on disk what it acknowledges, and misbehaves on script (`simulators.provider.schedule`).
"""
