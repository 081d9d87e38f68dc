"""MQTT: connections, topics, the embedded broker. Moves octets; the only package that imports an MQTT library."""
