//! Control codes, by which an application tells a driver what it wants of it.

use std::fmt;

/// The code of a device control request.
///
/// Its 32 bits are, from the top: the device type (16), the access that the caller's handle needs (2), the function
/// (12) and the method by which buffers go over (2); so Microsoft's page "Defining I/O Control Codes". Any 32 bits
/// are a code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
#[doc(alias = "IOCTL")]
#[doc(alias = "IoControlCode")]
pub struct ControlCode(pub u32);

impl ControlCode {
    /// The code of these parts. Of `function` only the low twelve bits count.
    ///
    /// Device types from `0x8000` and functions from `0x800` on are for vendors.
    ///
    /// ```
    /// use usbwright_host_stack::{AccessRights as Access, ControlCode, Method};
    ///
    /// const READ_SWITCHES: ControlCode =
    ///     ControlCode::new(0xFFDC, 0x806, Method::Buffered, Access::Read);
    /// assert_eq!(READ_SWITCHES.0, 0xFFDC_6018);
    /// ```
    #[doc(alias = "CTL_CODE")]
    pub const fn new(device_type: u16, function: u16, method: Method, access: Access) -> Self {
        let function = function as u32 & 0xFFF;
        Self((device_type as u32) << 16 | (access as u32) << 14 | function << 2 | method as u32)
    }

    /// The kind of device that it is for, or a vendor's own number.
    #[doc(alias = "DEVICE_TYPE_FROM_CTL_CODE")]
    pub const fn device_type(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// What is wanted: a number of 12 bits.
    #[doc(alias = "FUNCTION_FROM_CTL_CODE")]
    pub const fn function(self) -> u16 {
        (self.0 >> 2 & 0xFFF) as u16
    }

    /// How the buffers go over.
    #[doc(alias = "METHOD_FROM_CTL_CODE")]
    pub const fn method(self) -> Method {
        match self.0 & 3 {
            0 => Method::Buffered,
            1 => Method::InDirect,
            2 => Method::OutDirect,
            _ => Method::Neither,
        }
    }

    /// What the caller's handle has to be opened for.
    #[doc(alias = "ACCESS_FROM_CTL_CODE")]
    pub const fn access(self) -> Access {
        match self.0 >> 14 & 3 {
            0 => Access::Any,
            1 => Access::Read,
            2 => Access::Write,
            _ => Access::ReadWrite,
        }
    }
}

/// `0xFFDC6018 (device 0xFFDC, function 0x806, buffered, read access)`
impl fmt::Display for ControlCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method() {
            Method::Buffered => "buffered",
            Method::InDirect => "direct in",
            Method::OutDirect => "direct out",
            Method::Neither => "neither",
        };
        let access = match self.access() {
            Access::Any => "any access",
            Access::Read => "read access",
            Access::Write => "write access",
            Access::ReadWrite => "read and write access",
        };
        let (code, device, function) = (self.0, self.device_type(), self.function());
        write!(
            f,
            "0x{code:08X} (device 0x{device:04X}, function 0x{function:03X}, {method}, {access})"
        )
    }
}

impl fmt::Debug for ControlCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How the buffers of a control request go over to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[doc(alias = "TransferType")]
pub enum Method {
    /// Both buffers are copied.
    #[doc(alias = "METHOD_BUFFERED")]
    Buffered = 0,
    /// The first buffer is copied; the second is mapped, and the driver reads it.
    #[doc(alias = "METHOD_IN_DIRECT")]
    InDirect = 1,
    /// The first buffer is copied; the second is mapped, and the driver writes it.
    #[doc(alias = "METHOD_OUT_DIRECT")]
    OutDirect = 2,
    /// The driver would get the application's own addresses. A user-mode driver can't use those.
    #[doc(alias = "METHOD_NEITHER")]
    Neither = 3,
}

/// What a handle has to be opened for, so that a control request may be sent by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[doc(alias = "RequiredAccess")]
pub enum Access {
    /// Whatever it is opened for.
    #[doc(alias = "FILE_ANY_ACCESS")]
    Any = 0,
    /// Reading.
    #[doc(alias = "FILE_READ_ACCESS")]
    #[doc(alias = "FILE_READ_DATA")]
    Read = 1,
    /// Writing.
    #[doc(alias = "FILE_WRITE_ACCESS")]
    #[doc(alias = "FILE_WRITE_DATA")]
    Write = 2,
    /// Reading and writing.
    ReadWrite = 3,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The codes of OSR's USB-FX2 learning kit, as its samples' `public.h` makes them.
    #[rustfmt::skip]
    const FX2: [(u32, u16, Method, Access); 10] = [
        (0xFFDC_6000, 0x800, Method::Buffered,  Access::Read),
        (0xFFDC_A004, 0x801, Method::Buffered,  Access::Write),
        (0xFFDC_A00C, 0x803, Method::Buffered,  Access::Write),
        (0xFFDC_6010, 0x804, Method::Buffered,  Access::Read),
        (0xFFDC_A014, 0x805, Method::Buffered,  Access::Write),
        (0xFFDC_6018, 0x806, Method::Buffered,  Access::Read),
        (0xFFDC_601C, 0x807, Method::Buffered,  Access::Read),
        (0xFFDC_A020, 0x808, Method::Buffered,  Access::Write),
        (0xFFDC_6026, 0x809, Method::OutDirect, Access::Read),
        (0xFFDC_A028, 0x80A, Method::Buffered,  Access::Write),
    ];

    #[test]
    fn the_codes_of_the_fx2_kit_come_out_as_in_its_header() {
        for (value, function, method, access) in FX2 {
            let code = ControlCode::new(65500, function, method, access);
            assert_eq!(code, ControlCode(value));
            assert_eq!(code.device_type(), 65500);
            assert_eq!(code.function(), function);
            assert_eq!(code.method(), method);
            assert_eq!(code.access(), access);
        }
    }

    #[test]
    fn a_code_is_written_with_its_parts() {
        assert_eq!(
            ControlCode(0xFFDC_6026).to_string(),
            "0xFFDC6026 (device 0xFFDC, function 0x809, direct out, read access)"
        );
        assert_eq!(
            format!("{:?}", ControlCode(0x0000_C007)),
            "0x0000C007 (device 0x0000, function 0x001, neither, read and write access)"
        );
    }

    #[test]
    fn a_function_of_more_than_twelve_bits_reaches_no_other_part() {
        let code = ControlCode::new(0x22, 0xF801, Method::Buffered, Access::Any);
        assert_eq!(
            code,
            ControlCode::new(0x22, 0x801, Method::Buffered, Access::Any)
        );
    }

    proptest! {
        #[test]
        fn any_code_is_made_again_of_its_parts(code: u32) {
            let code = ControlCode(code);
            let again =
                ControlCode::new(code.device_type(), code.function(), code.method(), code.access());
            prop_assert_eq!(again, code);
        }
    }
}
