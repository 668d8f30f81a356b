//! Tests of the descriptors.
