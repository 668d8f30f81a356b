//! A disk that is warm takes no memory for a command.

use std::time::Instant;

use allocation_counter::measure;
use bytes::Bytes;
use usbwright_emulator::{
    EmulatedDevice,
    protocol::{
        Direction, EndpointAddress, Port, Setup, Status, Transfer, TransferId, TransferKind,
    },
};
use usbwright_models::Spec;

/// What a host does for a command: it reads so many bytes, or writes.
enum Step {
    Read(u8, u32),
    Write(u8, Bytes),
}

struct Host {
    device: EmulatedDevice,
    now: Instant,
}

impl Host {
    fn new(alternate: u8) -> Self {
        let now = Instant::now();
        let spec: Spec = "disk,size=1M".parse().unwrap();
        let device = spec.build(now).unwrap();
        let mut host = Self { device, now };
        for setup in [[0, 9, 1, 0, 0, 0, 0, 0], [1, 11, alternate, 0, 0, 0, 0, 0]] {
            let kind = TransferKind::Control {
                setup: Setup::from_bytes(setup),
                data: Bytes::new(),
                room: 0,
            };
            host.submit(EndpointAddress::CONTROL, kind);
        }
        host
    }

    fn submit(&mut self, endpoint: EndpointAddress, kind: TransferKind) {
        let id = TransferId(1);
        let transfer = Transfer { id, endpoint, kind };
        self.device.submit(transfer, self.now.into());
        let completion = self.device.completion().expect("it is done at once");
        assert_eq!(completion.status, Status::Done);
    }

    fn take(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Read(number, length) => self.submit(
                    EndpointAddress::new(*number, Direction::In),
                    TransferKind::In { length: *length },
                ),
                Step::Write(number, data) => self.submit(
                    EndpointAddress::new(*number, Direction::Out),
                    TransferKind::Out {
                        data: data.clone().into(),
                        zero_packet: false,
                    },
                ),
            }
        }
    }

    /// Allocations of a hundred commands, once many were done before.
    fn allocations(&mut self, steps: &[Step]) -> u64 {
        let mut commands = |count| (0..count).for_each(|_| self.take(steps));
        commands(100);
        measure(|| commands(100)).count_total
    }
}

/// READ or WRITE of eight blocks.
fn cdb(code: u8) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[8]) = (code, 8);
    cdb
}

/// The steps of a command of 4 KiB, before and after its data.
fn steps(before: Vec<Step>, data: Step, after: Step) -> Vec<Step> {
    before.into_iter().chain([data, after]).collect()
}

const READ: u8 = 0x28;
const WRITE: u8 = 0x2a;

fn block() -> Bytes {
    Bytes::from_static(&[7; 4096])
}

#[test]
fn commands_by_bulk_only_transport_take_no_memory() {
    let wrapper = |length: u16, flags, cdb: [u8; 16]| {
        let mut bytes = b"USBC\x01\0\0\0".to_vec();
        bytes.extend(u32::from(length).to_le_bytes());
        bytes.extend([flags, 0, 16]);
        bytes.extend(cdb);
        vec![Step::Write(1, bytes.into())]
    };
    let status = || Step::Read(1, 13);
    let mut host = Host::new(0);
    // The first command is told of the power-on.
    host.take(&wrapper(0, 0, [0; 16]));
    host.take(&[status()]);
    let write = steps(
        wrapper(4096, 0, cdb(WRITE)),
        Step::Write(1, block()),
        status(),
    );
    assert_eq!(host.allocations(&write), 0);
    let read = steps(
        wrapper(4096, 0x80, cdb(READ)),
        Step::Read(1, 4096),
        status(),
    );
    assert_eq!(host.allocations(&read), 0);
}

#[test]
fn commands_by_uas_take_no_memory() {
    let command = |cdb: [u8; 16]| {
        let mut bytes = vec![1, 0, 0, 1];
        bytes.resize(16, 0);
        bytes.extend(cdb);
        vec![Step::Write(2, bytes.into()), Step::Read(2, 112)]
    };
    let status = || Step::Read(2, 112);
    let mut host = Host::new(1);
    host.take(&command([0; 16]));
    let write = steps(command(cdb(WRITE)), Step::Write(1, block()), status());
    assert_eq!(host.allocations(&write), 0);
    let read = steps(command(cdb(READ)), Step::Read(1, 4096), status());
    assert_eq!(host.allocations(&read), 0);
}
