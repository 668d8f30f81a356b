//! The QEMU engine.
use super::Lab;
use super::error::LabError;
pub(super) fn run(_lab: &Lab) -> Result<u8, LabError> {
    todo!()
}
