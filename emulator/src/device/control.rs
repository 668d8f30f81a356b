//! Endpoint zero: control transfers, and the requests of chapter 9 (USB 2.0 §9.4, USB 3.2 §9.4).

use bytes::Bytes;
use tracing::debug;
use usbwright_protocol::{
    Completion, Direction, EndpointAddress, Feature, Recipient, RequestKind, Setup, Status,
    TransferId, TransferType, request,
};

use super::{EmulatedDevice, Endpoint};
use crate::firmware::{Context, In, Out};

/// A control transfer that has not ended.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: TransferId,
    setup: Setup,
    data: Bytes,
    room: usize,
}

/// The device core's answer to a request; `None` in its place means that the firmware is to answer.
enum Answer {
    Data(Bytes),
    Done,
    Stall,
    /// The data stage is not of the length that the setup packet tells.
    Malformed,
}

impl From<Option<Bytes>> for Answer {
    fn from(data: Option<Bytes>) -> Self {
        data.map_or(Self::Stall, Self::Data)
    }
}

impl From<Option<()>> for Answer {
    fn from(done: Option<()>) -> Self {
        done.map_or(Self::Stall, |()| Self::Done)
    }
}

impl Request {
    pub(super) fn new(id: TransferId, setup: Setup, data: Bytes, room: u32) -> Self {
        Self {
            id,
            setup,
            data,
            room: (room as usize).min(setup.length.into()),
        }
    }

    fn end(&self, answer: Answer) -> Completion {
        let mut completion = Completion::empty(self.id, Status::Done);
        match answer {
            Answer::Data(mut data) => {
                data.truncate(self.room);
                completion.actual_length = u32::try_from(data.len()).unwrap_or(u32::MAX);
                completion.data = data.into();
            }
            Answer::Done => {
                completion.actual_length = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
            }
            Answer::Stall => {
                debug!(endpoint = %EndpointAddress::CONTROL, setup = ?self.setup, "request refused");
                completion.status = Status::Stalled;
            }
            Answer::Malformed => {
                debug!(endpoint = %EndpointAddress::CONTROL, setup = ?self.setup, bytes = self.data.len(), "data stage and wLength differ");
                completion.status = Status::ProtocolError;
            }
        }
        completion
    }
}

/// Which way the data stage of a standard request goes, of those that are answered here.
fn data_direction(code: u8) -> Option<Direction> {
    match code {
        request::GET_STATUS
        | request::GET_DESCRIPTOR
        | request::GET_CONFIGURATION
        | request::GET_INTERFACE
        | request::SYNCH_FRAME => Some(Direction::In),
        request::CLEAR_FEATURE
        | request::SET_FEATURE
        | request::SET_ADDRESS
        | request::SET_CONFIGURATION
        | request::SET_INTERFACE
        | request::SET_SEL
        | request::SET_ISOCH_DELAY => Some(Direction::Out),
        _ => None,
    }
}

impl EmulatedDevice {
    pub(super) fn accept_control(&mut self, request: Request) {
        self.control.push_back(request);
        if self.control.len() == 1 && self.serve_control() {
            self.pump();
        }
    }

    /// Answers control transfers in order until one has to wait, and tells whether any was answered.
    pub(super) fn serve_control(&mut self) -> bool {
        let mut answered = false;
        while let Some(request) = self.control.pop_front() {
            self.in_hand = Some(request.id);
            let answer = self.answer(&request);
            self.in_hand = None;
            let Some(answer) = answer else {
                self.control.push_front(request);
                break;
            };
            self.done.push_back(request.end(answer));
            answered = true;
        }
        answered
    }

