//! Keyboards, mice, tablets and gamepads at a real kernel: what programs in the lab see of what their users do.
//!
//! Each test boots the lab and runs one of [`guest`]'s functions in it: this very program, with `--ignored`.

mod guest;
#[expect(
    dead_code,
    reason = "some of it is for the tests of the kernel's drivers"
)]
#[path = "../support/lab.rs"]
mod lab;

use std::{env, fs};

use lab::{Guest, Ran};
use usbwright::models::hid::{Layout, System};

/// Runs a function of [`guest`].
fn run(function: &str) -> Ran {
    let program = env::current_exe().unwrap();
    let script = format!(
        "{} --ignored --exact --nocapture guest::{function}",
        program.display()
    );
    let ran = Guest::new(&[]).run(&script);
    ran.assert_success();
    assert!(
        ran.stdout().contains("test result: ok. 1 passed"),
        "{}",
        ran.stdout()
    );
    ran
}

#[test]
fn keys_are_events_of_the_kernel_and_its_leds_are_seen() {
    run("keys_and_leds");
}

#[test]
fn reports_are_read_and_written_by_hidraw() {
    run("hidraw");
}

#[test]
fn mice_tablets_and_gamepads_are_what_the_kernel_takes_them_for() {
    run("pointers");
}

#[test]
fn nothing_is_lost_while_the_host_asks_slowly() {
    run("slow_host");
}

#[test]
fn a_key_is_an_event_within_two_milliseconds() {
    let ran = run("latency");
    let told = ran.stdout();
    let line = told.lines().find(|line| line.starts_with("p99 "));
    println!("{}", line.unwrap());
}

#[test]
fn lsusb_tells_what_they_are() {
    let devices = [
        "keyboard,layout=de",
        "mouse,speed=low",
        "tablet",
        "gamepad,speed=high",
    ];
    let ran = Guest::new(&devices.map(str::to_owned))
        .programs(&[("lsusb", "usbutils")])
        .run("lsusb -v -d 0525:a4ac");
    ran.assert_success();
    let told = ran.stdout();
    let flat: Vec<_> = told.split_whitespace().collect();
    let flat = flat.join(" ");
    for expected in [
        "bInterfaceSubClass 1 Boot Interface Subclass",
        "bInterfaceProtocol 1 Keyboard",
        "bInterfaceProtocol 2 Mouse",
        "bcdHID 1.11",
        "bCountryCode 9 German",
        "bDescriptorType 34 Report",
        "Remote Wakeup",
        "wMaxPacketSize 0x0007 1x 7 bytes bInterval 10",
        "wMaxPacketSize 0x000d 1x 13 bytes bInterval 4",
    ] {
        assert!(flat.contains(expected), "no {expected:?} in {told}");
    }
    assert!(!ran.stderr().contains("rror"), "{}", ran.stderr());
}

/// Types every character of a layout, and has xkbcommon tell what it is, compose sequences included.
fn typed_and_read_by_xkbcommon(layout: &str) {
    let folder = tempfile::tempdir().unwrap();
    let typed: String = Layout::new(layout, System::Linux)
        .unwrap()
        .characters()
        .filter(|character| !character.is_control())
        .collect();
    fs::write(folder.path().join("text"), &typed).unwrap();
    let script = format!(
        "set -e
         export USBWRIGHT_CONTROL=unix:$PWD/control
         usbwright serve keyboard,layout={layout} --control unix:$PWD/control >served & server=$!
         until grep -q ready served; do sleep 0.02; done
         usbwright attach -r 127.0.0.1 -b 1-1
         until [ -e /dev/input/event0 ]; do sleep 0.02; done
         stdbuf -oL xkbcli interactive-evdev --layout {layout} --enable-compose >read & reader=$!
         until ls -l /proc/$reader/fd | grep -q /dev/input/event0; do sleep 0.02; done
         usbwright control type 1-1 \"$(cat text)\"
         usbwright control press 1-1 f12
         until grep -q F12 read; do sleep 0.02; done
         kill $reader $server
         wait $reader $server || true"
    );
    let ran = Guest::new(&[])
        .programs(&[("xkbcli", "libxkbcommon-tools"), ("stdbuf", "coreutils")])
        .run_in(folder.path(), &script);
    ran.assert_success();
    let told = fs::read_to_string(folder.path().join("read")).unwrap();
    let read: String = told.lines().filter_map(character).collect();
    assert_eq!(read, typed, "{told}");
}

