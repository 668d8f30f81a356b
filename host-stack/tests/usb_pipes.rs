//! Interfaces, settings and pipes: what is told of them, and what to choose, abort, reset and flush does to requests.

mod usb_support;

use std::sync::{Arc, OnceLock};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, SendOptions, SentIoAction, Stack, TargetState,
    Threads,
    status::{HResult, NtStatus},
    usb::{PipeInformation, UsbTargetDevice},
    usb_target::{
        Options, Wait,
        protocol::{Setup, Speed, Status, TransferType, request},
    },
};
use usbwright_models::Spec;

use crate::usb_support::{
    BULK_IN, BULK_OUT, INTERRUPT_IN, INTERRUPT_OUT, ISO_IN, PACKET, Rig, ended, room,
};

const REFUSED: Result<(), HResult> = Err(HResult::from_nt(NtStatus::UNSUCCESSFUL));

/// What was asked on endpoint zero, as request and index.
fn asked(rig: &Rig) -> Vec<(u8, u16)> {
    let asked = rig.wire.asked().into_iter();
    asked.map(|it| (it.request, it.index)).collect()
}

#[test]
fn a_device_tells_its_speed_descriptor_configuration_and_interfaces() {
    let rig = Rig::new(0);
    let usb = &rig.usb;
    assert_eq!(usb.speed(), Speed::High);
    assert_eq!(usb.descriptor(), usb.usb().descriptor());
    let configuration = usb.configuration().unwrap();
    assert_eq!(configuration.value, 3);
    assert_eq!(usb.interfaces().len(), configuration.interfaces.len());
    assert_eq!(usb.interface(0).unwrap().number(), 0);
    let missing = usb.interface(7).map(drop);
    assert_eq!(missing, Err(NtStatus::INVALID_DEVICE_REQUEST.into()));
}

#[test]
fn an_interface_tells_its_number_settings_and_endpoints() {
    let rig = Rig::new(0);
    let interface = rig.interface();
    assert_eq!((interface.number(), interface.setting()), (0, 0));
    assert_eq!(interface.descriptor().settings.len(), 3);
    assert_eq!(interface.usb().alternate(), 0);
    let addresses = || {
        let pipes = interface.pipes().into_iter();
        pipes.map(|it| it.address()).collect::<Vec<_>>()
    };
    assert_eq!(addresses(), [BULK_OUT, BULK_IN]);
    assert!(interface.pipe(INTERRUPT_IN).is_none());
    interface.select_setting(2).unwrap();
    assert_eq!(interface.setting(), 2);
    assert_eq!(
        addresses(),
        [BULK_OUT, INTERRUPT_OUT, BULK_IN, INTERRUPT_IN]
    );
}

#[test]
fn a_pipe_tells_what_it_is() {
    let rig = Rig::new(2);
    let bulk = rig.pipe(BULK_IN);
    let information = PipeInformation {
        pipe_type: TransferType::Bulk,
        address: BULK_IN,
        maximum_packet_size: PACKET,
        interval: 0,
    };
    assert_eq!(bulk.information(), information);
    assert_eq!(bulk.pipe_type(), TransferType::Bulk);
    assert_eq!((bulk.is_in(), bulk.is_out()), (true, false));
    let interrupt = rig.pipe(INTERRUPT_OUT);
    let information = interrupt.information();
    assert_eq!(information.pipe_type, TransferType::Interrupt);
    assert_eq!(information.maximum_packet_size, 64);
    assert_eq!((interrupt.is_in(), interrupt.is_out()), (false, true));
    rig.interface().select_setting(1).unwrap();
    let isochronous = rig.pipe(ISO_IN).information();
    assert_eq!(isochronous.pipe_type, TransferType::Isochronous);
    assert!(isochronous.interval > 0);
}

#[test]
fn to_choose_the_setting_in_force_does_nothing() {
    let rig = Rig::new(2);
    let memory = room(PACKET);
    let sent = rig.read(BULK_IN, &memory);
    rig.interface().select_setting(2).unwrap();
    assert_eq!(asked(&rig), []);
    rig.end(BULK_IN, Status::Done, b"abc");
    assert_eq!(ended(sent.wait(), &memory).0, NtStatus::SUCCESS);
}

