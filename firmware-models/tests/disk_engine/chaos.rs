//! A host that keeps to no protocol: what it sends is anything, in any order. Afterwards it resets the bus.

use super::{
    Bench, commands,
    host::{COMMAND_OUT, DATA_IN, DATA_OUT, STATUS_IN, address, out, request},
};
use usbwright_emulator::protocol::{EndpointAddress, TransferKind};

impl Bench<'_> {
    /// Anything, of which nothing is expected but that the device is as good as new after a reset.
    pub(super) fn chaos(&mut self) {
        for _ in 0..1 + self.script.byte() % 16 {
            self.anything();
        }
        self.begin_anew();
        for unit in &mut self.units {
            unit.data = unit.shared.content(0..unit.data.len());
        }
    }

    fn anything(&mut self) {
        let (endpoint, kind) = match self.script.byte() % 8 {
            0 | 1 => {
                let length = match self.script.byte() {
                    0..100 => 13,
                    100..150 => 112,
                    _ => self.script.up_to(60_000) as u32,
                };
                let endpoint = self.script.one_of(&[DATA_IN, STATUS_IN]);
                (endpoint, TransferKind::In { length })
            }
            2..=4 => {
                let endpoint = self.script.one_of(&[DATA_OUT, COMMAND_OUT]);
                let bytes = self.any_request();
                (endpoint, out(&bytes))
            }
            5 => {
                let length = self.script.up_to(3000);
                let endpoint = self.script.one_of(&[DATA_OUT, COMMAND_OUT]);
                (endpoint, out(&self.script.data(length)))
            }
            6 => (EndpointAddress::CONTROL, request(self.any_control())),
            _ => {
                self.host.settled();
                return;
            }
        };
        let id = self.host.submit(endpoint, kind);
        if self.script.one_in(8) {
            self.host.cancel(id);
        }
        self.host.ended();
    }

    fn any_control(&mut self) -> [u8; 8] {
        match self.script.byte() {
            0..60 => [0x21, 0xff, 0, 0, 0, 0, 0, 0],
            60..120 => {
                let halted = self.script.one_of(&[DATA_IN, DATA_OUT, STATUS_IN]);
                [2, 1, 0, 0, address(halted), 0, 0, 0]
            }
            120..180 => [1, 11, 1, 0, 0, 0, 0, 0],
            180..200 => [1, 11, 0, 0, 0, 0, 0, 0],
            _ => self.script.bytes(),
        }
    }

    /// A command wrapper or an information unit, nearly right; or neither.
    fn any_request(&mut self) -> Vec<u8> {
        let lun = self.script.byte() % 3;
        let cdb = commands::command(&mut self.script, 64);
        let mut bytes = match self.script.byte() % 4 {
            0 | 1 => {
                let length = u32::from_le_bytes(self.script.bytes());
                let mut bytes = b"USBC\x01\0\0\0".to_vec();
                bytes.extend((length >> (length % 32)).to_le_bytes());
                bytes.extend([self.script.byte() & 0x80, lun, 16]);
                bytes.extend(cdb);
                bytes
            }
            2 => {
                let mut bytes = vec![1, 0, 0, self.script.byte() % 8];
                bytes.extend([0, 0, 0, 0, 0, lun, 0, 0, 0, 0, 0, 0]);
                bytes.extend(cdb);
                bytes
            }
            _ => {
                let mut bytes = vec![5, 0, 0, self.script.byte(), self.script.byte(), 0, 0];
                bytes.extend([self.script.byte() % 8, 0, lun, 0, 0, 0, 0, 0, 0]);
                bytes
            }
        };
        if self.script.one_in(6) {
            let place = self.script.up_to(bytes.len() - 1);
            bytes[place] = self.script.byte();
        }
        if self.script.one_in(12) {
            bytes.resize(self.script.up_to(64), 0);
        }
        bytes
    }
}
