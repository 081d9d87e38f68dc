"""Generic Health Sensor service 1.0 with the Elapsed Time service, without input or output of its own.

Octets come as GATT frames (`drivers.protocols.gatt`). The adopted texts are not public; identifiers are those of
the Bluetooth assigned numbers, layouts those on which three public implementations agree (philips-labs
BLE-GHS-Server-Simulator and -Client-Example, STM32WBA-BLE-GenericHealthSensor, Realtek). Where they differ, both
ways are understood.
"""