    /// `None` where the firmware is not ready.
    fn answer(&mut self, request: &Request) -> Option<Answer> {
        let setup = &request.setup;
        let direction = setup.direction();
        if direction == Direction::Out && request.data.len() != usize::from(setup.length) {
            return Some(Answer::Malformed);
        }
        let core = match setup.kind() {
            RequestKind::Standard => self.standard(setup),
            RequestKind::Vendor if direction == Direction::In => {
                self.descriptors.vendor_request(setup).map(Answer::Data)
            }
            _ => None,
        };
        if core.is_some() {
            return core;
        }
        let cx = &mut Context(&mut self.world);
        match direction {
            Direction::In => match self.firmware.control_in(setup, cx) {
                In::Data(data) => Some(Answer::Data(data)),
                In::Stall => Some(Answer::Stall),
                In::NotYet => None,
            },
            Direction::Out => match self.firmware.control_out(setup, &request.data, cx) {
                Out::Taken | Out::TakenPart(_) => Some(Answer::Done),
                Out::Stall => Some(Answer::Stall),
                Out::NotYet => None,
            },
        }
    }

    /// Answers a standard request; `None` leaves it to the firmware.
    fn standard(&mut self, setup: &Setup) -> Option<Answer> {
        let device = setup.recipient() == Recipient::Device;
        let interface = setup.recipient() == Recipient::Interface;
        Some(match setup.request {
            _ if setup.length > 0 && setup.direction() != data_direction(setup.request)? => {
                Answer::Stall
            }
            request::GET_STATUS => self.status(setup).into(),
            request::CLEAR_FEATURE => self.set_feature(setup, false).into(),
            request::SET_FEATURE => self.set_feature(setup, true).into(),
            // A host controller sets the address by itself; a host that asks for it here changes nothing.
            request::SET_ADDRESS if device => Answer::Done,
            request::GET_DESCRIPTOR if device => {
                let (kind, index) = setup.descriptor();
                self.descriptors.get(kind, index, setup.index).into()
            }
            request::GET_CONFIGURATION if device => {
                let value = self.settings.configuration.unwrap_or(0);
                Answer::Data(Bytes::copy_from_slice(&[value]))
            }
            request::SET_CONFIGURATION if device => self.set_configuration(setup).into(),
            request::GET_INTERFACE if interface => {
                let alternate = self.settings.alternate(setup.interface());
                alternate.map(|it| Bytes::copy_from_slice(&[it])).into()
            }
            request::SET_INTERFACE if interface => self.set_interface(setup).into(),
            request::SYNCH_FRAME => self.synch_frame(setup).into(),
            request::SET_SEL | request::SET_ISOCH_DELAY if device => {
                self.world.speed.is_super().then_some(()).into()
            }
            _ => return None,
        })
    }

    /// The two bytes of GET_STATUS (USB 2.0 §9.4.5).
    fn status(&self, setup: &Setup) -> Option<Bytes> {
        let bits: u16 = match setup.recipient() {
            Recipient::Device => {
                let configuration = self.settings.current_or_first(&self.descriptors);
                u16::from(configuration.is_some_and(|it| it.self_powered))
                    | u16::from(self.settings.remote_wakeup) << 1
                    | u16::from(self.settings.u1) << 2
                    | u16::from(self.settings.u2) << 3
            }
            Recipient::Interface => self.settings.alternate(setup.interface()).map(|_| 0)?,
            Recipient::Endpoint => match setup.endpoint() {
                EndpointAddress::CONTROL => 0,
                address => self.is_halted(address)?.into(),
            },
            Recipient::Other | Recipient::Reserved(_) => return None,
        };
        Some(Bytes::copy_from_slice(&bits.to_le_bytes()))
    }

    /// SET_FEATURE, or CLEAR_FEATURE where `on` is false. `None` refuses.
    fn set_feature(&mut self, setup: &Setup, on: bool) -> Option<()> {
        let configured = self.settings.configuration.is_some();
        match setup.feature()? {
            Feature::EndpointHalt => self.set_halt(setup.endpoint(), on),
            Feature::DeviceRemoteWakeup => {
                let configuration = self.settings.current_or_first(&self.descriptors)?;
                self.settings.remote_wakeup = configuration.remote_wakeup.then_some(on)?;
                Some(())
            }
            Feature::U1Enable if configured && self.world.speed.is_super() => {
                self.settings.u1 = on;
                Some(())
            }
            Feature::U2Enable if configured && self.world.speed.is_super() => {
                self.settings.u2 = on;
                Some(())
            }
            Feature::FunctionSuspend if self.world.speed.is_super() => {
                self.settings.alternate(setup.interface()).map(|_| ())
            }
            // There are no electrical tests to run and no latency messages to send.
            _ => None,
        }
    }

