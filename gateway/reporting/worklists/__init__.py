"""What the billing desk has to do: lists over statements and rows, each a pure function that changes nothing."""
