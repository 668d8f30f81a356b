//! What an application gets of the board's driver, whatever is between the driver and the board.

use std::thread;

use usbwright::{
    host_stack::{Handle, Io, OnViolation, OpenOptions, Stack, status::Win32Error},
    models::osr_fx2::Board,
    target::Device,
};
use usbwright_samples::{
    filter::InvertingFilter,
    fx2::{Fx2Driver, public},
};

/// Runs all of it on a board, which is opened anew where it says so.
pub(crate) fn run(device: &Device, board: &Board) {
    {
        let (stack, handle) = stack(device, false);
        the_driver_lights_the_dot(board);
        what_is_written_is_read_again(&handle);
        four_packets_are_taken_and_the_fifth_waits(&handle);
        two_threads_have_a_hundred_transfers_each(&handle);
        displays_and_switches_are_set_and_read(&handle, board);
        the_configuration_descriptor_is_the_boards(&handle);
        an_interrupt_message_tells_of_a_change(&handle, board);
        buffers_that_are_too_small_are_told(&handle);
        an_unknown_code_is_told(&handle);
        handles_survive_a_reset(&handle);
        assert_eq!(stack.violations(), []);
    }
    what_goes_through_the_filter_is_inverted_on_the_wire(device);
}

fn stack(device: &Device, filter: bool) -> (Stack, Handle) {
    let builder = Stack::builder()
        .usb_device(device.clone())
        .driver("fx2", Fx2Driver);
    let builder = match filter {
        true => builder.driver("filter", InvertingFilter),
        false => builder,
    };
    let stack = builder.on_violation(OnViolation::Panic).start().unwrap();
    let handle = stack.open(&OpenOptions::new()).wait().unwrap();
    (stack, handle)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|it| (it % 251) as u8).collect()
}

#[track_caller]
fn loops(handle: &Handle, length: usize) {
    let written = handle.write(pattern(length));
    let mut read = Vec::new();
    while read.len() < length {
        read.extend(handle.read(length - read.len()).wait().ok().unwrap().data);
    }
    assert_eq!(read, pattern(length), "{length} bytes");
    assert_eq!(written.wait().ok().unwrap().information, length);
}

fn the_driver_lights_the_dot(board: &Board) {
    assert_eq!(board.segments().bits(), 0x08);
}

fn what_is_written_is_read_again(handle: &Handle) {
    for length in [1, 63, 64, 65, 511, 512, 513, 64 << 10] {
        loops(handle, length);
    }
}

fn four_packets_are_taken_and_the_fifth_waits(handle: &Handle) {
    for packet in 1..=4_u8 {
        let _ = handle.write(vec![packet]).wait().ok().unwrap();
    }
    let fifth = handle.write(vec![5]);
    // Once the board has answered this, it has seen the fifth packet, too.
    asked(handle, public::READ_SWITCHES);
    assert!(!fifth.has_ended());
    for packet in 1..=5_u8 {
        let read = handle.read(512).wait().ok().unwrap();
        assert_eq!(read.data[..], [packet]);
    }
    assert_eq!(fifth.wait().ok().unwrap().information, 1);
}

fn two_threads_have_a_hundred_transfers_each(handle: &Handle) {
    let writer = handle.clone();
    thread::scope(|scope| {
        scope.spawn(move || {
            let writes: Vec<Io> = (0..100_u32)
                .map(|it| writer.write(it.to_le_bytes().to_vec()))
                .collect();
            for write in writes {
                assert_eq!(write.wait().ok().unwrap().information, 4);
            }
        });
        let reads: Vec<Io> = (0..100).map(|_| handle.read(512)).collect();
        for (place, read) in (0_u32..).zip(reads) {
            assert_eq!(read.wait().ok().unwrap().data[..], place.to_le_bytes());
        }
    });
}

#[track_caller]
fn asked(handle: &Handle, code: usbwright::host_stack::ControlCode) -> u8 {
    let told = handle.control(code, vec![], 1).wait().ok().unwrap();
    assert_eq!(told.information, 1);
    told.data[0]
}

