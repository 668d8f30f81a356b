//! What several whole-system tests share.

pub(crate) mod lab;
