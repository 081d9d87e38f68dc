"""A treating provider's system that does not exist: it takes HL7 v2 over MLLP, and misbehaves on script."""
