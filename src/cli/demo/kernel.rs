//! `usbwright demo --kernel`: a device and a real kernel's own drivers.

use std::{env, process::ExitCode, time::Duration};

use anyhow::Context as _;
use usbwright::lab::{self, Lab};

use crate::cli::print;

/// The device that is shown.
const DEVICE: &str = "gadget-zero";

/// Where a demonstration that hangs is ended.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What is done in the lab; `$1` is this program.
const SCRIPT: &str = r#"
usbwright() { "$program" "$@"; }
program=$1
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold= plain=; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ %s\n' "$*"; "$@"; }

say "Linux $(uname -r) has attached the device"
show usbwright port | sed -n '1,6p'
say "What lsusb makes of it"
show lsusb -d 0525:a4a0
printf '$ lsusb -v -d 0525:a4a0\n'
lsusb -v -d 0525:a4a0 2>/dev/null | sed -n '/Device Descriptor/,/bInterval/p'
printf '    ...\n'
say "The kernel's own driver, usbtest, moves data through it: 32 transfers at a time, of 4 KiB and of 64 KiB"
show usbwright usbtest --case 27,28 --length 4096 --queue 32 --iterations 2000 || exit
show usbwright usbtest --case 27,28 --length 65536 --queue 32 --iterations 500 || exit
say "It checks the rest as well: chapter 9, queued and unlinked transfers, halts"
show usbwright usbtest --case 9-14,24,29 --iterations 50
"#;

/// What is told at the end.
const BY_HAND: &str = "
The same by hand:
  usbwright lab --device gadget-zero               a shell in the lab, with the device attached
  usbwright lab --device gadget-zero -- lsusb -t   a command in it
  usbwright serve gadget-zero                      export the device at 127.0.0.1:3240 ...
  usbip attach -r 127.0.0.1 -b 1-1                 ... for any Linux with the module vhci-hcd, as root
  usbwright attach gadget-zero                     or make and attach it in one step
  usbwright devices                                the devices there are";

/// Boots a kernel, attaches the device, and moves data through the kernel's own driver.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    lab::ensure_programs(&[("lsusb", "usbutils")])?;
    let program = env::current_exe().context("can't tell where this program is")?;
    print(&format!(
        "Booting a Linux kernel as a process, with `{DEVICE}` to attach."
    ))?;
    let lab = Lab {
        devices: vec![DEVICE.into()],
        timeout: Some(TIMEOUT),
        command: vec![
            "sh".into(),
            "-c".into(),
            SCRIPT.into(),
            "demo".into(),
            program.into(),
        ],
        ..Lab::default()
    };
    let code = lab.run()?;
    if code == 0 {
        print(BY_HAND)?;
    }
    Ok(code.into())
}
