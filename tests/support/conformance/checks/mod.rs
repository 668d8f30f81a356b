//! The checks, each with its name and the abilities that it is about.

mod bulk;
mod cancel;
mod claims;
mod concurrency;
mod control;
mod enumeration;
pub(super) mod fate;
mod halt;
mod loopback;
mod policies;
mod reader;
pub(super) mod settings;
mod timeouts;

use std::{future::Future, pin::Pin, sync::Arc};

use super::{
    Subject,
    ability::Ability::{
        self, BusReset, ControlData, ControlStall, Halts, Interrupt, Isochronous, Loopback,
        Overflow, PartialData, Unconfigure, Unplug, ZeroLength,
    },
};

/// What a check says in the end.
type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// One thing that a backend is held to.
pub(crate) struct Check {
    /// What a program gets.
    pub(crate) name: &'static str,
    /// Without these it is not run.
    pub(crate) needs: &'static [Ability],
    pub(crate) run: fn(Arc<Subject>) -> Running,
}

/// Makes a list of checks of `name, [abilities], function`.
macro_rules! checks {
    ($($name:literal [$($needs:ident),*] $run:path;)*) => {
        &[$(Check {
            name: $name,
            needs: &[$($needs),*],
            run: |subject| Box::pin(async move { $run(&subject).await }),
        }),*]
    };
}

/// All of them, in the order in which they are run.
pub(super) static CHECKS: &[Check] = checks! {
    "a device tells its configurations, settings and strings" [] enumeration::tells_itself;
    "a BOS is read where there is one" [] enumeration::tells_its_bos;
    "descriptors asked for again are the same" [] enumeration::tells_the_same_again;
    "a device tells its configuration in force and its status" [] enumeration::tells_its_state;
    "control data of any length goes out and comes back" [ControlData] control::goes_and_comes;
    "a control answer may be short" [] control::may_be_short;
    "a refused request stalls, and the next one works" [ControlStall] control::stalls;
    "a request that only the host may send is refused" [] control::keeps_to_the_host;
    "reads of any length bring the source's data, and lose none" [] bulk::reads;
    "writes of any length are taken" [] bulk::writes;
    "many reads are in flight, and end in order" [] bulk::reads_in_flight;
    "many writes are in flight, and end in order" [] bulk::writes_in_flight;
    "data moves both ways at once" [] bulk::both_ways;
    "what is written comes back as it was" [Loopback] loopback::comes_back;
    "short packets end reads where the writes ended" [Loopback] loopback::ends_with_writes;
    "a zero-length packet ends a read" [Loopback, ZeroLength] loopback::zero_length;
    "a packet larger than the room overflows" [Loopback, Overflow] loopback::overflows;
    "one of several reads is taken back" [Loopback] cancel::one;
    "all reads are taken back" [Loopback] cancel::all;
    "a dropped queue leaves a pipe that works" [Loopback] cancel::dropped;
    "what a read had got when it was taken back is not lost" [Loopback, PartialData] cancel::keeps;
    "reads that are dropped or cancelled midway lose nothing" [Loopback, PartialData] cancel::loses_nothing;
    "a read that nothing comes for times out" [Loopback] timeouts::reads;
    "a write that is not taken times out" [Loopback] timeouts::writes;
    "ignoring short packets, a read waits for all of its bytes" [Loopback] policies::ignores_short;
    "the excess of a read is kept" [Loopback] policies::keeps_excess;
    "the excess of a read is thrown away where that is wished" [Loopback] policies::flushes_excess;
    "the excess of a read is an error where that is wished" [Loopback] policies::refuses_excess;
    "raw reads are of whole packets" [] policies::raw;
    "a continuous reader brings every message in order" [Loopback] reader::in_order;
    "a continuous reader is stopped and started again" [Loopback] reader::stops_and_starts;
    "a halted endpoint stalls until its pipe is reset" [Halts] halt::until_reset;
    "a halt is cleared by the pipe's policy" [Halts] halt::by_policy;
    "a continuous reader recovers from a halt" [Halts] halt::reader;
    "another setting makes pipes stale" [Interrupt] settings::stale;
    "interrupt data moves both ways" [Interrupt] settings::interrupt;
    "isochronous packets move both ways" [Isochronous] settings::isochronous;
    "a device without a configuration can be configured again" [Unconfigure] settings::unconfigured;
    "what is not described is refused" [] settings::unknown;
    "an interface has one owner" [] claims::one_owner;
    "threads and tasks use a device at once" [] concurrency::at_once;
    "the blocking forms do what the futures do" [] concurrency::same;
    "a device works after a reset, through the same pipes" [] fate::reset;
    "a reset ends what is outstanding" [Loopback] fate::reset_ends;
    "a reset reaches the device" [ControlData, BusReset] fate::reset_reaches;
    "an unplugged device ends every transfer" [Loopback, Unplug] fate::unplugged;
    "an unplugging is told though nothing is asked of the device" [Unplug] fate::told;
};
