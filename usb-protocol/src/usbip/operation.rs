//! The operation phase: listing and importing devices.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::{BE, U16, U32},
};

use super::VERSION;
use crate::{Class, DeviceSummary, Speed};

/// The bytes of an operation's header.
pub const HEADER_SIZE: usize = size_of::<RawHeader>();
/// The bytes of a bus id's field, its final NUL counted.
pub const BUS_ID_SIZE: usize = 32;
/// The bytes of a device's description.
pub const DEVICE_SIZE: usize = size_of::<RawDevice>();

const LIST_REQUEST: u16 = 0x8005;
const LIST_REPLY: u16 = 0x0005;
const IMPORT_REQUEST: u16 = 0x8003;
const IMPORT_REPLY: u16 = 0x0003;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    version: U16<BE>,
    code: U16<BE>,
    status: U32<BE>,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawDevice {
    path: [u8; 256],
    bus_id: [u8; BUS_ID_SIZE],
    bus_number: U32<BE>,
    device_number: U32<BE>,
    speed: U32<BE>,
    vendor_id: U16<BE>,
    product_id: U16<BE>,
    device_release: U16<BE>,
    class: [u8; 3],
    configuration: u8,
    configurations: u8,
    interfaces: u8,
}

/// What a client asks for in its first eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The list of devices; nothing follows.
    #[doc(alias = "OP_REQ_DEVLIST")]
    List,
    /// A device; its bus id follows, in [`BUS_ID_SIZE`] bytes.
    #[doc(alias = "OP_REQ_IMPORT")]
    Import,
}

/// An operation that can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The peer speaks another version, or no USB/IP at all.
    #[error("the peer speaks version {0:#06x} where USB/IP 1.1.1 says 0x0111")]
    Version(u16),
    /// The code is none that is known here.
    #[error("{0:#06x} is no operation that is known here (0x8005 lists, 0x8003 imports)")]
    Code(u16),
    /// A bus id has no end or is not printable ASCII.
    #[error("the bus id is not up to 31 printable characters and a NUL")]
    BusId,
    /// The reply belongs to another request.
    #[error("the reply's code is {0:#06x}, which answers another request")]
    Reply(u16),
    /// A device's speed is none that is known here.
    #[error("{0} is no speed that is known here")]
    Speed(u32),
}

impl Request {
    /// Reads a request's header. Its status field is not looked at, as some clients leave garbage there.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Result<Self, OperationError> {
        let header: RawHeader = zerocopy::transmute!(*bytes);
        if header.version.get() != VERSION {
            return Err(OperationError::Version(header.version.get()));
        }
        match header.code.get() {
            LIST_REQUEST => Ok(Self::List),
            IMPORT_REQUEST => Ok(Self::Import),
            code => Err(OperationError::Code(code)),
        }
    }

    /// Writes a request's header.
    pub fn encode(self) -> [u8; HEADER_SIZE] {
        header(
            match self {
                Self::List => LIST_REQUEST,
                Self::Import => IMPORT_REQUEST,
            },
            0,
        )
    }

    /// Reads the header of the reply to this request.
    pub fn decode_reply(self, bytes: &[u8; HEADER_SIZE]) -> Result<ReplyStatus, OperationError> {
        let header: RawHeader = zerocopy::transmute!(*bytes);
        if header.version.get() != VERSION {
            return Err(OperationError::Version(header.version.get()));
        }
        match (self, header.code.get()) {
            (Self::List, LIST_REPLY) | (Self::Import, IMPORT_REPLY) => {
                Ok(ReplyStatus::from_number(header.status.get()))
            }
            (_, code) => Err(OperationError::Reply(code)),
        }
    }

    /// Writes the header of a reply to this request. A failed import is this header alone.
    pub fn encode_reply(self, status: ReplyStatus) -> [u8; HEADER_SIZE] {
        header(
            match self {
                Self::List => LIST_REPLY,
                Self::Import => IMPORT_REPLY,
            },
            status.number(),
        )
    }
}

/// Writes the reply to a request that can't be understood: its own code, if it is a request's, refused in our version. A
/// client of another version tells its user of both.
pub fn refuse(request: &[u8; HEADER_SIZE]) -> [u8; HEADER_SIZE] {
    let request: RawHeader = zerocopy::transmute!(*request);
    header(request.code.get() & 0x7fff, ReplyStatus::Refused.number())
}

