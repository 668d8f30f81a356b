//! What runs in the lab: the kernel's drivers have the devices of a server, and programs use them all at once.

mod attached;
mod loads;
mod watch;

use std::{
    env, thread,
    time::{Duration, Instant},
};

use self::{
    attached::{Attached, Crowd},
    loads::Load,
    watch::Watch,
};

/// How long anything may take; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a device of such a SPEC is to do.
type Loads = fn(&Attached, &str) -> Vec<Load>;

/// The devices, each with what it is to do.
fn devices(folder: &str) -> Vec<(String, Loads)> {
    let pty = |name: &str| format!("serial,pty={folder}/{name}");
    let mut devices: Vec<(String, Loads)> = Vec::new();
    for speed in ["full", "high", "super", "full", "high", "super"] {
        devices.push((format!("gadget-zero,speed={speed}"), loads::usbtest));
    }
    for disk in [
        "disk,size=32M",
        "disk,size=32M,speed=full",
        "disk,size=32M,speed=super",
        "disk,size=32M,transport=bulk-only",
        "disk,size=32M,block=4096",
    ] {
        devices.push((disk.to_owned(), loads::disk));
    }
    devices.push((format!("disk,size=32M,image={folder}/image"), loads::disk));
    for speed in ["full", "high", "high"] {
        let name = format!("tty{}", devices.len());
        devices.push((format!("{},speed={speed}", pty(&name)), loads::serial));
    }
    for keyboard in ["keyboard", "keyboard,speed=high", "keyboard,speed=super"] {
        devices.push((keyboard.to_owned(), loads::keyboard));
    }
    for mouse in ["mouse", "mouse,speed=low"] {
        devices.push((mouse.to_owned(), loads::mouse));
    }
    devices.push(("gamepad".to_owned(), loads::gamepad));
    for speed in ["full", "high", "super"] {
        let name = format!("tty{}", devices.len());
        let serial = pty(&name).replace(',', ",,");
        devices.push((
            format!("composite,speed={speed},of=keyboard,of={serial},of=disk,,size=32M"),
            loads::composite,
        ));
    }
    devices
}

#[test]
#[ignore = "it runs in the lab"]
fn two_dozen_devices_are_busy() {
    let seconds = env::var("CROWD_SECONDS").expect("the lab says for how long");
    let length = Duration::from_secs(seconds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let devices = devices(&folder.path().display().to_string());
    assert_eq!(devices.len(), 24);
    let specs: Vec<_> = devices.iter().map(|(spec, _)| spec.as_str()).collect();
    let crowd = Crowd::start(folder.path(), &specs);
    let mut loads = Vec::new();
    for (device, (spec, load)) in crowd.attached().iter().zip(&devices) {
        loads.extend(load(device, spec));
    }
    let watch = Watch::start(crowd.server());
    let end = Instant::now() + length;
    thread::scope(|scope| {
        for load in loads {
            scope.spawn(move || {
                let (name, rounds) = load.run(end);
                println!("{name}: {rounds} rounds");
                assert!(rounds > 0, "{name} did nothing");
            });
        }
    });
    let seen = watch.end();
    println!("{}", seen.memory());
    assert!(seen.kernel_log.is_empty(), "{:#?}", seen.kernel_log);
    assert!(seen.grew_by() < 4 << 20, "{}", seen.memory());
    crowd.assert_no_errors();
}
