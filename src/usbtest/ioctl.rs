//! The ioctl that has the `usbtest` driver run a case, through the device's node.

#![allow(
    unsafe_code,
    reason = "an ioctl hands the kernel pointers, which the compiler can't follow"
)]

use std::{
    ffi::{c_int, c_long, c_void},
    marker::PhantomData,
    os::fd::AsFd,
};

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};

/// What a case is given, and how long it took (`struct usbtest_param_64`, `struct usbtest_param_32`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Parameters {
    pub(super) case: u32,
    pub(super) iterations: u32,
    pub(super) length: u32,
    pub(super) vary: u32,
    pub(super) queue: u32,
    /// Filled in by the kernel, as is the next.
    pub(super) seconds: c_long,
    pub(super) microseconds: c_long,
}

/// A driver's own ioctl, wrapped for the device's node (`struct usbdevfs_ioctl`).
#[repr(C)]
struct Wrapped {
    interface: c_int,
    code: c_int,
    data: *mut c_void,
}

/// `_IOWR('U', 18, struct usbdevfs_ioctl)`.
const USBDEVFS_IOCTL: Opcode = opcode::read_write::<Wrapped>(b'U', 18);
/// `_IOWR('U', 100, struct usbtest_param)`.
const USBTEST_REQUEST: Opcode = opcode::read_write::<Parameters>(b'U', 100);

struct Run<'a> {
    wrapped: Wrapped,
    parameters: PhantomData<&'a mut Parameters>,
}

impl<'a> Run<'a> {
    fn new(parameters: &'a mut Parameters) -> Self {
        Self {
            wrapped: Wrapped {
                // The driver knows no other.
                interface: 0,
                // The kernel takes the number's bits, whatever its sign.
                code: USBTEST_REQUEST.cast_signed(),
                data: std::ptr::from_mut(parameters).cast(),
            },
            parameters: PhantomData,
        }
    }
}

// SAFETY: USBDEVFS_IOCTL takes a `struct usbdevfs_ioctl`, as `Wrapped` lays it out. Its data is a `struct usbtest_param`,
// whose size USBTEST_REQUEST tells; it is borrowed mutably for as long as `self` is. Nothing is returned by pointer.
unsafe impl Ioctl for Run<'_> {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        USBDEVFS_IOCTL
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.wrapped).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Runs a case on the device whose node this is. It blocks until the case has ended.
pub(super) fn run(node: impl AsFd, parameters: &mut Parameters) -> rustix::io::Result<()> {
    // SAFETY: usbfs refuses what it does not know; `Run` tells why the pointers are good for the rest. Where another
    // driver than usbtest is bound, it may take the same code for an ioctl of its own, yet of the same size.
    unsafe { ioctl(node, Run::new(parameters)) }
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_ioctls_are_numbered_as_the_kernels_are() {
        assert_eq!(USBDEVFS_IOCTL, 0xc010_5512);
        assert_eq!(USBTEST_REQUEST, 0xc028_5564);
        assert_eq!(size_of::<Parameters>(), 40);
        assert_eq!(offset_of!(Parameters, seconds), 24);
    }

    #[test]
    #[cfg(target_pointer_width = "32")]
    fn the_ioctls_are_numbered_as_the_kernels_are() {
        assert_eq!(USBDEVFS_IOCTL, 0xc00c_5512);
        assert_eq!(USBTEST_REQUEST, 0xc01c_5564);
        assert_eq!(size_of::<Parameters>(), 28);
        assert_eq!(offset_of!(Parameters, seconds), 20);
    }

    #[test]
    fn a_request_wraps_the_parameters_for_interface_zero() {
        let mut parameters = Parameters::default();
        let address = (&raw const parameters).cast::<c_void>();
        let mut run = Run::new(&mut parameters);
        assert_eq!(run.opcode(), USBDEVFS_IOCTL);
        assert_eq!(run.wrapped.interface, 0);
        assert_eq!(run.wrapped.data.cast_const(), address);
        let wrapped = (&raw const run.wrapped).cast::<c_void>();
        assert_eq!(run.as_ptr().cast_const(), wrapped);
    }

    #[test]
    fn a_file_that_is_no_device_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let refused = run(&file, &mut Parameters::default());
        assert_eq!(refused, Err(rustix::io::Errno::NOTTY));
    }
}
