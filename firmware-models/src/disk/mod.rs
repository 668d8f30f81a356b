//! A disk: USB mass storage with a SCSI target behind it.

pub mod medium;
