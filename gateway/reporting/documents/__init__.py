"""Documents behind a unit of service: what each kind says, recording them, and what they mean for the tally."""