#[test]
fn a_setting_that_there_is_not_is_an_invalid_parameter_and_nothing_is_taken_back() {
    let rig = Rig::new(0);
    let memory = room(PACKET);
    let sent = rig.read(BULK_IN, &memory);
    for setting in [3, 255] {
        let chosen = rig.interface().select_setting(setting);
        assert_eq!(chosen, Err(NtStatus::INVALID_PARAMETER.into()));
    }
    assert_eq!(asked(&rig), []);
    assert_eq!(rig.wire.pending(BULK_IN), 1);
    rig.end(BULK_IN, Status::Done, b"abc");
    assert_eq!(ended(sent.wait(), &memory).0, NtStatus::SUCCESS);
}

#[test]
fn another_setting_takes_back_what_is_on_its_way_and_what_had_come_is_told() {
    let rig = Rig::new(0);
    rig.wire.moves(BULK_IN, b"some");
    let (memory, data) = (room(PACKET), room(2 * PACKET));
    let old = rig.pipe(BULK_IN);
    let read = rig.read(BULK_IN, &memory);
    let write = rig.write(BULK_OUT, &data);
    rig.interface().select_setting(2).unwrap();
    assert_eq!(asked(&rig), [(request::SET_INTERFACE, 0)]);
    let told = ended(read.wait(), &memory);
    assert_eq!(told, (NtStatus::CANCELLED, 4, b"some".to_vec()));
    assert_eq!(ended(write.wait(), &data).0, NtStatus::CANCELLED);
    assert_eq!(old.target().state(), TargetState::Closed);
    let new = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"new");
    assert_eq!(ended(new.wait(), &memory).2, b"new");
}

#[test]
fn another_setting_ends_what_waits_in_its_pipes_as_not_sent() {
    let rig = Rig::new(0);
    let memory = room(PACKET);
    let old = rig.pipe(BULK_IN);
    old.target().stop(SentIoAction::CancelSentIo).unwrap();
    let waits = rig.read(BULK_IN, &memory);
    rig.interface().select_setting(2).unwrap();
    let told = ended(waits.wait(), &memory).0;
    assert_eq!(told, NtStatus::WDF_DEVICE_REMOVED_NOT_SENT);
    assert_eq!(rig.pipe(BULK_IN).target().state(), TargetState::Started);
}

#[test]
fn pipes_of_a_setting_before_take_nothing() {
    let rig = Rig::new(0);
    let (old, memory) = (rig.pipe(BULK_IN), room(PACKET));
    rig.interface().select_setting(2).unwrap();
    rig.interface().select_setting(0).unwrap();
    let state = Err(NtStatus::INVALID_DEVICE_STATE.into());
    let mut request = rig.request();
    old.format_for_read(&mut request, Some(&memory), None)
        .unwrap();
    let options = SendOptions::new().ignore_target_state();
    let error = request.send(old.target(), options).unwrap_err();
    assert_eq!(Err(error.status), state);
    assert_eq!(old.target().start(), state);
    assert_eq!(old.abort(), state);
    assert_eq!(old.reset(), state);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
}

#[test]
fn a_setting_that_the_device_refuses_leaves_the_pipes_as_they_were() {
    let rig = Rig::new(0);
    let (started, stopped) = (rig.pipe(BULK_IN), rig.pipe(BULK_OUT));
    stopped.target().stop(SentIoAction::CancelSentIo).unwrap();
    let (memory, data) = (room(PACKET), room(3));
    let read = rig.read(BULK_IN, &memory);
    let waits = rig.write(BULK_OUT, &data);
    rig.wire
        .answers(0x01, request::SET_INTERFACE, Status::Stalled, "");
    assert_eq!(rig.interface().select_setting(2), REFUSED);
    assert_eq!(rig.interface().setting(), 0);
    // What was on its way had to be taken back before.
    assert_eq!(ended(read.wait(), &memory).0, NtStatus::CANCELLED);
    assert_eq!(started.target().state(), TargetState::Started);
    assert_eq!(stopped.target().state(), TargetState::Stopped);
    stopped.target().start().unwrap();
    rig.end(BULK_OUT, Status::Done, &[0; 3]);
    assert_eq!(ended(waits.wait(), &data).0, NtStatus::SUCCESS);
    let read = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(ended(read.wait(), &memory).2, b"on");
}

