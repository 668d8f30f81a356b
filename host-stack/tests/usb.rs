//! What a driver gets of its USB device: control transfers, pipes, readers.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, Handle, OnViolation, Request,
    RequestCompletionParams, RequestType, SendOptions, Stack, Threads, Timeout, UsbRequest,
    status::{HResult, NtStatus, Win32Error},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::{
        ManualClock, Options, Wait,
        protocol::{Setup, Status, request},
    },
};
use usbwright_models::Spec;

/// A driver that reads and writes the bulk pipes of a Gadget Zero.
#[derive(Default)]
struct Zero(Arc<Hardware>);

#[derive(Default)]
struct Hardware {
    usb: OnceLock<UsbTargetDevice>,
    input: OnceLock<UsbTargetPipe>,
    output: OnceLock<UsbTargetPipe>,
}

struct Callbacks(Arc<Hardware>);

impl DeviceCallbacks for Callbacks {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let usb = UsbTargetDevice::new(device)?;
        let pipes = usb.interfaces()[0].pipes();
        for pipe in pipes {
            pipe.set_no_maximum_packet_size_check();
            let place = if pipe.is_in() {
                &self.0.input
            } else {
                &self.0.output
            };
            let _ = place.set(pipe);
        }
        let _ = self.0.usb.set(usb);
        Ok(())
    }
}

fn ended(request: Request, params: &RequestCompletionParams) {
    request.complete_with_information(params.status(), params.information());
}

impl Driver for Zero {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(Callbacks(Arc::clone(&self.0)));
        let (reads, writes) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let on_end: Arc<dyn usbwright_host_stack::CompletionCallback> = Arc::new(ended);
        let on_written = Arc::clone(&on_end);
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |_, mut request, length| {
            let pipe = reads.input.get().unwrap();
            let output = request.output(length).unwrap();
            pipe.format_for_read_into(&mut request, output).unwrap();
            let sent = request.send_then(pipe.target(), SendOptions::new(), Arc::clone(&on_end));
            sent.unwrap_or_else(|error| error.complete());
        });
        let queue = queue.on_write(move |_, mut request, length| {
            let pipe = writes.output.get().unwrap();
            let input = request.input(length).unwrap();
            pipe.format_for_write_of(&mut request, input).unwrap();
            let sent =
                request.send_then(pipe.target(), SendOptions::new(), Arc::clone(&on_written));
            sent.unwrap_or_else(|error| error.complete());
        });
        queue.create()?;
        Ok(device)
    }
}

/// A stack over a Gadget Zero.
fn stack(spec: &str, configuration: u8) -> (Stack, Handle, Arc<Hardware>, ManualClock) {
    let clock = ManualClock::new();
    let port = spec.parse::<Spec>().unwrap().build(clock.now()).unwrap();
    let options = Options::new()
        .configuration(configuration)
        .clock(clock.clone());
    let usb = options.open(port).wait().unwrap();
    let hardware: Arc<Hardware> = Arc::default();
    let stack = Stack::builder()
        .usb_device(usb)
        .driver("zero", Zero(Arc::clone(&hardware)))
        .clock(clock.clone())
        .threads(Threads::None)
        .on_violation(OnViolation::Panic)
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    (stack, handle, hardware, clock)
}

#[test]
fn what_is_written_to_a_loopback_is_read_again() {
    let (_stack, handle, ..) = stack("gadget-zero", 2);
    let written = handle.write(b"hello".to_vec()).wait().ok().unwrap();
    assert_eq!(written.information, 5);
    let read = handle.read(64).wait().ok().unwrap();
    assert_eq!(&read.data[..], b"hello");
}

#[test]
fn a_control_transfer_tells_of_its_data_stage_and_setup_packet() {
    let (stack, _handle, hardware, _) = stack("gadget-zero", 2);
    let device = &stack.devices()[0];
    let usb = hardware.usb.get().unwrap();
    let memory = usbwright_host_stack::Memory::zeroed(64).unwrap();
    let mut request = device.create_request();
    let setup = Setup {
        request_type: 0x80,
        request: request::GET_DESCRIPTOR,
        value: 0x0100,
        index: 0,
        length: 0,
    };
    usb.format_for_control_transfer(&mut request, setup, Some(&memory), None)
        .unwrap();
    let (_, params) = request
        .send(usb.target(), SendOptions::new())
        .unwrap()
        .wait();
    assert_eq!(
        (params.nt_status(), params.information()),
        (NtStatus::SUCCESS, 18)
    );
    assert_eq!(params.request_type(), RequestType::Usb);
    assert!(params.io().is_none());
    let UsbRequest::DeviceControlTransfer { transfer, setup } = params.usb().unwrap().request()
    else {
        panic!("{params:?}");
    };
    assert_eq!((transfer.bytes, setup.length), (18, 64));
    assert_eq!(memory.to_bytes(None).unwrap()[..2], [18, 1]);
}

#[test]
fn a_stall_is_told_beside_the_status_that_hides_it() {
    let (stack, _handle, hardware, _) = stack("gadget-zero", 2);
    let device = &stack.devices()[0];
    let usb = hardware.usb.get().unwrap();
    let mut request = device.create_request();
    let setup = Setup {
        request_type: 0xC0,
        request: 0x77,
        value: 0,
        index: 0,
        length: 0,
    };
    let memory = usbwright_host_stack::Memory::zeroed(4).unwrap();
    usb.format_for_control_transfer(&mut request, setup, Some(&memory), None)
        .unwrap();
    let (_, params) = request
        .send(usb.target(), SendOptions::new())
        .unwrap()
        .wait();
    assert_eq!(params.nt_status(), NtStatus::UNSUCCESSFUL);
    assert_eq!(params.usb().unwrap().usb_status(), Some(Status::Stalled));
}

#[test]
fn a_read_that_takes_too_long_ends_as_timed_out() {
    let (stack, _handle, hardware, clock) = stack("gadget-zero", 2);
    let device = &stack.devices()[0];
    let pipe = hardware.input.get().unwrap();
    let memory = usbwright_host_stack::Memory::zeroed(64).unwrap();
    let mut request = device.create_request();
    pipe.format_for_read(&mut request, Some(&memory), None)
        .unwrap();
    let timeout = SendOptions::new().timeout(Timeout::After(Duration::from_secs(1)));
    let sent = request.send(pipe.target(), timeout).unwrap();
    clock.advance(Duration::from_millis(1001));
    let (_, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::IO_TIMEOUT);
}

#[test]
fn an_application_that_cancels_a_read_is_told_so() {
    let (_stack, handle, ..) = stack("gadget-zero", 2);
    let read = handle.read(64);
    assert!(!read.has_ended());
    read.cancel();
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    let _ = handle.write(b"later".to_vec()).wait().ok().unwrap();
    assert_eq!(&handle.read(64).wait().ok().unwrap().data[..], b"later");
}
