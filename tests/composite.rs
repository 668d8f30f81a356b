//! What a real kernel makes of a device of several functions: each has its own driver, and all work at once.

#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "support/lab.rs"]
mod lab;

use lab::Guest;

/// A script that stops at the first error. In it, `port N` and `disk N` are the device files of a function, N from 0, once they are there.
const BEGIN: &str = "set -e
    there() { until [ -e $1 ]; do sleep 0.02; done; echo $1; }
    port() { there /dev/ttyACM$1; }
    disk() { there /dev/sd$(echo $1 | tr 0-9 a-j); }
    driver() { d=$(readlink /sys/bus/usb/devices/$1/driver); echo ${d##*/}; }\n";

fn run(device: &str, script: &str) -> String {
    let ran = Guest::new(&[device.to_owned()])
        .kernel_argument("usb-storage.delay_use=0")
        .programs(&[("mkfs.ext4", "e2fsprogs"), ("lsusb", "usbutils")])
        .run(&format!("{BEGIN}{script}"));
    ran.assert_success();
    ran.stdout()
}

/// Both directions of a loopback and a file system at once, three times over.
const AT_ONCE: &str = "stty -F $port raw -echo
    head -c 1M /dev/urandom >data
    mkfs.ext4 -q $disk
    mkdir /tmp/m
    exec 4<>$port
    for round in 1 2 3; do
        ( head -c 1M <&4 >out ) & reader=$!
        cat data >&4 & writer=$!
        mount $disk /tmp/m
        cp data /tmp/m/data$round
        umount /tmp/m
        mount $disk /tmp/m
        cmp data /tmp/m/data$round
        umount /tmp/m
        wait $writer
        wait $reader
        cmp data out
    done\n";

#[test]
fn a_disk_and_a_serial_port_of_one_device_work_at_once() {
    for (speed, storage) in [
        ("full", "usb-storage"),
        ("high", "uas"),
        ("super", "usb-storage"),
    ] {
        let bus = if speed == "super" { 3 } else { 2 };
        run(
            &format!("composite,speed={speed},of=serial,,loopback,of=disk,,size=32M"),
            &format!(
                "port=$(port 0) disk=$(disk 0)
                 [ $(driver {bus}-1:1.0) = cdc_acm ]
                 [ $(driver {bus}-1:1.1) = cdc_acm ]
                 [ $(driver {bus}-1:1.2) = {storage} ]
                 {AT_ONCE}"
            ),
        );
    }
}

#[test]
fn several_functions_of_a_kind_are_told_apart() {
    run(
        "composite,of=serial,,loopback,,product=First,of=disk,,size=16M,of=serial,,loopback,of=disk,,size=8M",
        "for i in 0 1; do stty -F $(port $i) raw -echo; done
         exec 4<>/dev/ttyACM0 5<>/dev/ttyACM1
         printf first >&4
         printf second >&5
         [ \"$(head -c 5 <&4)\" = first ]
         [ \"$(head -c 6 <&5)\" = second ]
         [ $(($(blockdev --getsize64 $(disk 0)) + $(blockdev --getsize64 $(disk 1)))) = $((24 << 20)) ]
         [ \"$(cat /sys/bus/usb/devices/2-1/2-1:1.0/iad_bFunctionClass)\" = 02 ]",
    );
}

#[test]
fn lsusb_finds_the_associations_and_the_interfaces_that_a_union_names() {
    let told = run(
        "composite,of=disk,,size=1M,of=serial,,loopback",
        "port 0
         lsusb -v -d 1d6b:0104",
    );
    for expected in [
        "bFirstInterface         1",
        "bInterfaceCount         2",
        "bMasterInterface        1",
        "bSlaveInterface         2",
        "bDataInterface          2",
    ] {
        assert!(told.contains(expected), "no {expected:?} in {told}");
    }
}

#[test]
fn a_keyboard_beside_a_disk_and_a_serial_port_has_its_driver() {
    run(
        "composite,of=keyboard,of=serial,,loopback,of=disk,,size=32M",
        &format!(
            "port=$(port 0) disk=$(disk 0)
             [ $(driver 2-1:1.0) = usbhid ]
             there /dev/input/event0
             {AT_ONCE}"
        ),
    );
}
