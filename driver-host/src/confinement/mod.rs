//! What a host process can't do: least privilege, before any driver runs.

mod descriptors;
mod landlock;
mod seccomp;

use std::io;

use rustix::{
    process::{
        Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit, setsid,
    },
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};
use tracing::warn;
use usbwright_host_control::{Confine, Holds, Measure, MeasureState, clip};

pub(crate) use self::descriptors::close_others;

/// The manager has died.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the manager is gone")]
pub(crate) struct Orphaned;

/// Takes away what no driver needs, as far as the system lets it, and tells what holds. There are no other threads yet.
pub(crate) fn confine(to: &Confine) -> Result<Holds, Orphaned> {
    let mut holds = Vec::new();
    let mut add = |measure, state: MeasureState| {
        if let MeasureState::Partly(why) | MeasureState::Missing(why) = &state {
            warn!("{measure:?} does not hold, or not all of it: {why}");
        }
        holds.push((measure, state));
    };
    let signal = Some(Signal::KILL);
    add(
        Measure::DiesWithManager,
        state(set_parent_process_death_signal(signal)),
    );
    // It may have died before.
    let parent = getppid().map(|it| it.as_raw_pid().unsigned_abs());
    if parent != Some(to.manager) {
        return Err(Orphaned);
    }
    add(Measure::Session, state(setsid()));
    add(Measure::Memory, state(limit_memory(to.memory)));
    let descriptors = u64::from(to.descriptors.unwrap_or(u32::MAX));
    add(
        Measure::Descriptors,
        state(limit(Resource::Nofile, descriptors)),
    );
    add(Measure::NoNewPrivileges, state(set_no_new_privs(true)));
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    add(Measure::Capabilities, state(set_capabilities(None, none)));
    add(Measure::Landlock, landlock::restrict(&to.read, &to.write));
    add(Measure::Seccomp, state(seccomp::install()));
    Ok(Holds(holds))
}

fn state<T, E: std::fmt::Display>(done: Result<T, E>) -> MeasureState {
    match done {
        Ok(_) => MeasureState::Held,
        Err(error) => MeasureState::Missing(clip(&error.to_string())),
    }
}

/// Memory of its own is what counts, not addresses: each thread reserves many that it never uses.
fn limit_memory(bytes: Option<u64>) -> io::Result<()> {
    limit(Resource::Core, 0)?;
    bytes.map_or(Ok(()), |bytes| limit(Resource::Data, bytes))
}

/// Sets a limit, or leaves a lower one that is there.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let before = rustix::process::getrlimit(resource);
    let within = |it: Option<u64>| Some(it.map_or(most, |it| it.min(most)));
    Ok(setrlimit(
        resource,
        Rlimit {
            current: within(before.current),
            maximum: within(before.maximum),
        },
    )?)
}
