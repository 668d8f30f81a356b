//! What a real Linux kernel makes of the devices: the lab boots it, and the kernel's own drivers and Debian's tools run in it.

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::lab::{Guest, every_device};

/// Lengths of a transfer, in bytes: around every packet size, odd ones, and the largest.
const LENGTHS: &str = "1 2 3 63 64 65 511 512 513 1023 1024 1025 4095 4096 4097 12345 65535 65536";

/// The speeds that every case is run at.
const SPEEDS: [&str; 3] = ["full", "high", "super"];

/// A Gadget Zero at each speed, with `options`.
fn at_every_speed(options: &str) -> Vec<String> {
    SPEEDS
        .iter()
        .map(|speed| format!("gadget-zero,speed={speed}{options}"))
        .collect()
}

/// Every case that alternate setting 0 supports, at every speed; the cases that take a length, with all of them.
fn bulk_and_control_cases(pattern: u8) {
    let (throughput, unlinked) = match pattern {
        0 => (",27,28", ""),
        // With zeros, a test of their own runs these ten thousand times.
        _ => ("", "run --iterations 1000 --case 11,12"),
    };
    let steps = format!(
        "run --iterations 1000 --case 0,9,10,13,29
         for length in {LENGTHS}; do
             run --iterations 1000 --case 1-8,17-20{throughput} --vary 101 --length $length
         done
         for length in 2 63 64 65 512 1023 4096; do
             run --iterations 1000 --case 14,21 --vary 1 --length $length
         done
         {unlinked}
         run --iterations 10000 --case 24 --length 512"
    );
    let cases = 5 + 7 * 2 + 1 + if pattern == 0 { 18 * 14 } else { 18 * 12 + 2 };
    let output = Guest::new(&at_every_speed(&format!(",pattern={pattern}")))
        .kernel_argument(&format!("usbtest.pattern={pattern}"))
        .run(&every_device(&steps));
    output.assert_passed(SPEEDS.len() * cases);
}

#[test]
fn usbtest_passes_every_bulk_and_control_case_with_zeros() {
    bulk_and_control_cases(0);
}

#[test]
fn usbtest_passes_every_bulk_and_control_case_with_mod_63() {
    bulk_and_control_cases(1);
}

#[test]
fn usbtest_passes_every_isochronous_case() {
    // In real time: 8,000 transfers of up to 64 packets, a packet every 125 µs, or every 1 ms at full speed. Each case has devices
    // of its own, and three more devices have the interval that is theirs by default.
    let mut devices = vec![at_every_speed(",isoc_interval=1"); 4].concat();
    devices.extend(at_every_speed(""));
    let steps = "set -- 15 16 22 23 15,16
         shift $((place / 3))
         case $1,$(cat /sys/bus/usb/devices/$spot/speed) in
             15,16,*) run --iterations 100 --queue 8 --length 8184 --vary 0 --case $1; exit;;
             *,12) longest=8184;;
             *) longest=65536;;
         esac
         for length in 1 1023 3001 $longest; do
             run --iterations 1000 --queue 8 --length $length --vary 0 --case $1
         done";
    let output = Guest::new(&devices)
        .kernel_argument("usbtest.alt=1")
        .run(&every_device(steps));
    output.assert_passed(4 * 3 * 4 + 3 * 2);
}

#[test]
fn usbtest_passes_every_interrupt_case() {
    // In real time: a packet of 64 bytes every 125 µs, or every 1 ms at full speed and, by default, at high speed.
    let steps = format!(
        "for length in {LENGTHS}; do
             packets=$(((length + 63) / 64))
             run --iterations $((200 / packets + 1)) --case 25,26 --length $length
         done"
    );
    for pattern in [0, 1] {
        let mut devices = at_every_speed(&format!(",int_interval=1,pattern={pattern}"));
        devices.push(format!(
            "gadget-zero,speed=super-plus,int_interval=1,pattern={pattern}"
        ));
        devices.push(format!("gadget-zero,pattern={pattern}"));
        let output = Guest::new(&devices)
            .kernel_argument("usbtest.alt=2")
            .kernel_argument(&format!("usbtest.pattern={pattern}"))
            .run(&every_device(&steps));
        output.assert_passed(devices.len() * 18 * 2);
    }
}

