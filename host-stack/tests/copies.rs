//! That data which drivers get at directly is not copied: it has one address from the application to the firmware, and from the firmware to the application.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Instant,
};

use bytes::Bytes;
use usbwright_emulator::{Context, EmulatedDevice, Firmware, In, Out};
use usbwright_host_stack::{
    Access, ControlCode, Device, DeviceCallbacks, DeviceInit, Driver, Handle, IoType, Parameters,
    Request, RequestCompletionParams, Retrieval, SendError, SendOptions, Stack, Threads,
    status::{HResult, NtStatus},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::{
        self, Wait,
        protocol::{
            Class, Direction, EndpointAddress, Speed,
            descriptor::{Configuration, Device as Descriptor, Endpoint, Interface, Setting},
        },
    },
};

/// As long as a direct transfer is at the least, and several packets.
const LENGTH: usize = 64 << 10;
/// `METHOD_IN_DIRECT`: what is given is to be written.
const WRITE: ControlCode = ControlCode(0x0022_2001);

/// The addresses of the packets that the firmware has received.
type Received = Arc<Mutex<Vec<usize>>>;

/// Sends from memory of its own, and notes where what it receives lies.
struct Observer {
    source: Bytes,
    sent: usize,
    received: Received,
}

impl Firmware for Observer {
    fn describe(&self, _: Speed) -> Descriptor {
        let setting = Setting::new(Class::VENDOR)
            .endpoint(Endpoint::bulk(EndpointAddress::new(1, Direction::In)))
            .endpoint(Endpoint::bulk(EndpointAddress::new(1, Direction::Out)));
        Descriptor::new(1, 2)
            .configuration(Configuration::new(1).interface(Interface::new(0).setting(setting)))
    }

    fn send(&mut self, _: EndpointAddress, room: usize, _: &mut Context<'_>) -> In {
        let begin = self.sent % LENGTH;
        self.sent += room;
        In::Data(self.source.slice(begin..begin + room))
    }

    fn receive(&mut self, _: EndpointAddress, data: &Bytes, _: &mut Context<'_>) -> Out {
        self.received.lock().unwrap().push(data.as_ptr().addr());
        Out::Taken
    }
}

/// Sends everything on to the device's pipes, and gets at data as `access` says.
struct Pipes {
    access: Access,
    pipes: Arc<OnceLock<Vec<UsbTargetPipe>>>,
}

struct Hardware(Arc<OnceLock<Vec<UsbTargetPipe>>>);

impl DeviceCallbacks for Hardware {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let usb = UsbTargetDevice::new(device)?;
        let _ = self.0.set(usb.interfaces()[0].pipes());
        Ok(())
    }
}

fn ended(request: Request, params: &RequestCompletionParams) {
    request.complete_with_information(params.status(), params.information());
}

fn send(pipes: &[UsbTargetPipe], mut request: Request) -> Result<(), SendError> {
    let is_read = matches!(request.parameters(), Parameters::Read(_));
    let pipe = pipes.iter().find(|it| it.is_in() == is_read).unwrap();
    match is_read {
        true => {
            let output = request.output(1).unwrap();
            pipe.format_for_read_into(&mut request, output).unwrap();
        }
        false => {
            let input = request.input(1).unwrap();
            pipe.format_for_write_of(&mut request, input).unwrap();
        }
    }
    request.send_then(pipe.target(), SendOptions::new(), Arc::new(ended))
}

impl Driver for Pipes {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_io_type_preference(IoType {
            retrieval: Retrieval::Deferred,
            read_write: self.access,
            control: self.access,
            direct_threshold: 0,
        });
        let device = init.create(Hardware(Arc::clone(&self.pipes)));
        let pipes = Arc::clone(&self.pipes);
        let queue = device.parallel_queue().default_queue();
        let handler = move |_: &_, request: Request| {
            send(pipes.get().unwrap(), request).unwrap_or_else(SendError::complete);
        };
        queue.on_default(handler).create()?;
        Ok(device)
    }
}

struct Bench {
    _stack: Stack,
    handle: Handle,
    source: Bytes,
    received: Received,
}

impl Bench {
    fn new(access: Access) -> Self {
        let (source, received) = (Bytes::from(vec![7; LENGTH]), Received::default());
        let firmware = Observer {
            source: source.clone(),
            sent: 0,
            received: Arc::clone(&received),
        };
        let device = EmulatedDevice::new(firmware, Speed::High, Instant::now()).unwrap();
        let driver = Pipes {
            access,
            pipes: Arc::default(),
        };
        let stack = Stack::builder()
            .threads(Threads::None)
            .usb_device(usb_target::Device::open(device).wait().unwrap())
            .driver("pipes", driver)
            .start()
            .unwrap();
        let handle = stack.open_and_wait().unwrap();
        Self {
            _stack: stack,
            handle,
            source,
            received,
        }
    }

    /// Whether the firmware has received what begins there, packet by packet.
    fn has_received(&self, begin: usize) -> bool {
        let received = std::mem::take(&mut *self.received.lock().unwrap());
        assert!(!received.is_empty());
        let inside = |address: &usize| (begin..begin + LENGTH).contains(address);
        received[0] == begin && received.iter().all(inside)
    }
}

#[test]
fn a_direct_write_is_not_copied_between_the_application_and_the_firmware() {
    let bench = Bench::new(Access::Direct);
    let data = Bytes::from(vec![1; LENGTH]);
    let own = data.as_ptr().addr();
    for _ in 0..3 {
        let written = bench.handle.write(data.clone()).wait();
        assert_eq!(written.information, LENGTH);
        assert!(bench.has_received(own));
    }
}

#[test]
fn the_input_of_a_direct_control_code_is_not_copied_either() {
    let bench = Bench::new(Access::Direct);
    let data = Bytes::from(vec![1; LENGTH]);
    let own = data.as_ptr().addr();
    let told = bench.handle.control(WRITE, data, 0).wait();
    assert_eq!(told.status, NtStatus::SUCCESS);
    assert!(bench.has_received(own));
}

#[test]
fn a_buffered_write_is_a_copy_that_the_application_can_do_nothing_to() {
    let bench = Bench::new(Access::Buffered);
    let data = Bytes::from(vec![1; LENGTH]);
    let own = data.as_ptr().addr();
    assert_eq!(bench.handle.write(data).wait().information, LENGTH);
    assert!(!bench.has_received(own));
}

#[test]
fn what_is_read_is_not_copied_between_the_firmware_and_the_application() {
    for access in [Access::Direct, Access::Buffered] {
        let bench = Bench::new(access);
        let packet = bench.handle.read(512).wait().ok().unwrap().data;
        assert_eq!(packet.as_ptr(), bench.source.as_ptr(), "{access:?}");
    }
}