fn header(code: u16, status: u32) -> [u8; HEADER_SIZE] {
    zerocopy::transmute!(RawHeader {
        version: VERSION.into(),
        code: code.into(),
        status: status.into(),
    })
}

/// How a server answers an operation (`tools/usb/usbip/libsrc/usbip_common.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyStatus {
    /// Granted.
    #[error("granted")]
    Ok,
    /// Refused.
    #[error("the server refused the request")]
    Refused,
    /// Somebody else has the device.
    #[error("the device is in use by another client")]
    Busy,
    /// The device is broken.
    #[error("the device is in an error state at the server")]
    DeviceError,
    /// There is no such device.
    #[error("the server has no such device")]
    NoDevice,
    /// Anything else.
    #[error("the server answered with status {0}")]
    Other(u32),
}

impl ReplyStatus {
    fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Refused,
            2 => Self::Busy,
            3 => Self::DeviceError,
            4 => Self::NoDevice,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::Refused => 1,
            Self::Busy => 2,
            Self::DeviceError => 3,
            Self::NoDevice => 4,
            Self::Other(number) => number,
        }
    }
}

/// A device as the operation phase describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedDevice {
    /// Where the server has it; for people to read.
    pub path: String,
    /// The name that imports it, such as `1-1`.
    pub bus_id: String,
    /// The high half of the device's number on the wire.
    pub bus_number: u32,
    /// The low half.
    pub device_number: u32,
    /// What it is. The interfaces' classes are told in a list only: after an import they are all zero.
    pub summary: DeviceSummary,
}

impl ExportedDevice {
    /// The number that every message about the device carries.
    #[doc(alias = "devid")]
    pub fn device_id(&self) -> u32 {
        self.bus_number << 16 | self.device_number & 0xffff
    }

    /// Appends the description, without its interfaces, as an import's reply has it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let summary = &self.summary;
        let raw = RawDevice {
            path: field(&self.path),
            bus_id: field(&self.bus_id),
            bus_number: self.bus_number.into(),
            device_number: self.device_number.into(),
            speed: speed_number(summary.speed).into(),
            vendor_id: summary.vendor_id.into(),
            product_id: summary.product_id.into(),
            device_release: summary.device_release.into(),
            class: class_bytes(summary.class),
            configuration: summary.configuration,
            configurations: summary.configurations,
            interfaces: u8::try_from(summary.interfaces.len()).unwrap_or(u8::MAX),
        };
        out.extend_from_slice(raw.as_bytes());
    }

    /// Appends the description with its interfaces, as a list has it.
    pub fn encode_with_interfaces(&self, out: &mut Vec<u8>) {
        self.encode(out);
        for class in self.summary.interfaces.iter().take(u8::MAX.into()) {
            out.extend_from_slice(&class_bytes(*class));
            out.push(0);
        }
    }

    /// Reads a description. In a list, four bytes for each of its interfaces follow: see [`Self::decode_interface`].
    pub fn decode(bytes: &[u8; DEVICE_SIZE]) -> Result<Self, OperationError> {
        let raw = RawDevice::ref_from_bytes(bytes).expect("the array has the struct's size");
        let [class, subclass, protocol] = raw.class;
        Ok(Self {
            path: text(&raw.path),
            bus_id: decode_bus_id(&raw.bus_id)?,
            bus_number: raw.bus_number.get(),
            device_number: raw.device_number.get(),
            summary: DeviceSummary {
                speed: speed_from_number(raw.speed.get())?,
                vendor_id: raw.vendor_id.get(),
                product_id: raw.product_id.get(),
                device_release: raw.device_release.get(),
                class: Class {
                    class,
                    subclass,
                    protocol,
                },
                configuration: raw.configuration,
                configurations: raw.configurations,
                interfaces: vec![Class::default(); raw.interfaces.into()],
            },
        })
    }

    /// Reads an interface of a list.
    pub fn decode_interface([class, subclass, protocol, _]: [u8; 4]) -> Class {
        Class {
            class,
            subclass,
            protocol,
        }
    }
}

/// Writes a bus id as an import request carries it; one of over 31 bytes is cut, and so names no device.
pub fn encode_bus_id(bus_id: &str) -> [u8; BUS_ID_SIZE] {
    field(bus_id)
}

