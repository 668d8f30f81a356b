//! A device made in this process, asked by one control transfer after another.

use std::{
    sync::Arc,
    task::{Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use usbwright::{
    models::Spec,
    protocol::{
        Completion, EndpointAddress, Now, Port, Setup, Status, Transfer, TransferId, TransferKind,
    },
    target::enumerate::{ControlAnswer, Description, DeviceState, enumerate, read_state},
};

/// How long a control transfer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Wakes the thread that waits for a device.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Makes a device and asks it for all that it tells of itself.
pub(super) fn describe(spec: &Spec) -> anyhow::Result<(Description, DeviceState)> {
    let mut device = spec
        .build(Instant::now())
        .with_context(|| format!("can't make {spec}"))?;
    device.set_waker(Waker::from(Arc::new(Unpark(thread::current()))));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .context("can't start the runtime")?;
    let speed = device.summary().speed;
    runtime.block_on(async {
        let mut control = async |setup| ask(&mut device, setup);
        let description = enumerate(speed, &mut control).await?;
        let state = read_state(&mut control).await;
        Ok((description, state))
    })
}

/// One control transfer, which is taken back where it takes too long.
fn ask(port: &mut dyn Port, setup: Setup) -> ControlAnswer {
    let id = TransferId(0);
    let begun = Instant::now();
    let kind = TransferKind::Control {
        setup,
        data: bytes::Bytes::new(),
        room: setup.length.into(),
    };
    port.submit(
        Transfer {
            id,
            endpoint: EndpointAddress::CONTROL,
            kind,
        },
        Now::SYSTEM,
    );
    let end = begun + TIMEOUT;
    loop {
        if let Some(Completion { status, data, .. }) = port.completion() {
            return ControlAnswer {
                status,
                data: data.to_vec().into(),
            };
        }
        let now = Instant::now();
        if now >= end {
            port.cancel(id, now);
            let _ = port.completion();
            return ControlAnswer {
                status: Status::TimedOut,
                data: bytes::Bytes::new(),
            };
        }
        let next = port.deadline().map_or(end, |deadline| deadline.min(end));
        thread::park_timeout(next.saturating_duration_since(now));
        port.poll(Instant::now());
    }
}