#[test]
fn usbtest_unlinks_ten_thousand_transfers_of_each_kind() {
    // The kernel sleeps most of the time, so that each case has devices of its own.
    let devices: Vec<_> = at_every_speed("").iter().cycle().take(6).cloned().collect();
    let steps = "set -- 11 12
         shift $((place / 3))
         run --iterations 10000 --case $1";
    let output = Guest::new(&devices).run(&every_device(steps));
    output.assert_passed(6);
}

#[test]
fn debians_usbip_lists_attaches_and_detaches() {
    let output = Guest::new(&[])
        .programs(&[("usbip", "usbip"), ("lsusb", "usbutils")])
        .run(
            "usbwright serve gadget-zero gadget-zero,speed=super,busid=1-7 >served & server=$!
             until grep -q ready served; do sleep 0.05; done
             usbip list -r 127.0.0.1
             usbip attach -r 127.0.0.1 -b 1-1 && usbip attach -r 127.0.0.1 -b 1-7 || exit
             usbip attach -r 127.0.0.1 -b 1-1 && exit 3
             usbip list -r 127.0.0.1
             for i in 2-1 3-1; do until [ -e /sys/bus/usb/drivers/usbtest/$i:3.0 ]; do sleep 0.05; done; done
             usbip port
             usbwright usbtest --device 2-1 --case 0-10,13,14 || exit
             usbip detach -p 0 && usbwright detach 15 || exit
             until [ $(usbwright list | grep -c 0525:a4a0) = 2 ]; do sleep 0.05; done
             usbip attach -r 127.0.0.1 -b 1-1 || exit
             kill $server && wait $server && echo served",
        );
    output.assert_passed(13);
    let text = output.stdout();
    for told in [
        "1-1: Netchip Technology, Inc. : Linux-USB \"Gadget Zero\" (0525:a4a0)",
        "Port 00: <Port in Use> at High Speed(480Mbps)",
        "Port 15: <Port in Use> at Super Speed(5000Mbps)",
        "2-1 -> usbip://127.0.0.1:3240/1-1",
        "3-1 -> usbip://127.0.0.1:3240/1-7",
    ] {
        assert!(text.contains(told), "{told} is not in:\n{text}");
    }
    assert!(text.ends_with("served\n"), "{text}");
    assert!(
        output.stderr().contains("no exportable devices found"),
        "{}",
        output.stderr()
    );
}

#[test]
fn a_device_is_attached_over_a_unix_socket_and_over_ipv6() {
    let output = Guest::new(&[]).run(
        "usbwright serve gadget-zero gadget-zero,speed=full \
             --listen unix:$PWD/socket --listen '[::1]:3241' >served & server=$!
         until grep -q ready served; do sleep 0.05; done
         usbwright attach -r unix:$PWD/socket -b 1-1 && usbwright attach -r '[::1]:3241' -b 1-2 || exit
         for i in 2-1 2-2; do until [ -e /sys/bus/usb/drivers/usbtest/$i:3.0 ]; do sleep 0.05; done; done
         usbwright usbtest --device 2-1 --case 0-8 && usbwright usbtest --device 2-2 --case 0-8 || exit
         usbwright detach --all
         kill $server && wait $server && [ ! -e socket ]",
    );
    output.assert_passed(18);
}

#[test]
fn fifteen_devices_are_attached_to_one_controller_at_once() {
    let devices = vec!["gadget-zero".to_owned(); 15];
    let output = Guest::new(&devices).run(&format!(
        "usbwright port | grep -c '<Port in Use>'
         {}",
        every_device("run --case 0-10,13,24,27-29 --iterations 20")
    ));
    output.assert_passed(15 * 16);
    assert!(output.stdout().starts_with("15\n"), "{}", output.stdout());
}

