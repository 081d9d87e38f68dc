"""IEEE 11073-20601 manager side: codec and session, without any input or output of their own.

Octets are read from the inside out by small modules: `mder` (primitives), `apdu` (envelopes), `information` (what
events and actions carry), `attributes` (values of object attributes), `objects` (an agent's configuration),
`reports` (observations), `states` and `manager` (the conversation), `describe` (everything as JSON).
"""
