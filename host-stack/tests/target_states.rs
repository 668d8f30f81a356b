//! What becomes of what is sent in each state of a target, and of what is to be sent whatever that is.

mod support;

use std::task::{Context, Poll, Waker};

use support::{builder, driver, own::Own};
use usbwright_host_stack::{
    DeviceNames, Memory, OpenOptions, RemoteTarget, SendOptions, SentIoAction, Stack, TargetState,
    status::{HResult, NtStatus},
};

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Becomes {
    Done,
    Waits,
    Refused(HResult),
}

/// Two stacks, and a target in the first one for the other, whose driver does whatever is asked.
struct Two {
    near: Own,
    _far: Stack,
    target: RemoteTarget,
}

impl Two {
    fn in_state(state: TargetState) -> Self {
        let names = DeviceNames::new();
        let near = Own::among(&names);
        let does = driver(|device| {
            device.create_symbolic_link("far")?;
            let queue = device.parallel_queue().default_queue();
            let queue = queue.on_read(|_, request, length| {
                request.complete_with_information(NtStatus::SUCCESS, length);
            });
            queue.create().map(drop)
        });
        let far = builder()
            .0
            .names(&names)
            .driver("far", does)
            .start()
            .unwrap();
        let target = RemoteTarget::new(&near.device, ()).unwrap();
        target.open("far", &OpenOptions::new()).unwrap();
        match state {
            TargetState::Started => {}
            TargetState::Stopped => {
                target.target().stop(SentIoAction::CancelSentIo).unwrap();
            }
            TargetState::ClosedForQueryRemove => target.close_for_query_remove(),
            TargetState::Closed => target.close(),
            TargetState::Deleted => near.stack.remove().unwrap(),
        }
        assert_eq!(target.state(), state);
        Self {
            near,
            _far: far,
            target,
        }
    }

    fn sent(&self, options: SendOptions) -> Becomes {
        let mut request = self.near.device.create_request();
        let memory = Memory::zeroed(1).unwrap();
        let target = self.target.target();
        target
            .format_for_read(&mut request, Some(&memory), None, 0)
            .unwrap();
        let mut sent = match request.send(target, options) {
            Ok(sent) => Box::pin(sent),
            Err(error) => return Becomes::Refused(error.status),
        };
        self.near.stack.run();
        let mut cx = Context::from_waker(Waker::noop());
        match sent.as_mut().poll(&mut cx) {
            Poll::Ready((_, params)) => {
                assert_eq!(params.nt_status(), NtStatus::SUCCESS);
                Becomes::Done
            }
            Poll::Pending => Becomes::Waits,
        }
    }
}

#[test]
fn each_state_takes_keeps_or_refuses_what_is_sent_and_ignoring_it_opens_no_closed_target() {
    let refused = || Becomes::Refused(NtStatus::INVALID_DEVICE_STATE.into());
    let states = [
        (TargetState::Started, Becomes::Done, Becomes::Done),
        (TargetState::Stopped, Becomes::Waits, Becomes::Done),
        (TargetState::ClosedForQueryRemove, refused(), refused()),
        (TargetState::Closed, refused(), refused()),
        (TargetState::Deleted, refused(), refused()),
    ];
    for (state, plain, ignoring) in states {
        let sent = |options| Two::in_state(state).sent(options);
        assert_eq!(sent(SendOptions::new()), plain, "{state:?}");
        let whatever = SendOptions::new().ignore_target_state();
        assert_eq!(sent(whatever), ignoring, "{state:?}, ignored");
    }
}
