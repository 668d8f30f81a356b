//! What a host makes of devices, good and bad.

mod bad;
mod good;
mod random;

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use usbwright_protocol::{
    Class, Setup, Speed, Status,
    descriptor::{Association, Configuration, Descriptors, Device, Interface, Setting, kind},
};

use super::{ControlAnswer, Description, EnumerationError, enumerate, enumerate_leniently};

/// The outcome of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("nothing in these tests waits"),
    }
}

fn done(data: impl Into<Bytes>) -> ControlAnswer {
    ControlAnswer {
        status: Status::Done,
        data: data.into(),
    }
}

fn failed(status: Status) -> ControlAnswer {
    ControlAnswer {
        status,
        data: Bytes::new(),
    }
}

/// What a device with these descriptors answers.
fn answer(descriptors: &Descriptors, setup: Setup) -> ControlAnswer {
    let (kind, index) = setup.descriptor();
    match descriptors.get(kind, index, setup.index) {
        Some(bytes) => done(bytes.slice(..bytes.len().min(usize::from(setup.length)))),
        None => failed(Status::Stalled),
    }
}

/// A device with two configurations, an association and strings.
fn composite(_: Speed) -> Device {
    let class = Class {
        class: 2,
        subclass: 2,
        protocol: 1,
    };
    let first = Configuration::new(1)
        .name("first")
        .association(Association::new(0, 2, class).name("pair"))
        .interface(Interface::new(0).setting(Setting::new(Class::VENDOR).name("control")))
        .interface(Interface::new(1).setting(Setting::new(Class::VENDOR)));
    let second =
        Configuration::new(2).interface(Interface::new(0).setting(Setting::new(Class::VENDOR)));
    Device::new(0x1209, 1)
        .manufacturer("maker")
        .product("product")
        .serial("serial")
        .languages([0x0407, 0x0409])
        .configuration(first)
        .configuration(second)
}

/// That device at `speed`, where `odd` may answer in its place.
fn composite_but(
    speed: Speed,
    mut odd: impl FnMut(Setup) -> Option<ControlAnswer>,
) -> Result<Description, EnumerationError> {
    let descriptors = Descriptors::build(speed, composite).unwrap();
    now(enumerate(speed, async |setup| {
        odd(setup).unwrap_or_else(|| answer(&descriptors, setup))
    }))
}

/// Whether a request asks for this descriptor.
fn asks(setup: Setup, kind: u8, index: u8) -> bool {
    setup.descriptor() == (kind, index)
}

/// A configuration with this chain after its head, whose total and count of interfaces are right.
fn configuration(chain: &[u8]) -> Vec<u8> {
    let interfaces = chain.windows(2).filter(|it| it == &[9, kind::INTERFACE]);
    let interfaces = interfaces.count() as u8;
    let total = chain.len() as u16 + 9;
    let [low, high] = total.to_le_bytes();
    let head = [
        9,
        kind::CONFIGURATION,
        low,
        high,
        interfaces,
        1,
        0,
        0x80,
        50,
    ];
    [&head, chain].concat()
}

/// What a device gets whose first configuration is `bytes`, answered twice.
fn with_configuration(speed: Speed, bytes: &[u8]) -> Result<Description, EnumerationError> {
    composite_but(speed, |setup| {
        let length = bytes.len().min(usize::from(setup.length));
        asks(setup, kind::CONFIGURATION, 0).then(|| done(bytes[..length].to_vec()))
    })
}