#[test]
fn settings_that_are_chosen_again_and_again_leave_nothing_behind() {
    let rig = Rig::new(0);
    let memory = room(1);
    let choose = || {
        for setting in [2, 0] {
            rig.interface().select_setting(setting).unwrap();
            let _sent = rig.write(BULK_OUT, &memory);
        }
        rig.stack.run();
        rig.wire.asked();
    };
    (0..10).for_each(|_| choose());
    let left = allocation_counter::measure(|| (0..100).for_each(|_| choose()));
    assert!(left.bytes_current < 10_000, "{left:?}");
}

#[test]
fn to_abort_takes_back_what_is_on_its_way_and_the_pipe_goes_on() {
    let rig = Rig::new(0);
    rig.wire.moves(BULK_IN, b"some");
    let pipe = rig.pipe(BULK_IN);
    let (first, second) = (room(PACKET), room(PACKET));
    let (one, two) = (rig.read(BULK_IN, &first), rig.read(BULK_IN, &second));
    let written = room(3);
    let write = rig.write(BULK_OUT, &written);
    pipe.abort().unwrap();
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    let told = [ended(one.wait(), &first), ended(two.wait(), &second)];
    assert!(told.iter().all(|it| it.0 == NtStatus::CANCELLED));
    let came: Vec<_> = told.iter().flat_map(|it| it.2.clone()).collect();
    assert_eq!(came, b"some");
    assert_eq!(asked(&rig), []);
    assert_eq!(rig.wire.pending(BULK_OUT), 1, "another pipe is left alone");
    rig.end(BULK_OUT, Status::Done, &[0; 3]);
    assert_eq!(ended(write.wait(), &written).0, NtStatus::SUCCESS);
    let sent = rig.read(BULK_IN, &first);
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(ended(sent.wait(), &first).2, b"on");
}

#[test]
fn to_reset_takes_back_what_is_on_its_way_and_clears_the_halt() {
    let rig = Rig::new(0);
    let (pipe, memory) = (rig.pipe(BULK_IN), room(PACKET));
    let sent = rig.read(BULK_IN, &memory);
    pipe.reset().unwrap();
    let cleared = (request::CLEAR_FEATURE, u16::from(BULK_IN.byte()));
    assert_eq!(asked(&rig), [cleared]);
    assert_eq!(ended(sent.wait(), &memory).0, NtStatus::CANCELLED);
    // Whatever the target's state.
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    pipe.reset().unwrap();
    assert_eq!(asked(&rig), [cleared]);
    rig.wire
        .answers(0x02, request::CLEAR_FEATURE, Status::Stalled, "");
    assert_eq!(pipe.reset(), REFUSED);
}

#[test]
fn a_driver_recovers_by_stop_abort_reset_start_and_sends_again() {
    let rig = Rig::new(0);
    let (pipe, memory) = (rig.pipe(BULK_IN), room(PACKET));
    let failed = rig.read(BULK_IN, &memory);
    let behind = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Stalled, &[]);
    assert_eq!(ended(failed.wait(), &memory).0, NtStatus::UNSUCCESSFUL);
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    assert_eq!(ended(behind.wait(), &memory).0, NtStatus::CANCELLED);
    pipe.abort().unwrap();
    pipe.reset().unwrap();
    let waits = rig.read(BULK_IN, &memory);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    pipe.target().start().unwrap();
    rig.end(BULK_IN, Status::Done, b"well again");
    assert_eq!(ended(waits.wait(), &memory).2, b"well again");
}

