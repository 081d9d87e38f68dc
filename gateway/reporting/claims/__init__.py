"""From a unit to a claim: a person signs, the export freezes, the payer's answer is posted. Nothing is sent."""
