//! What makes a firmware model a USB device: endpoint zero, queues, the bus, the USB/IP server.
