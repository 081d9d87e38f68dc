"""IEEE 11073-20601 manager side: codec and session, without any input or output of their own.

Octets are read from the inside out by small modules: `mder` (primitives), `attribute_list`, `association_apdu`,
`data_apdu` and `apdu` (envelopes), `information` (what events and actions carry), `attributes` (values of object
attributes), `objects` (an agent's configuration), `reports` (observations). The conversation: `states` (the table),
`association` (one association's state), `exchange`, `associating`, `operating`, `ending` (what is done),
`procedure` (what is asked), `known_configurations`, and `manager` in front of it all. `values` and `dump` show
everything as JSON.
"""