#[test]
fn a_hundred_rounds_of_attaching_and_detaching_leave_nothing_behind() {
    let output = Guest::new(&[]).run(
        "usbwright serve gadget-zero >served & server=$!
         until grep -q ready served; do sleep 0.05; done
         count() {
             echo $(ls /proc/$server/fd | wc -l) $(ls /proc/$server/task | wc -l) $(ls /sys/bus/usb/devices | wc -l)
         }
         before=$(count)
         memory() { sed -n 's/VmRSS: *\\([0-9]*\\) kB/\\1/p' /proc/$server/status; }
         for round in $(seq 100); do
             until usbwright attach -r 127.0.0.1 -b 1-1 >attached 2>&1; do
                 grep -q 'in use' attached || { cat attached; exit 1; }
             done
             [ $round = 10 ] && first=$(memory)
             until [ -e /sys/bus/usb/drivers/usbtest/2-1:3.0 ]; do sleep 0.02; done
             usbwright detach 0 >detached 2>&1 || { cat detached; exit 1; }
         done
         until [ \"$(usbwright list | grep -c 0525:a4a0)\" = 1 ]; do sleep 0.05; done
         until [ \"$(count)\" = \"$before\" ]; do sleep 0.05; done
         grown=$(($(memory) - first))
         echo grown by $grown KiB
         [ $grown -lt 512 ]",
    );
    output.assert_success();
}

/// The lines of `lsusb -v` that tell of the device itself: without the alternate settings that the kernel's gadget lacks, the
/// strings, and what depends on either.
fn described(lsusb: &str) -> Vec<String> {
    const OWN: [&str; 8] = [
        "Bus ",
        "iInterface",
        "iManufacturer",
        "iProduct",
        "iSerial",
        "bcdDevice",
        "wTotalLength",
        "bEndpointAddress",
    ];
    let mut skipping = false;
    let mut lines = Vec::new();
    let text: Vec<_> = lsusb.lines().collect();
    for (place, line) in text.iter().enumerate() {
        if line.trim() == "Interface Descriptor:" {
            skipping = !text[place + 4].trim_end().ends_with(" 0");
        } else if line.ends_with("Descriptor:") && line.trim() != "Endpoint Descriptor:"
            || !line.starts_with(' ')
        {
            skipping = false;
        }
        let word = line.trim_start();
        if !skipping && !word.is_empty() && !OWN.iter().any(|own| word.starts_with(own)) {
            lines.push(without_name(line));
        }
    }
    lines
}

/// A line without the name of its number, which `lsusb` tells where the machine has the list of them.
fn without_name(line: &str) -> String {
    const NAMED: [&str; 5] = [
        "Class ",
        "SubClass ",
        "Protocol ",
        "idVendor ",
        "idProduct ",
    ];
    let line = line.trim_end();
    let key = NAMED
        .iter()
        .find_map(|name| Some(line.find(name)? + name.len()));
    let Some(key) = key else {
        return line.to_owned();
    };
    let value = line[key..].trim_start();
    let end = line.len() - value.len() + value.find(' ').unwrap_or(value.len());
    line[..end].to_owned()
}

#[test]
fn lsusb_says_of_gadget_zero_what_it_says_of_the_kernels_own() {
    for (speed, reference) in [
        ("high", include_str!("data/gadget-zero-high.txt")),
        ("super", include_str!("data/gadget-zero-super.txt")),
    ] {
        let output = Guest::new(&[format!("gadget-zero,speed={speed}")])
            .programs(&[("lsusb", "usbutils")])
            .run("lsusb -v -d 0525:a4a0");
        output.assert_success();
        assert_eq!(described(&output.stdout()), described(reference), "{speed}");
    }
}

#[test]
fn lsusb_finds_the_three_endpoints_of_an_osr_fx2() {
    for (speed, name, packet) in [("high", "4", "0x0200"), ("full", "3", "0x0040")] {
        let output = Guest::new(&[format!("osr-fx2,speed={speed}")])
            .programs(&[("lsusb", "usbutils")])
            .run("lsusb -v -d 0547:1002");
        output.assert_success();
        let text = output.stdout();
        let values = |key: &str| -> Vec<&str> {
            let values = text
                .lines()
                .filter_map(|line| line.trim().strip_prefix(key));
            values
                .filter_map(|it| it.split_whitespace().next())
                .collect()
        };
        assert_eq!(
            values("bEndpointAddress"),
            ["0x81", "0x06", "0x88"],
            "{text}"
        );
        assert_eq!(
            values("wMaxPacketSize"),
            ["0x0001", packet, packet],
            "{text}"
        );
        assert_eq!(values("wTotalLength"), ["0x0027"], "{text}");
        assert_eq!(values("iConfiguration"), [name], "{text}");
        assert!(text.contains("Remote Wakeup"), "{text}");
    }
}

#[test]
fn a_program_uses_an_osr_fx2_through_a_kernel() {
    // The switches, then requests of either type, then two packets that keep their boundary.
    let output = Guest::new(&["osr-fx2,switches=0x81".to_owned()]).run(
        "until [ -e /sys/bus/usb/devices/2-1:1.0 ]; do sleep 0.05; done
         usbwright io --quiet libusb:id=0547:1002 0x81 read 1 --hex \
             then control 0x80 0xd6 0 0 1 --hex \
             then control 0x00 0xd8 0x15 0 then control 0xc0 0xd7 0 0 1 --hex \
             then 6out write --text one then 6out write --text other \
             then 8in read 512 --hex then 8in read 512 --hex
         usbwright io libusb:id=0547:1002 control 0xc0 0xd0 0 0 1",
    );
    let text = output.stdout();
    let bytes: Vec<_> = text.lines().filter(|line| line.contains('|')).collect();
    let told = ["81 ", "81 ", "15 ", "6f 6e 65 ", "6f 74 68 65 72 "];
    assert_eq!(bytes.len(), told.len(), "{text}{}", output.stderr());
    for (line, told) in bytes.iter().zip(told) {
        assert!(line.contains(&format!("  {told} ")), "{told}: {text}");
    }
    assert!(output.stderr().contains("stall"), "{}", output.stderr());
}

#[test]
fn a_stock_debian_kernel_attaches_gadget_zero_and_passes_usbtest() {
    // At super-plus as well, which kernels before 6.12 have no number for: the device is attached at super speed then.
    let mut devices = at_every_speed("");
    devices.push("gadget-zero,speed=super-plus".to_owned());
    let output = Guest::new(&devices)
        .option(&["--engine", "qemu"])
        .run(&every_device(
            "run --case 0-13 --iterations 50
             run --case 14 --length 256 --vary 1 --iterations 50",
        ));
    output.assert_passed(devices.len() * 15);
}

#[test]
fn bulk_transfers_are_measured_through_the_kernel_beside_its_own_devices() {
    let output = Command::new(env!("CARGO_BIN_EXE_usbwright"))
        .args(["bench", "--kernel", "--json", "--size", "4k"])
        .args(["--pairs", "1", "--seconds", "0.01"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kernel = &results["kernel"];
    assert_eq!(kernel["lacking"], json!([]));
    let rows = kernel["rows"].as_array().unwrap();
    let measured = |row: &Value| (row["against"].clone(), row["case"].clone());
    let measured: Vec<_> = rows.iter().map(measured).collect();
    for against in ["floor", "dummy_hcd", "usbip-vudc"] {
        for case in [1, 2, 27, 28] {
            let cell = (json!(against), json!(case));
            assert_eq!(
                measured.iter().filter(|it| **it == cell).count(),
                1,
                "{cell:?}"
            );
        }
    }
    for row in rows {
        let ratio = row["throughput_ratio"].as_f64().unwrap();
        assert!(ratio.is_finite() && ratio > 0.0, "{row}");
    }
}
