//! USB/IP 1.1.1 messages.