#[test]
fn text_is_typed_into_a_terminal_of_a_stock_debian_kernel() {
    let script = "set -e
         for module in usbhid hid-generic evdev; do modprobe $module; done
         export USBWRIGHT_CONTROL=unix:/tmp/control
         usbwright serve keyboard --control unix:/tmp/control >/tmp/served & server=$!
         until grep -q ready /tmp/served; do sleep 0.02; done
         usbwright attach -r 127.0.0.1 -b 1-1
         until grep -q 'usbwright Keyboard' /proc/bus/input/devices; do sleep 0.02; done
         exec 3</dev/tty1
         stty -echo <&3
         usbwright control type 1-1 \"$(cat text)
\"
         head -n 2 <&3 >read
         kill $server
         wait $server || true";
    let folder = tempfile::tempdir().unwrap();
    let text = (' '..='~').collect::<String>() + "\nthe second line";
    fs::write(folder.path().join("text"), &text).unwrap();
    Guest::new(&[])
        .option(&["--engine", "qemu"])
        .run_in(folder.path(), script)
        .assert_success();
    let read = fs::read_to_string(folder.path().join("read")).unwrap();
    assert_eq!(read, text + "\n");
}

#[test]
fn the_medium_of_a_disk_is_changed_while_the_kernel_has_the_disk() {
    let script = "set -e
         export USBWRIGHT_CONTROL=unix:$PWD/control
         truncate -s 8M one two
         usbwright serve disk,removable --control unix:$PWD/control >served & server=$!
         until grep -q ready served; do sleep 0.02; done
         usbwright attach -r 127.0.0.1 -b 1-1
         until [ -b /dev/sda ]; do sleep 0.02; done
         medium() { until [ $(blockdev --getsize64 /dev/sda 2>/dev/null || echo 0) = $1 ]; do sleep 0.02; done; }
         for image in one two; do
             usbwright control insert 1-1 $image
             medium 8388608
             echo $image | dd of=/dev/sda conv=fsync,notrunc 2>/dev/null
             usbwright control eject 1-1
             medium 0
             [ $(head -n 1 $image) = $image ]
         done
         usbwright control events >events
         kill $server
         wait $server || true";
    let folder = tempfile::tempdir().unwrap();
    Guest::new(&[])
        .kernel_argument("usb-storage.delay_use=0")
        .run_in(folder.path(), script)
        .assert_success();
    let events = fs::read_to_string(folder.path().join("events")).unwrap();
    assert!(events.contains("attached by 127.0.0.1:"), "{events}");
    assert!(events.contains("configuration 1 set"), "{events}");
    let told: Vec<_> = events
        .lines()
        .filter(|line| line.contains("1-1/1: disk"))
        .collect();
    let last = told.last().unwrap();
    assert!(
        last.contains("\"medium\":\"none\"") && !last.contains("\"flushes\":0"),
        "{events}"
    );
}

/// The character in a line of xkbcli: `keysyms [ … ] unicode [ … ] …`.
fn character(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("unicode [ ")?;
    let (character, _) = rest.split_once(" ] ")?;
    (!character.trim_matches(' ').is_empty() || character == " ").then_some(character)
}

#[test]
fn every_character_of_the_layout_us_is_typed_and_read_back() {
    typed_and_read_by_xkbcommon("us");
}

#[test]
fn every_character_of_the_layout_de_is_typed_and_read_back() {
    typed_and_read_by_xkbcommon("de");
}

#[test]
fn every_character_of_the_layout_fr_is_typed_and_read_back() {
    typed_and_read_by_xkbcommon("fr");
}
