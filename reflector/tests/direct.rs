//! Memory that an application and its device's host share.

mod support;

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketAddrUnix, SocketType, connect, recv, sendmsg, socket,
    },
};
use support::{Setup, WHO, name, until};
use usbwright_reflector::{
    application::OutOfBuffer,
    status::{NtStatus, Win32Error},
    wire::{Header, Part, kind},
};
use zerocopy::{FromBytes as _, IntoBytes as _};

#[test]
fn a_direct_read_brings_what_a_direct_write_took() {
    let setup = Setup::new();
    let device = setup.open();
    let [from, to] = [(); 2].map(|()| device.direct_buffer(1 << 20).unwrap());
    let data: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
    from.write(0, &data).unwrap();
    let written = device.write_direct(&from, 0..1 << 20, 0).wait();
    assert_eq!(written.ok().unwrap().information, 1 << 20);
    let read = device
        .read_direct(&to, 1000..101_000, 0)
        .wait()
        .ok()
        .unwrap();
    assert_eq!((read.information, read.data.len()), (100_000, 0));
    let mut came = vec![0; 102_000];
    to.read(0, &mut came).unwrap();
    assert_eq!(came[..1000], [0; 1000]);
    assert_eq!(came[1000..101_000], data[..100_000]);
    assert_eq!(came[101_000..], [0; 1000]);
}

#[test]
fn the_driver_reads_what_is_written_where_it_lies() {
    let setup = Setup::new();
    let device = setup.open();
    let buffer = device.direct_buffer(1 << 20).unwrap();
    buffer.write(0, &[1; 100]).unwrap();
    let _ = device
        .write_direct(&buffer, 0..1 << 20, 0)
        .wait()
        .ok()
        .unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let is_in = |line: &str| {
        let range = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [begin, end] = [range.0, range.1].map(|it| usize::from_str_radix(it, 16).unwrap());
        (begin..end).contains(&setup.probe.address())
    };
    let line = maps.lines().find(|it| is_in(it)).unwrap();
    assert!(line.contains("usbwright-region"), "{line}");
}

#[test]
fn a_control_code_may_bring_its_output_there() {
    let setup = Setup::new();
    let device = setup.open();
    let buffer = device.direct_buffer(4096).unwrap();
    let ended = device
        .control_direct(WHO, "", &buffer, 4000..4096)
        .wait()
        .ok()
        .unwrap();
    let mut came = vec![0; ended.information];
    buffer.read(4000, &mut came).unwrap();
    assert_eq!(came, format!("{} ", std::process::id()).into_bytes());
}

#[test]
fn a_part_that_the_buffer_does_not_have_is_refused() {
    let setup = Setup::new();
    let (device, other) = (setup.open(), setup.open());
    let buffer = device.direct_buffer(4096).unwrap();
    let refused = [
        device.read_direct(&buffer, 1..4097, 0),
        device.write_direct(&buffer, 4096..4097, 0),
        #[allow(clippy::reversed_empty_ranges)]
        device.read_direct(&buffer, 3..2, 0),
        other.read_direct(&buffer, 0..1, 0),
    ];
    for io in refused {
        assert_eq!(io.wait().error(), Win32Error::INVALID_PARAMETER);
    }
    let beyond = buffer.write(4090, &[0; 7]);
    let (offset, length, size) = (4090, 7, 4096);
    assert_eq!(
        beyond,
        Err(OutOfBuffer {
            offset,
            length,
            size
        })
    );
    assert!(buffer.read(usize::MAX, &mut [0]).is_err());
    assert!(device.direct_buffer(0).is_err());
}

#[test]
fn a_buffer_that_is_dropped_is_unmapped_at_both_ends_and_its_number_of_no_use() {
    let setup = Setup::new();
    let device = setup.open();
    for _ in 0..200 {
        let buffer = device.direct_buffer(4096).unwrap();
        let _ = device.read_direct(&buffer, 0..4096, 0).wait().ok().unwrap();
    }
}

/// An application that speaks the protocol itself.
struct Raw(OwnedFd);

