//! The control codes of the board's driver.

use std::sync::Arc;

use usbwright_host_stack::{
    Control, Device, Queue, Request, RequestType, SendError,
    status::{HResult, Win32Error},
};

use super::{
    hardware::{Board, BoardRequest},
    play, public,
};

/// The queue that gets control codes.
pub(super) fn queue(device: &Device, board: &Arc<Board>) -> Result<Queue, HResult> {
    let board = Arc::clone(board);
    let queue = device.sequential_queue().takes(RequestType::DeviceControl);
    let queue = queue.on_device_control(move |queue, request, control| {
        let device = queue.device();
        handle(&board, &device, request, control);
    });
    queue.create()
}

fn handle(board: &Board, device: &Device, request: Request, control: Control) {
    let done = match control.code {
        public::GET_INTERRUPT_MESSAGE => return wait_for_switches(board, request),
        public::PLAY_FILE => return have_played(board, request),
        public::GET_CONFIG_DESCRIPTOR => configuration(board, &request),
        public::RESET_DEVICE => board.hardware().and_then(|it| it.reset()).map(|()| 0),
        public::REENUMERATE_DEVICE => {
            let hardware = board.hardware();
            hardware
                .and_then(|it| it.tell(device, BoardRequest::Reenumerate))
                .map(|()| 0)
        }
        public::GET_BAR_GRAPH_DISPLAY => ask(board, device, &request, BoardRequest::ReadBarGraph),
        public::SET_BAR_GRAPH_DISPLAY => set(board, device, &request, BoardRequest::SetBarGraph),
        public::READ_SWITCHES => ask(board, device, &request, BoardRequest::ReadSwitches),
        public::GET_7_SEGMENT_DISPLAY => {
            ask(board, device, &request, BoardRequest::ReadSevenSegments)
        }
        public::SET_7_SEGMENT_DISPLAY => {
            set(board, device, &request, BoardRequest::SetSevenSegments)
        }
        _ => Err(Win32Error::INVALID_FUNCTION.into()),
    };
    match done {
        Ok(information) => request.complete_with_information(HResult::OK, information),
        Err(status) => request.complete_with_information(status, 0),
    }
}

fn wait_for_switches(board: &Board, request: Request) {
    if request.output(1).is_err() {
        return request.complete_with_information(Win32Error::INSUFFICIENT_BUFFER, 0);
    }
    if let Some(queue) = board.interrupts.get() {
        request.forward(queue).unwrap_or_else(SendError::complete);
    }
}

fn have_played(board: &Board, request: Request) {
    if let Err(status) = play::playback(&request) {
        return request.complete_with_information(status, 0);
    }
    if let Some(queue) = board.files.get() {
        request.forward(queue).unwrap_or_else(SendError::complete);
    }
}

/// What an application is told of a buffer that is too small.
fn too_small(_: HResult) -> HResult {
    Win32Error::INSUFFICIENT_BUFFER.into()
}

fn ask(
    board: &Board,
    device: &Device,
    request: &Request,
    what: BoardRequest,
) -> Result<usize, HResult> {
    let output = request.output(1).map_err(too_small)?;
    let value = board.hardware()?.ask(device, what)?;
    output.fill(vec![value].into())?;
    Ok(1)
}

fn set(
    board: &Board,
    device: &Device,
    request: &Request,
    what: BoardRequest,
) -> Result<usize, HResult> {
    let input = request.input(1).map_err(too_small)?;
    let value = input.payload().to_vec()[0];
    board.hardware()?.set(device, what, value)?;
    Ok(1)
}

fn configuration(board: &Board, request: &Request) -> Result<usize, HResult> {
    let hardware = board.hardware()?;
    let description = hardware.usb.usb().description();
    let value = hardware.usb.usb().configuration();
    let fetched = value.and_then(|value| description.configuration(value));
    let bytes = fetched.map(|it| it.bytes.clone()).unwrap_or_default();
    let output = request.output(bytes.len()).map_err(too_small)?;
    let length = bytes.len();
    output.fill(bytes.into())?;
    Ok(length)
}