/// Reads a bus id.
pub fn decode_bus_id(bytes: &[u8; BUS_ID_SIZE]) -> Result<String, OperationError> {
    let end = bytes.iter().position(|byte| *byte == 0);
    let name = &bytes[..end.ok_or(OperationError::BusId)?];
    if name.iter().all(u8::is_ascii_graphic) {
        Ok(text(name))
    } else {
        Err(OperationError::BusId)
    }
}

/// A speed in the numbering of Linux' `enum usb_device_speed`, which the wire and vhci_hcd use.
#[doc(alias = "usb_device_speed")]
pub fn speed_number(speed: Speed) -> u32 {
    match speed {
        Speed::Low => 1,
        Speed::Full => 2,
        Speed::High => 3,
        Speed::Super => 5,
        Speed::SuperPlus => 6,
    }
}

/// Linux' number 4, wireless, has high speed's rate and packets.
fn speed_from_number(number: u32) -> Result<Speed, OperationError> {
    let number = if number == 4 { 3 } else { number };
    Speed::ALL
        .into_iter()
        .find(|speed| speed_number(*speed) == number)
        .ok_or(OperationError::Speed(number))
}

fn class_bytes(class: Class) -> [u8; 3] {
    [class.class, class.subclass, class.protocol]
}

/// Cuts `text` to a NUL-terminated field.
fn field<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    let length = text.len().min(N - 1);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
    field
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> ExportedDevice {
        ExportedDevice {
            path: "/sys/devices/x/1-1".into(),
            bus_id: "1-1".into(),
            bus_number: 1,
            device_number: 2,
            summary: DeviceSummary {
                speed: Speed::High,
                vendor_id: 0x0525,
                product_id: 0xa4a0,
                device_release: 0x0601,
                class: Class::VENDOR,
                configuration: 3,
                configurations: 2,
                interfaces: vec![Class::VENDOR],
            },
        }
    }

    #[test]
    fn an_imported_device_lies_where_the_kernels_tools_read_it() {
        let mut reply = Request::Import.encode_reply(ReplyStatus::Ok).to_vec();
        device().encode(&mut reply);
        assert_eq!(reply.len(), 0x140);
        assert_eq!(reply[..8], [0x01, 0x11, 0, 3, 0, 0, 0, 0]);
        assert_eq!(reply[0x108..0x10c], *b"1-1\0");
        assert_eq!(reply[0x128..0x134], [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
        assert_eq!(reply[0x134..0x13a], [0x05, 0x25, 0xa4, 0xa0, 0x06, 0x01]);
        assert_eq!(reply[0x13a..0x140], [0xff, 0, 0, 3, 2, 1]);
    }

    #[test]
    fn a_device_reads_back_as_written() {
        let mut bytes = Vec::new();
        device().encode_with_interfaces(&mut bytes);
        let (head, tail) = bytes.split_first_chunk().unwrap();
        let mut read = ExportedDevice::decode(head).unwrap();
        read.summary.interfaces = tail
            .as_chunks()
            .0
            .iter()
            .map(|chunk| ExportedDevice::decode_interface(*chunk))
            .collect();
        assert_eq!(read, device());
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        assert_eq!(
            Request::decode(&[0x01, 0x06, 0x80, 0x05, 0, 0, 0, 0]),
            Err(OperationError::Version(0x0106))
        );
        assert_eq!(
            Request::decode(&[0x01, 0x11, 0x80, 0x02, 0, 0, 0, 0]),
            Err(OperationError::Code(0x8002))
        );
        assert_eq!(
            Request::decode(&Request::Import.encode()),
            Ok(Request::Import)
        );
    }

    #[test]
    fn a_client_of_another_version_is_refused_in_ours() {
        let request = [0x01, 0x06, 0x80, 0x05, 0, 0, 0, 0];
        assert_eq!(refuse(&request), [0x01, 0x11, 0, 5, 0, 0, 0, 1]);
    }

    #[test]
    fn a_bus_id_without_end_or_with_control_characters_is_refused() {
        assert_eq!(decode_bus_id(&[b'1'; 32]), Err(OperationError::BusId));
        assert_eq!(
            decode_bus_id(&encode_bus_id("1-\n")),
            Err(OperationError::BusId)
        );
        assert_eq!(decode_bus_id(&encode_bus_id("1-1")), Ok("1-1".into()));
    }
}
