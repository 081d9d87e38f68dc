"""USB devices that do not exist: one device object for an in-process pyusb backend and for the kernel."""
