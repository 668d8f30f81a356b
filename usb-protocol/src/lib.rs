//! The vocabulary of USB and USB/IP: descriptors, transfers, the Port seam, messages.
