"""A Bluetooth LE INR meter that does not exist: a Generic Health Sensor with memory, and the radios around it."""
