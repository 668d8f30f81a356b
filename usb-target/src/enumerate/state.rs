//! What a device is set to now, which its descriptors do not tell.

use usbwright_protocol::{Setup, Status, request};

use super::ControlAnswer;

/// What a device is set to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceState {
    /// The configuration in force, 0 for none; `None` where the device does not say.
    #[doc(alias = "GET_CONFIGURATION")]
    pub configuration: Option<u8>,
    /// Its status; `None` where the device does not say.
    #[doc(alias = "GET_STATUS")]
    pub status: Option<DeviceStatus>,
}

/// A device's status (USB 2.0 §9.4.5, USB 3.2 §9.4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStatus(
    /// The bits as they came.
    pub u16,
);

impl DeviceStatus {
    /// Each bit that has a meaning, with that.
    const BITS: [(u16, &'static str); 5] = [
        (1 << 0, "self powered"),
        (1 << 1, "remote wakeup enabled"),
        (1 << 2, "U1 enabled"),
        (1 << 3, "U2 enabled"),
        (1 << 4, "latency tolerance messages enabled"),
    ];

    /// What holds, in words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let set = Self::BITS
            .into_iter()
            .filter(move |(bit, _)| self.0 & bit != 0);
        set.map(|(_, word)| word)
    }
}

/// Asks a device for its configuration in force and its status. What it refuses is `None`.
pub async fn read_state(mut control: impl AsyncFnMut(Setup) -> ControlAnswer) -> DeviceState {
    let mut ask = async |request, length| {
        let answer = control(Setup {
            request_type: 0x80,
            request,
            length,
            ..Setup::default()
        });
        let answer = answer.await;
        (answer.status == Status::Done).then_some(answer.data)
    };
    let configuration = ask(request::GET_CONFIGURATION, 1).await;
    let status = ask(request::GET_STATUS, 2).await;
    DeviceState {
        configuration: configuration.and_then(|data| data.first().copied()),
        status: status
            .and_then(|data| Some(DeviceStatus(u16::from_le_bytes(*data.first_chunk()?)))),
    }
}