fn displays_and_switches_are_set_and_read(handle: &Handle, board: &Board) {
    let set = |code, value| handle.control(code, vec![value], 0).wait().ok().unwrap();
    let _ = set(public::SET_BAR_GRAPH_DISPLAY, 0xA5);
    assert_eq!(board.bar_graph().bits(), 0xA5);
    assert_eq!(asked(handle, public::GET_BAR_GRAPH_DISPLAY), 0xA5);
    let _ = set(public::SET_7_SEGMENT_DISPLAY, 0x06);
    assert_eq!(board.segments().character(), Some('1'));
    assert_eq!(asked(handle, public::GET_7_SEGMENT_DISPLAY), 0x06);
    board.set_switch(8, true).unwrap();
    assert_eq!(asked(handle, public::READ_SWITCHES), 0x01);
    board.set_switch(8, false).unwrap();
    assert_eq!(asked(handle, public::READ_SWITCHES), 0x00);
}

fn the_configuration_descriptor_is_the_boards(handle: &Handle) {
    let told = handle
        .control(public::GET_CONFIG_DESCRIPTOR, vec![], 256)
        .wait()
        .ok()
        .unwrap();
    assert_eq!(
        (told.information, &told.data[..4]),
        (39, &[9, 2, 39, 0][..])
    );
}

fn an_interrupt_message_tells_of_a_change(handle: &Handle, board: &Board) {
    // What the board has told before may come late: it is asked until it tells of the change that was made last.
    let mut told = None;
    let mut on = false;
    while told != Some(board.switches().bits()) {
        let message = handle.control(public::GET_INTERRUPT_MESSAGE, vec![], 1);
        on = !on;
        board.set_switch(3, on).unwrap();
        told = message.wait().ok().unwrap().data.first().copied();
    }
    board.set_switch(3, false).unwrap();
}

fn buffers_that_are_too_small_are_told(handle: &Handle) {
    let asks = [
        public::GET_BAR_GRAPH_DISPLAY,
        public::GET_7_SEGMENT_DISPLAY,
        public::READ_SWITCHES,
        public::GET_INTERRUPT_MESSAGE,
        public::SET_BAR_GRAPH_DISPLAY,
        public::SET_7_SEGMENT_DISPLAY,
    ];
    for code in asks {
        let error = handle.control(code, vec![], 0).wait().error();
        assert_eq!(error, Win32Error::INSUFFICIENT_BUFFER, "{code:?}");
    }
    let error = handle
        .control(public::GET_CONFIG_DESCRIPTOR, vec![], 38)
        .wait()
        .error();
    assert_eq!(error, Win32Error::INSUFFICIENT_BUFFER);
}

fn an_unknown_code_is_told(handle: &Handle) {
    let code = usbwright::host_stack::ControlCode(0xFFDC_6FFC);
    assert_eq!(
        handle.control(code, vec![], 0).wait().error(),
        Win32Error::INVALID_FUNCTION
    );
}

fn handles_survive_a_reset(handle: &Handle) {
    let _ = handle
        .control(public::RESET_DEVICE, vec![], 0)
        .wait()
        .ok()
        .unwrap();
    loops(handle, 100);
    let _ = handle
        .control(public::REENUMERATE_DEVICE, vec![], 0)
        .wait()
        .ok()
        .unwrap();
    loops(handle, 100);
}

fn what_goes_through_the_filter_is_inverted_on_the_wire(device: &Device) {
    {
        let (_stack, handle) = stack(device, true);
        loops(&handle, 100);
        let _ = handle.write(b"hello".to_vec()).wait().ok().unwrap();
    }
    let (_stack, handle) = stack(device, false);
    let inverted: Vec<u8> = b"hello".iter().map(|it| !it).collect();
    assert_eq!(handle.read(64).wait().ok().unwrap().data[..], inverted);
}
