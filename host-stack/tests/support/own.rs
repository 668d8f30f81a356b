//! A driver that sends requests of its own.

use usbwright_host_stack::{
    Device, DeviceNames, IoRequestCompletionParams, IoTarget, IoTransfer, Memory, Request,
    RequestCompletionParams, SendOptions, Sent, Stack, Threads, status::NtStatus,
    usb_target::ManualClock,
};

use super::{Kept, builder, driver};

/// A stack of one driver, which keeps what comes, and whose device sends requests of its own.
pub(crate) struct Own {
    pub(crate) stack: Stack,
    pub(crate) device: Device,
    pub(crate) clock: ManualClock,
    pub(crate) kept: Kept,
}

/// How a request has ended: its status, and how much was done.
pub(crate) type How = (NtStatus, usize);

impl Own {
    pub(crate) fn new() -> Self {
        Self::among(&DeviceNames::new())
    }

    /// One that knows others by their names.
    pub(crate) fn among(names: &DeviceNames) -> Self {
        Self::with_threads(names, Threads::None)
    }

    pub(crate) fn with_threads(names: &DeviceNames, threads: Threads) -> Self {
        let (builder, clock) = builder();
        let builder = builder.names(names).threads(threads);
        let kept = Kept::default();
        let keep = kept.clone();
        let make = move |device: &Device| keep.queue(device).map(drop);
        let stack = builder.driver("own", driver(make)).start().unwrap();
        let device = stack.devices().pop().unwrap();
        Self {
            stack,
            device,
            clock,
            kept,
        }
    }

    /// Sends a read of so many bytes.
    pub(crate) fn read(&self, target: &IoTarget, length: usize, offset: u64) -> Sent {
        self.read_with(target, length, offset, SendOptions::new())
    }

    pub(crate) fn read_with(
        &self,
        target: &IoTarget,
        length: usize,
        offset: u64,
        options: SendOptions,
    ) -> Sent {
        let memory = (length > 0).then(|| Memory::zeroed(length).unwrap());
        let mut request = self.device.create_request();
        target
            .format_for_read(&mut request, memory.as_ref(), None, offset)
            .unwrap();
        request.send(target, options).unwrap()
    }

    /// Sends a write.
    pub(crate) fn write(&self, target: &IoTarget, data: &[u8], offset: u64) -> Sent {
        self.write_with(target, data, offset, SendOptions::new())
    }

    pub(crate) fn write_with(
        &self,
        target: &IoTarget,
        data: &[u8],
        offset: u64,
        options: SendOptions,
    ) -> Sent {
        let memory = (!data.is_empty()).then(|| Memory::new(data.to_vec()).unwrap());
        let mut request = self.device.create_request();
        target
            .format_for_write(&mut request, memory.as_ref(), None, offset)
            .unwrap();
        request.send(target, options).unwrap()
    }

    /// Sends a request that was formatted, and waits until it has ended.
    pub(crate) fn done(&self, target: &IoTarget, request: Request) -> How {
        how(request.send(target, SendOptions::new()).unwrap())
    }

    /// Sends a flush, and waits until it has ended.
    pub(crate) fn flush(&self, target: &IoTarget) -> How {
        let mut request = self.device.create_request();
        target.format_for_flush(&mut request).unwrap();
        self.done(target, request)
    }

    /// Asks for information of a class, for which there is so much room.
    pub(crate) fn query(&self, target: &IoTarget, class: u32, room: usize) -> (How, Vec<u8>) {
        let memory = Memory::zeroed(room).unwrap();
        let mut request = self.device.create_request();
        target
            .format_for_query_information(&mut request, class, Some(&memory), None)
            .unwrap();
        let how = self.done(target, request);
        (how, memory.to_bytes(None).unwrap()[..how.1].to_vec())
    }

    /// Sets information of a class.
    pub(crate) fn set(&self, target: &IoTarget, class: u32, information: &[u8]) -> How {
        let memory = Memory::new(information.to_vec()).unwrap();
        let mut request = self.device.create_request();
        target
            .format_for_set_information(&mut request, class, Some(&memory), None)
            .unwrap();
        self.done(target, request)
    }
}

fn told(params: &RequestCompletionParams) -> How {
    (params.nt_status(), params.information())
}

/// Waits until it has ended.
pub(crate) fn how(sent: Sent) -> How {
    told(&sent.wait().1)
}

/// Waits until a read has ended, and tells what it has brought.
pub(crate) fn brought(sent: Sent) -> (How, Vec<u8>) {
    let (_request, params) = sent.wait();
    let Some(IoRequestCompletionParams::Read(IoTransfer { memory, bytes, .. })) = params.io()
    else {
        panic!("it was a read");
    };
    assert_eq!(*bytes, params.information());
    let memory = memory.as_ref().map(|it| it.to_bytes(None).unwrap());
    let data = memory.map_or_else(Vec::new, |it| it[..*bytes].to_vec());
    (told(&params), data)
}
