//! Setup packets: the eight bytes that begin a control transfer (USB 2.0 §9.3).

use crate::{Direction, EndpointAddress};

/// The standard request codes, `bRequest` of USB 2.0 table 9-4 and USB 3.2 table 9-5.
#[doc(alias = "bRequest")]
pub mod request {
    #![expect(missing_docs, reason = "each is the specification's own name")]
    pub const GET_STATUS: u8 = 0;
    pub const CLEAR_FEATURE: u8 = 1;
    pub const SET_FEATURE: u8 = 3;
    pub const SET_ADDRESS: u8 = 5;
    pub const GET_DESCRIPTOR: u8 = 6;
    pub const SET_DESCRIPTOR: u8 = 7;
    pub const GET_CONFIGURATION: u8 = 8;
    pub const SET_CONFIGURATION: u8 = 9;
    pub const GET_INTERFACE: u8 = 10;
    pub const SET_INTERFACE: u8 = 11;
    pub const SYNCH_FRAME: u8 = 12;
    pub const SET_SEL: u8 = 48;
    pub const SET_ISOCH_DELAY: u8 = 49;
}

/// Who defines a request: bits 5 and 6 of `bmRequestType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// The USB specification.
    Standard,
    /// A class specification.
    Class,
    /// The device's maker.
    Vendor,
    /// Nobody yet.
    Reserved,
}

/// Whom a request addresses: the low five bits of `bmRequestType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// The device.
    Device,
    /// The interface in the low byte of `wIndex`.
    Interface,
    /// The endpoint in the low byte of `wIndex`.
    Endpoint,
    /// Something else of the device.
    Other,
    /// A reserved value.
    Reserved(u8),
}

/// The feature selectors of SET_FEATURE and CLEAR_FEATURE (USB 2.0 table 9-6, USB 3.2 table 9-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// An endpoint's halt.
    EndpointHalt,
    /// A SuperSpeed function's suspend.
    FunctionSuspend,
    /// The device may signal remote wake-up.
    DeviceRemoteWakeup,
    /// A high-speed electrical test mode.
    TestMode,
    /// SuperSpeed: the device may initiate U1.
    U1Enable,
    /// SuperSpeed: the device may initiate U2.
    U2Enable,
    /// SuperSpeed: latency tolerance messages.
    LtmEnable,
}

/// A decoded setup packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Setup {
    /// Direction, kind and recipient in one byte.
    #[doc(alias = "bmRequestType")]
    pub request_type: u8,
    /// The request.
    #[doc(alias = "bRequest")]
    pub request: u8,
    /// The request's parameter.
    #[doc(alias = "wValue")]
    pub value: u16,
    /// The request's second parameter, often an interface or an endpoint.
    #[doc(alias = "wIndex")]
    pub index: u16,
    /// Bytes in the data stage.
    #[doc(alias = "wLength")]
    pub length: u16,
}

impl Setup {
    /// Decodes the eight bytes as they are on the bus (little-endian).
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        let [request_type, request, v0, v1, i0, i1, l0, l1] = bytes;
        Self {
            request_type,
            request,
            value: u16::from_le_bytes([v0, v1]),
            index: u16::from_le_bytes([i0, i1]),
            length: u16::from_le_bytes([l0, l1]),
        }
    }

    /// The eight bytes as they are on the bus.
    pub const fn to_bytes(self) -> [u8; 8] {
        let [v0, v1] = self.value.to_le_bytes();
        let [i0, i1] = self.index.to_le_bytes();
        let [l0, l1] = self.length.to_le_bytes();
        [self.request_type, self.request, v0, v1, i0, i1, l0, l1]
    }

    /// The direction of the data stage. A request without one (`length` 0) is [`Direction::Out`] whatever its bit 7 says.
    pub const fn direction(&self) -> Direction {
        if self.request_type & 0x80 != 0 && self.length > 0 {
            Direction::In
        } else {
            Direction::Out
        }
    }

    /// The configuration that the request sets, where it is a SET_CONFIGURATION (USB 2.0 §9.4.7).
    pub fn sets_configuration(&self) -> Option<u8> {
        let [value, _] = self.value.to_le_bytes();
        let sets = self.request == request::SET_CONFIGURATION
            && self.kind() == RequestKind::Standard
            && self.recipient() == Recipient::Device;
        sets.then_some(value)
    }

    /// Who defines the request.
    pub const fn kind(&self) -> RequestKind {
        match self.request_type >> 5 & 3 {
            0 => RequestKind::Standard,
            1 => RequestKind::Class,
            2 => RequestKind::Vendor,
            _ => RequestKind::Reserved,
        }
    }

    /// Whom the request addresses.
    pub const fn recipient(&self) -> Recipient {
        match self.request_type & 0x1f {
            0 => Recipient::Device,
            1 => Recipient::Interface,
            2 => Recipient::Endpoint,
            3 => Recipient::Other,
            other => Recipient::Reserved(other),
        }
    }

    /// The interface that `wIndex` names, for a request to an interface.
    pub const fn interface(&self) -> u8 {
        (self.index & 0xff) as u8
    }

    /// The endpoint that `wIndex` names, for a request to an endpoint; both directions of endpoint zero are
    /// [`EndpointAddress::CONTROL`].
    pub const fn endpoint(&self) -> EndpointAddress {
        let address = EndpointAddress::from_byte((self.index & 0xff) as u8);
        if address.is_control() {
            EndpointAddress::CONTROL
        } else {
            address
        }
    }

    /// The type and index of the descriptor that a GET_DESCRIPTOR asks for.
    pub const fn descriptor(&self) -> (u8, u8) {
        let [index, kind] = self.value.to_le_bytes();
        (kind, index)
    }

    /// The feature that a SET_FEATURE or CLEAR_FEATURE names, if there is such a one for its recipient.
    pub fn feature(&self) -> Option<Feature> {
        match (self.recipient(), self.value) {
            (Recipient::Endpoint, 0) => Some(Feature::EndpointHalt),
            (Recipient::Interface, 0) => Some(Feature::FunctionSuspend),
            (Recipient::Device, 1) => Some(Feature::DeviceRemoteWakeup),
            (Recipient::Device, 2) => Some(Feature::TestMode),
            (Recipient::Device, 48) => Some(Feature::U1Enable),
            (Recipient::Device, 49) => Some(Feature::U2Enable),
            (Recipient::Device, 50) => Some(Feature::LtmEnable),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_round_trip() {
        let bytes = [0xa1, 0xfe, 0x34, 0x12, 0x78, 0x56, 0x01, 0x00];
        let setup = Setup::from_bytes(bytes);
        assert_eq!(setup.to_bytes(), bytes);
        assert_eq!(setup.value, 0x1234);
        assert_eq!(setup.kind(), RequestKind::Class);
        assert_eq!(setup.recipient(), Recipient::Interface);
        assert_eq!(setup.direction(), Direction::In);
    }

    #[test]
    fn a_request_without_data_stage_goes_out() {
        let setup = Setup::from_bytes([0x80, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(setup.direction(), Direction::Out);
    }
}
