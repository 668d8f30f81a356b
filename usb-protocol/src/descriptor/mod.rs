//! Descriptors: built, checked and parsed (USB 2.0 §9.5 and §9.6, USB 3.2 §9.6).