impl Raw {
    fn new(setup: &Setup) -> Self {
        let end = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        let path = setup.space.directory().join(name().as_str());
        connect(&end, &SocketAddrUnix::new(path).unwrap()).unwrap();
        let raw = Self(end);
        raw.say(&Header::hello(), None);
        raw.say(&request(kind::OPEN, 1), None);
        assert_eq!(raw.hear().kind.get(), kind::WELCOME);
        assert_eq!(raw.hear().status(), NtStatus::SUCCESS);
        raw
    }

    fn say(&self, header: &Header, descriptor: Option<&OwnedFd>) {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = descriptor.iter().map(|it| it.as_fd()).collect();
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let parts = [std::io::IoSlice::new(header.as_bytes())];
        sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL).unwrap();
    }

    fn hear(&self) -> Header {
        let mut buffer = [0; 4096];
        let (length, _) = recv(&self.0, &mut buffer, RecvFlags::empty()).unwrap();
        Header::read_from_prefix(&buffer[..length]).unwrap().0
    }

    fn ask(&self, header: &Header, descriptor: Option<&OwnedFd>) -> NtStatus {
        self.say(header, descriptor);
        let reply = self.hear();
        assert_eq!(reply.request, header.request);
        reply.status()
    }
}

fn request(kind: u16, number: u64) -> Header {
    Header {
        request: number.into(),
        ..Header::new(kind)
    }
}

fn region(number: u64, region: u32, length: u64) -> Header {
    Header {
        position: length.into(),
        output: Part {
            region: region.into(),
            ..Part::default()
        },
        ..request(kind::REGION, number)
    }
}

fn memory(seals: SealFlags, length: u64) -> OwnedFd {
    let memory = memfd_create("hostile", MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&memory, length).unwrap();
    fcntl_add_seals(&memory, seals).unwrap();
    memory
}

#[test]
fn memory_that_could_be_cut_is_refused_and_so_is_what_is_none() {
    let setup = Setup::new();
    let raw = Raw::new(&setup);
    let plain: OwnedFd = tempfile::tempfile().unwrap().into();
    let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let refused = [
        (memory(SealFlags::GROW, 4096), 4096),
        (memory(SealFlags::SHRINK | SealFlags::GROW, 4096), 4096),
        (memory(sealed | SealFlags::WRITE, 4096), 4096),
        (memory(sealed, 4096), 8192),
        (plain, 4096),
    ];
    for (at, (memory, length)) in refused.iter().enumerate() {
        let status = raw.ask(&region(2 + at as u64, 1, *length), Some(memory));
        assert_eq!(status, NtStatus::INVALID_PARAMETER, "{at}");
    }
    let good = memory(sealed, 4096);
    assert_eq!(
        raw.ask(&region(10, 1, 4096), Some(&good)),
        NtStatus::SUCCESS
    );
    assert!(ftruncate(&good, 0).is_err());
    let read = |number, range| Header {
        output: Part::within(1, range),
        ..request(kind::READ, number)
    };
    assert_eq!(raw.ask(&read(11, 0..4096), None), NtStatus::SUCCESS);
    let beyond = raw.ask(&read(12, 1..4097), None);
    assert_eq!(beyond, NtStatus::INVALID_PARAMETER);
    let overflow = Header {
        output: Part {
            length: u32::MAX.into(),
            region: 1.into(),
            offset: u64::MAX.into(),
        },
        ..request(kind::READ, 13)
    };
    assert_eq!(raw.ask(&overflow, None), NtStatus::INVALID_PARAMETER);
    drop(raw);
    until("it has gone", || {
        setup.reflector.status(setup.key).unwrap().applications == 0
    });
}

#[test]
fn an_application_may_have_so_many_regions_and_no_more() {
    let setup = Setup::new();
    let raw = Raw::new(&setup);
    let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let memory = memory(sealed, 4096);
    for number in 1..=64 {
        let status = raw.ask(&region(1 + u64::from(number), number, 4096), Some(&memory));
        assert_eq!(status, NtStatus::SUCCESS);
    }
    let status = raw.ask(&region(100, 65, 4096), Some(&memory));
    assert_eq!(status, NtStatus::INSUFFICIENT_RESOURCES);
}
