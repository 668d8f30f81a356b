//! What applications know of the driver: its control codes, and what goes with them (`inc/public.h` of the known sample).

use std::time::Duration;

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
/// Input: a [`FilePlayback`]. Shows the file's letters and digits on the seven segments, and the code of each on the bar graph. It ends when all were shown, or, where it is
/// cancelled, with `ERROR_CANCELLED`.
#[doc(alias = "IOCTL_OSRUSBFX2_PLAY_FILE")]
pub const PLAY_FILE: ControlCode = writes(0x80A);

/// What is to be played, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "FILE_PLAYBACK")]
pub struct FilePlayback {
    /// How long each character is shown, in milliseconds: at most 65,535.
    #[doc(alias = "Delay")]
    pub delay: Duration,
    /// The file.
    #[doc(alias = "Path")]
    pub path: String,
}

impl FilePlayback {
    /// The input of [`PLAY_FILE`]: the delay, and the path in UTF-16 with a zero at its end, all in little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let delay = u16::try_from(self.delay.as_millis()).unwrap_or(u16::MAX);
        let units = self.path.encode_utf16().chain([0]);
        let all = [delay].into_iter().chain(units);
        all.flat_map(u16::to_le_bytes).collect()
    }

    /// What such an input tells; `None` where it has no delay, no zero at the path's end, or the path is no text.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (units, _) = bytes.as_chunks();
        let (delay, path) = units.split_first()?;
        let path: Vec<u16> = path.iter().map(|it| u16::from_le_bytes(*it)).collect();
        let end = path.iter().position(|it| *it == 0)?;
        Some(Self {
            delay: Duration::from_millis(u16::from_le_bytes(*delay).into()),
            path: String::from_utf16(&path[..end]).ok()?,
        })
    }
}

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
            (PLAY_FILE, 0xFFDC_A028),
        ];
        for (code, value) in codes {
            assert_eq!(code.0, value, "{code:?}");
        }
    }

    #[test]
    fn a_playback_is_a_delay_and_a_path_that_ends_with_a_zero() {
        let playback = FilePlayback {
            delay: Duration::from_millis(0x0102),
            path: "/é".into(),
        };
        let bytes = [0x02, 0x01, b'/', 0, 0xE9, 0, 0, 0];
        assert_eq!(playback.to_bytes(), bytes);
        assert_eq!(FilePlayback::from_bytes(&bytes), Some(playback.clone()));
        let longer = [&bytes[..], b"rest"].concat();
        assert_eq!(FilePlayback::from_bytes(&longer), Some(playback));
        for wrong in [&bytes[..7], &bytes[..2], &[], &[1, 0, 0, 0xD8, 0, 0]] {
            assert_eq!(FilePlayback::from_bytes(wrong), None, "{wrong:?}");
        }
    }
}
