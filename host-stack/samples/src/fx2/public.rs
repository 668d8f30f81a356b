//! What applications know of the driver: its control codes, and what goes with them (`inc/public.h` of the known sample).

use usbwright_host_stack::{AccessRights, ControlCode, Method};

/// The device interface's GUID.
#[doc(alias = "GUID_DEVINTERFACE_OSRUSBFX2")]
pub const INTERFACE: &str = "573E8C73-0CB4-4471-A1BF-FAB26C31D384";

/// The device type of the control codes.
#[doc(alias = "FILE_DEVICE_OSRUSBFX2")]
pub const DEVICE_TYPE: u16 = 65500;

const fn reads(function: u16, method: Method) -> ControlCode {
    ControlCode::new(DEVICE_TYPE, function, method, AccessRights::Read)
}

const fn writes(function: u16) -> ControlCode {
    ControlCode::new(DEVICE_TYPE, function, Method::Buffered, AccessRights::Write)
}

/// Output: the configuration descriptor, as many bytes of it as there is room for.
#[doc(alias = "IOCTL_OSRUSBFX2_GET_CONFIG_DESCRIPTOR")]
pub const GET_CONFIG_DESCRIPTOR: ControlCode = reads(0x800, Method::Buffered);
/// Resets the device's port.
#[doc(alias = "IOCTL_OSRUSBFX2_RESET_DEVICE")]
pub const RESET_DEVICE: ControlCode = writes(0x801);
/// Has the board begin anew.
#[doc(alias = "IOCTL_OSRUSBFX2_REENUMERATE_DEVICE")]
pub const REENUMERATE_DEVICE: ControlCode = writes(0x803);
/// Output: one byte, the bar graph.
#[doc(alias = "IOCTL_OSRUSBFX2_GET_BAR_GRAPH_DISPLAY")]
pub const GET_BAR_GRAPH_DISPLAY: ControlCode = reads(0x804, Method::Buffered);
/// Input: one byte, the bar graph.
#[doc(alias = "IOCTL_OSRUSBFX2_SET_BAR_GRAPH_DISPLAY")]
pub const SET_BAR_GRAPH_DISPLAY: ControlCode = writes(0x805);
/// Output: one byte, the switches.
#[doc(alias = "IOCTL_OSRUSBFX2_READ_SWITCHES")]
pub const READ_SWITCHES: ControlCode = reads(0x806, Method::Buffered);
/// Output: one byte, the seven segments.
#[doc(alias = "IOCTL_OSRUSBFX2_GET_7_SEGMENT_DISPLAY")]
pub const GET_7_SEGMENT_DISPLAY: ControlCode = reads(0x807, Method::Buffered);
/// Input: one byte, the seven segments.
#[doc(alias = "IOCTL_OSRUSBFX2_SET_7_SEGMENT_DISPLAY")]
pub const SET_7_SEGMENT_DISPLAY: ControlCode = writes(0x808);
/// Output: one byte, the switches, when the board tells of them next.
#[doc(alias = "IOCTL_OSRUSBFX2_GET_INTERRUPT_MESSAGE")]
pub const GET_INTERRUPT_MESSAGE: ControlCode = reads(0x809, Method::OutDirect);
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_that_applications_know() {
        let codes = [
            (GET_CONFIG_DESCRIPTOR, 0xFFDC_6000),
            (RESET_DEVICE, 0xFFDC_A004),
            (REENUMERATE_DEVICE, 0xFFDC_A00C),
            (GET_BAR_GRAPH_DISPLAY, 0xFFDC_6010),
            (SET_BAR_GRAPH_DISPLAY, 0xFFDC_A014),
            (READ_SWITCHES, 0xFFDC_6018),
            (GET_7_SEGMENT_DISPLAY, 0xFFDC_601C),
            (SET_7_SEGMENT_DISPLAY, 0xFFDC_A020),
            (GET_INTERRUPT_MESSAGE, 0xFFDC_6026),
        ];
        for (code, value) in codes {
            assert_eq!(code.0, value, "{code:?}");
        }
    }
}
