"""An INR meter that is an IEEE 11073-20601 agent with the objects of 11073-10418; written from the standards."""
