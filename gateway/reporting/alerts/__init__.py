"""What a person must look at: escalations of critical results, and alerts that open and close by rules."""
