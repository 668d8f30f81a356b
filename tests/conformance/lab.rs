//! Backends of which the device is a kernel's: each test boots the lab, and runs a function of [`guest`] in it: this very program,
//! with `--ignored`.

use std::env;

use crate::guest_of_lab::Guest;

/// Makes the kernel's own Gadget Zero on a controller. No driver of the kernel knows its number.
const GADGET: &str = "gadget() {
        g=/sys/kernel/config/usb_gadget/zero
        mkdir $g $g/strings/0x409 $g/configs/c.3 $g/configs/c.2 || exit 1
        mkdir $g/functions/SourceSink.0 $g/functions/Loopback.0 || exit 1
        echo 0x1209 >$g/idVendor; echo 0x0001 >$g/idProduct
        echo 'Gadget Zero' >$g/strings/0x409/product
        echo 1 >$g/functions/SourceSink.0/pattern
        ln -s $g/functions/SourceSink.0 $g/configs/c.3/
        ln -s $g/functions/Loopback.0 $g/configs/c.2/
        echo $1 >$g/UDC || exit 1
    }
    ";

/// Boots the lab with devices, prepares it by a script, and runs a function of [`guest`].
fn conforms(devices: &[&str], script: &str, function: &str) {
    let devices: Vec<_> = devices.iter().map(|it| (*it).to_owned()).collect();
    let program = env::current_exe().unwrap();
    let ran = Guest::new(&devices)
        .programs(&[("usbip", "usbip"), ("usbipd", "usbip")])
        .run(&format!(
            "{GADGET} {script}
             {} --ignored --exact --nocapture lab::guest::{function}",
            program.display()
        ));
    println!("{}", ran.stdout());
    ran.assert_success();
    assert!(ran.stdout().contains("1 passed"), "{}", ran.stdout());
}

#[test]
fn the_kernels_gadget_behind_its_own_server_conforms() {
    let script = "gadget dummy_udc.0
         until [ -e /sys/bus/usb/devices/1-1:3.0 ] || [ -e /sys/bus/usb/devices/1-1:2.0 ]; do sleep 0.05; done
         usbip bind -b 1-1 || exit
         usbipd >served 2>&1 & until usbip list -r 127.0.0.1 | grep -q 1-1; do sleep 0.05; done";
    conforms(&[], script, "of_usbipd");
}

#[test]
fn the_kernels_usbip_gadget_conforms() {
    let script = "gadget usbip-vudc.0
         usbipd --device >served 2>&1 & until usbip list -r 127.0.0.1 | grep -q vudc; do sleep 0.05; done";
    conforms(&[], script, "of_vudc");
}

#[test]
fn an_attached_device_conforms_by_libusb() {
    let device = "gadget-zero,pattern=1,isoc_interval=1,int_interval=1";
    conforms(&[device], "", "attached_by_libusb");
}

#[test]
fn the_kernels_gadget_conforms_by_libusb() {
    let script = "gadget dummy_udc.0
         until [ -e /sys/bus/usb/devices/1-1:3.0 ] || [ -e /sys/bus/usb/devices/1-1:2.0 ]; do sleep 0.05; done";
    conforms(&[], script, "gadget_by_libusb");
}

mod guest {
    use crate::{
        conformance::{backends, kernel},
        conforms,
    };

    #[test]
    #[ignore = "runs in the lab"]
    fn of_usbipd() {
        conforms(kernel::served(&backends::USBIPD, "127.0.0.1:3240/1-1"));
    }

    #[test]
    #[ignore = "runs in the lab"]
    fn of_vudc() {
        conforms(kernel::served(
            &backends::VUDC,
            "127.0.0.1:3240/usbip-vudc.0",
        ));
    }

    #[test]
    #[ignore = "runs in the lab"]
    fn attached_by_libusb() {
        conforms(kernel::real(&backends::LIBUSB_ATTACHED, "id=0525:a4a0"));
    }

    #[test]
    #[ignore = "runs in the lab"]
    fn gadget_by_libusb() {
        conforms(kernel::real(&backends::LIBUSB_GADGET, "id=1209:0001"));
    }
}
