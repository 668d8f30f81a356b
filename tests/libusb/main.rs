//! Real devices by libusb: what is tested runs in the lab, whose kernel has USB devices.
//!
//! Each test boots the lab and runs one of [`guest`]'s functions in it: this very program, with `--ignored`.

mod guest;
#[expect(
    dead_code,
    reason = "some of it is for the tests of the kernel's drivers"
)]
#[path = "../support/lab.rs"]
mod lab;

use std::env;

use lab::Guest;

/// A shell function that runs a function of [`guest`].
fn with_tests(script: &str) -> String {
    let program = env::current_exe().unwrap();
    format!(
        "in_guest() {{ {} --ignored --exact --nocapture guest::$1 || exit 1; }}
         {script}",
        program.display()
    )
}

/// Runs functions of [`guest`] with a device attached; the kernel's test driver has it.
fn run(device: &str, functions: &[&str]) {
    let script: String = functions
        .iter()
        .map(|it| format!("in_guest {it}\n"))
        .collect();
    let ran = Guest::new(&[device.to_owned()]).run(&with_tests(&script));
    ran.assert_success();
    let passed = ran.stdout().matches("test result: ok. 1 passed").count();
    assert_eq!(passed, functions.len(), "{}", ran.stdout());
}

#[test]
fn a_real_device_is_used_as_any_other() {
    run(
        "gadget-zero,isoc_interval=1,int_interval=1",
        &[
            "a_device_is_found_and_described",
            "many_bulk_transfers_are_in_flight_both_ways",
            "a_transfer_is_taken_back",
            "a_halted_endpoint_stalls_until_it_is_cleared",
            "alternate_settings_bring_interrupt_and_isochronous_endpoints",
            "configurations_change_under_the_port",
            "what_no_device_may_be_asked_is_refused",
            "a_reset_ends_what_is_outstanding",
            "the_kernels_driver_is_there_again_afterwards",
            "fifty_ports_leave_no_thread_and_no_file_behind",
        ],
    );
}

#[test]
fn a_device_that_vanishes_ends_its_transfers() {
    let script = "in_guest_later() { in_guest a_vanishing_device_ends_its_transfers; }
         in_guest_later >told 2>&1 & pid=$!
         until grep -q outstanding told; do
             kill -0 $pid 2>/dev/null || { cat told; exit 1; }
             sleep 0.05
         done
         usbwright detach --all
         wait $pid || { cat told; exit 1; }
         grep -q '1 passed' told";
    Guest::new(&["gadget-zero".to_owned()])
        .run(&with_tests(script))
        .assert_success();
}

#[test]
fn devices_are_seen_to_come_and_go() {
    let script = "in_guest_later() { in_guest devices_come_and_go; }
         in_guest_later >told 2>&1 & pid=$!
         seen() {
             until grep -q \"$1\" told; do
                 kill -0 $pid 2>/dev/null || { cat told; exit 1; }
                 sleep 0.05
             done
         }
         seen watching
         usbwright serve gadget-zero >served & server=$!
         until grep -q ready served; do sleep 0.05; done
         usbwright attach -r 127.0.0.1 -b 1-1 || exit
         seen arrived
         usbwright detach --all
         wait $pid || { cat told; exit 1; }
         kill $server; wait $server
         grep -q '1 passed' told";
    Guest::new(&[]).run(&with_tests(script)).assert_success();
}

/// Makes the kernel's own Gadget Zero, on its emulated controller, and waits until the test driver has it at 1-1.
const KERNELS_GADGET: &str = "g=/sys/kernel/config/usb_gadget/zero
     mkdir $g $g/functions/SourceSink.0 $g/configs/c.3 || exit 1
     echo 0x0525 >$g/idVendor; echo 0xa4a0 >$g/idProduct; echo 0 >$g/functions/SourceSink.0/pattern
     ln -s $g/functions/SourceSink.0 $g/configs/c.3/
     echo dummy_udc.0 >$g/UDC || exit 1
     driver() { basename $(readlink /sys/bus/usb/devices/$1:3.0/driver) 2>/dev/null; }
     until [ \"$(driver 1-1)\" = usbtest ]; do sleep 0.05; done";

#[test]
fn a_real_device_is_served_and_passes_usbtest_elsewhere() {
    let script = format!(
        "{KERNELS_GADGET}
         setpriv --reuid 65534 usbwright serve libusb,id=0525:a4a0 && exit 5
         usbwright serve libusb,id=0525:a4a0 >served & server=$!
         until grep -q ready served; do
             kill -0 $server 2>/dev/null || {{ cat served; exit 1; }}
             sleep 0.05
         done
         [ $(driver 1-1) = usbfs ] || exit 3
         usbwright attach -r 127.0.0.1 -b 1-1 || exit
         until [ \"$(driver 2-1)\" = usbtest ]; do sleep 0.05; done
         usbwright serve libusb,id=0525:a4a0 --listen 127.0.0.1:3241 && exit 4
         run() {{ usbwright usbtest --device 2-1 --iterations 50 \"$@\" || exit; }}
         # The kernel's gadget sends whole packets only.
         for length in 512 4096 65536; do
             run --case 1-8,17-20 --vary 512 --length $length
         done
         for length in 1 513 12345; do run --case 1,3,5,7,17,19 --vary 101 --length $length; done
         run --case 9-14,24 --vary 1 --length 512
         usbwright detach --all
         until [ \"$(usbwright list | grep -c 0525:a4a0)\" = 1 ]; do sleep 0.05; done
         kill $server && wait $server || exit
         driver 1-1"
    );
    let ran = Guest::new(&[])
        .kernel_argument("usbtest.pattern=0")
        .run(&script);
    ran.assert_passed(3 * 12 + 3 * 6 + 7);
    assert!(ran.stdout().ends_with("usbtest\n"), "{}", ran.stdout());
    let told = ran.stderr();
    assert!(told.contains("more than one USB device"), "{told}");
    assert!(told.contains("1-1 (0525:a4a0"), "{told}");
    assert!(
        told.contains("permission denied; be root, or have this line in /etc/udev"),
        "{told}"
    );
}