    fn set_halt(&mut self, address: EndpointAddress, on: bool) -> Option<()> {
        if address.is_control() {
            // Endpoint zero never stays halted, so there is nothing to clear and nothing that may be set.
            return (!on).then_some(());
        }
        let endpoint = self.endpoints[address.index()].as_mut()?;
        if endpoint.transfer_type == TransferType::Isochronous {
            return None;
        }
        if on {
            self.halt(address.index());
        } else {
            endpoint.clear_halt();
            self.firmware
                .halt_cleared(address, &mut Context(&mut self.world));
        }
        Some(())
    }

    /// Sets the configuration, even the one that is set: every endpoint begins anew (USB 2.0 §9.1.1.5).
    fn set_configuration(&mut self, setup: &Setup) -> Option<()> {
        let value = u8::try_from(setup.value).ok()?;
        let chosen = match value {
            0 => None,
            value => Some(self.descriptors.configuration(value)?),
        };
        self.settings.alternates.clear();
        if let Some(configuration) = chosen {
            let interfaces = configuration.interfaces.len();
            self.settings.alternates.resize(interfaces, 0);
        }
        self.settings.configuration = chosen.map(|it| it.value);
        self.settings.remote_wakeup = false;
        self.settings.u1 = false;
        self.settings.u2 = false;
        self.world.configuration = self.settings.configuration;
        for index in 0..self.endpoints.len() {
            self.end_queue(index, Status::Disconnected);
            self.endpoints[index] = None;
        }
        for interface in 0..self.settings.alternates.len() {
            self.open_endpoints(u8::try_from(interface).ok()?);
        }
        self.firmware
            .configured(self.settings.configuration, &mut Context(&mut self.world));
        Some(())
    }

    /// Chooses an interface's alternate setting, even the one it has: its endpoints begin anew (USB 2.0 §9.4.10).
    fn set_interface(&mut self, setup: &Setup) -> Option<()> {
        let number = setup.interface();
        let alternate = u8::try_from(setup.value).ok()?;
        let configuration = self.settings.current(&self.descriptors)?;
        configuration.interface(number)?.setting(alternate)?;
        *self.settings.alternates.get_mut(usize::from(number))? = alternate;
        for index in 0..self.endpoints.len() {
            let endpoint = self.endpoints[index].as_ref();
            if endpoint.is_some_and(|endpoint| endpoint.interface == number) {
                self.end_queue(index, Status::Disconnected);
                self.endpoints[index] = None;
            }
        }
        self.open_endpoints(number);
        self.firmware
            .setting_chosen(number, alternate, &mut Context(&mut self.world));
        Some(())
    }

    /// Opens the endpoints of an interface's present setting.
    fn open_endpoints(&mut self, number: u8) {
        let setting = self
            .settings
            .current(&self.descriptors)
            .and_then(|it| it.interface(number))
            .and_then(|it| it.setting(self.settings.alternate(number)?));
        for descriptor in setting.iter().flat_map(|setting| &setting.endpoints) {
            let endpoint = Endpoint::new(number, descriptor, self.world.speed);
            self.endpoints[descriptor.address.index()] = Some(Box::new(endpoint));
        }
    }

    /// The frame that an isochronous endpoint counts from (USB 2.0 §9.4.11); other endpoints refuse.
    fn synch_frame(&self, setup: &Setup) -> Option<Bytes> {
        let address = (setup.recipient() == Recipient::Endpoint).then(|| setup.endpoint())?;
        let endpoint = self.endpoints[address.index()].as_ref()?;
        (endpoint.transfer_type == TransferType::Isochronous).then(|| {
            // Of the number of a frame of 1 ms, a start-of-frame packet has eleven bits.
            let frame = self.world.age().as_millis() & 0x7ff;
            Bytes::copy_from_slice(&frame.to_le_bytes()[..2])
        })
    }
}