#[test]
fn to_abort_takes_back_what_a_stopped_pipe_has_left_on_its_way() {
    let rig = Rig::new(0);
    let (pipe, memory) = (rig.pipe(BULK_IN), room(PACKET));
    let left = rig.read(BULK_IN, &memory);
    pipe.target()
        .stop(SentIoAction::LeaveSentIoPending)
        .unwrap();
    let waits = rig.read(BULK_IN, &memory);
    pipe.abort().unwrap();
    assert_eq!(ended(left.wait(), &memory).0, NtStatus::CANCELLED);
    assert!(pipe.target().start().is_ok());
    rig.end(BULK_IN, Status::Done, b"in its turn");
    assert_eq!(ended(waits.wait(), &memory).2, b"in its turn");
}

#[test]
fn a_reset_of_the_port_ends_what_is_on_its_way_and_pipes_stay_good() {
    let rig = Rig::new(2);
    let (pipe, memory) = (rig.pipe(BULK_IN), room(PACKET));
    let sent = rig.read(BULK_IN, &memory);
    rig.usb.reset_port().unwrap();
    rig.stack.run();
    assert_ne!(ended(sent.wait(), &memory).0, NtStatus::SUCCESS);
    assert_eq!(rig.interface().setting(), 2);
    assert_eq!(pipe.target().state(), TargetState::Started);
    let sent = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(ended(sent.wait(), &memory).2, b"on");
}

/// Something that a driver asks of its device.
type Call = fn(&Rig) -> Result<(), HResult>;

#[test]
fn a_device_that_is_gone_is_told_by_every_call() {
    let calls: [Call; 4] = [
        |rig| rig.pipe(BULK_IN).reset(),
        |rig| rig.interface().select_setting(2),
        |rig| rig.usb.reset_port(),
        |rig| {
            let (device, options) = (rig.device(), SendOptions::new());
            let control = rig
                .usb
                .control_and_wait(&device, Setup::default(), None, options);
            control.map(drop)
        },
    ];
    for call in calls {
        let rig = Rig::new(0);
        rig.wire.unplug();
        assert_eq!(call(&rig), Err(NtStatus::DEVICE_NOT_CONNECTED.into()));
    }
    let (rig, memory) = (Rig::new(0), room(PACKET));
    let sent = rig.read(BULK_IN, &memory);
    rig.wire.unplug();
    rig.poke();
    let told = ended(sent.wait(), &memory).0;
    assert_eq!(told, NtStatus::DEVICE_NOT_CONNECTED);
}

/// A driver whose device may be made into a USB target, or not.
#[derive(Clone, Default)]
struct Makes(Arc<OnceLock<[Option<NtStatus>; 2]>>);

impl DeviceCallbacks for Makes {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let refusal = |made: Result<_, HResult>| made.err().map(NtStatus::from_hresult);
        let first = UsbTargetDevice::new(device);
        let second = refusal(UsbTargetDevice::new(device).map(drop));
        let _ = self.0.set([refusal(first.map(drop)), second]);
        Ok(())
    }
}

impl Driver for Makes {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        Ok(init.create(self.clone()))
    }
}

#[test]
fn a_stack_without_a_usb_device_has_no_usb_target() {
    let made = Makes::default();
    let builder = Stack::builder().threads(Threads::None);
    let _stack = builder.driver("makes", made.clone()).start().unwrap();
    let refused = Some(NtStatus::INVALID_DEVICE_REQUEST);
    assert_eq!(made.0.get(), Some(&[refused, refused]));
}

#[test]
fn interfaces_that_somebody_has_make_no_second_usb_target() {
    let made = Makes::default();
    let port = "gadget-zero".parse::<Spec>().unwrap();
    let port = port.build(std::time::Instant::now()).unwrap();
    let usb = Options::new().open(port).wait().unwrap();
    let builder = Stack::builder().threads(Threads::None).usb_device(usb);
    let _stack = builder.driver("makes", made.clone()).start().unwrap();
    let taken = Some(NtStatus::INVALID_DEVICE_STATE);
    assert_eq!(made.0.get(), Some(&[None, taken]));
}
