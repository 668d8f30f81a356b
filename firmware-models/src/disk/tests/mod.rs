//! What a user gets who writes a spec for a disk.

mod any;

use std::{fs, time::Instant};

use usbwright_emulator::protocol::{Port, Speed, descriptor::Descriptors};

use super::{Disk, Identity};
use crate::Strings;
use crate::{Model, Spec};

/// What a disk, and its units, of that name say of themselves.
pub(super) fn named(product: &str) -> (Strings, Identity) {
    let strings = Strings {
        vendor: "usbwright".to_owned(),
        product: product.to_owned(),
        serial: "0123456789AB".to_owned(),
    };
    let identity = Identity {
        vendor: strings.vendor.clone(),
        product: strings.product.clone(),
        revision: "0100".to_owned(),
        serial: strings.serial.clone(),
    };
    (strings, identity)
}

fn error(text: &str) -> String {
    match text.parse::<Spec>() {
        Ok(spec) => spec.build(Instant::now()).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_wrong_with_a_disk_is_told_with_what_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::write(&image, [0; 1000]).unwrap();
    let image = image.display();
    let sixteen = "disk".to_owned() + &",lun=size=1M".repeat(16);
    for (text, told) in [
        ("disk", "image=FILE or size=N says what is on the disk"),
        ("disk,ro,lun=size=1M", "says what is on a logical unit"),
        ("disk,lun=ro", "says what is on a logical unit"),
        (
            "disk,size=8X",
            "it takes bytes, or a number with K, M, G or T",
        ),
        ("disk,size=8388608T", "up to 8388607T"),
        ("disk,size=-1", "it takes bytes"),
        ("disk,size=0", "no whole number of blocks"),
        (
            "disk,size=512,block=4096",
            "no whole number of blocks of 4096",
        ),
        ("disk,size=1M,block=1024", "it takes 512 or 4096"),
        ("disk,size=1M,transport=cbi", "it takes uas or bulk-only"),
        ("disk,size=1M,ro=yes", "write ro alone, or leave it out"),
        ("disk,size=1M,snapshot", "snapshot is of an image"),
        ("disk,size=1M,serial=", "1 to 126 printable ASCII"),
        ("disk,size=1M,product=Gerät", "1 to 126 printable ASCII"),
        ("disk,lun=size=1M,,speed=full", "and not `speed`"),
        ("disk,lun=size=1M,,size=2M", "`size` is given twice"),
        ("disk,size=1M,size=2M", "`size` is given twice"),
        (
            "disk,image=/nowhere/at/all",
            "/nowhere/at/all: No such file",
        ),
        (
            &format!("disk,image={image}"),
            "1000 bytes has no whole number",
        ),
        (&format!("disk,image={image},ro,size=1M"), "leave it out"),
        (
            &format!("disk,image={image},size=1M"),
            "has 1000 bytes and not",
        ),
        (&sixteen, "up to 15 logical units, and these are 16"),
    ] {
        assert!(error(text).contains(told), "{text}: {}", error(text));
    }
}

#[test]
fn an_image_is_used_by_one_disk_that_writes_and_by_many_that_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("a,b");
    fs::write(&image, [0; 4096]).unwrap();
    let image = image.display().to_string().replace(',', ",,");
    let build = |options: &str| {
        let spec: Spec = format!("disk,image={image}{options}").parse().unwrap();
        spec.build(Instant::now())
    };
    let writer = build("").unwrap();
    for options in ["", ",ro", ",snapshot"] {
        let told = build(options).unwrap_err().to_string();
        assert!(told.contains("is in use"), "{told}");
    }
    drop(writer);
    let _readers = [",ro", ",snapshot", ",ro,snapshot"].map(|it| build(it).unwrap());
    assert!(build("").is_err());
}

#[test]
fn logical_units_are_numbered_in_the_order_in_which_they_are_given() {
    let spec: Spec = "disk,lun=size=1M,size=2M,block=4096,lun=removable,,size=3M"
        .parse()
        .unwrap();
    let (_, units) = super::options::take(&mut spec.parameters()).unwrap();
    let sizes = units.iter().map(|unit| {
        let tray = unit.drive.tray();
        tray.medium.as_ref().unwrap().size() >> 20
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [2, 1, 3]);
}

#[test]
fn a_disk_can_be_at_every_speed() {
    let model: &Model = crate::model("disk").unwrap();
    for speed in model.speeds {
        let spec = format!("disk,size=1M,speed={}", speed.name());
        let device = spec.parse::<Spec>().unwrap().build(Instant::now()).unwrap();
        let summary = device.summary();
        assert_eq!(summary.speed, *speed);
        let settings = device.descriptors().configurations()[0].interfaces[0]
            .settings
            .len();
        assert_eq!(settings, 1 + usize::from(*speed == Speed::High));
        let class = summary.interfaces[0];
        assert_eq!((class.class, class.subclass, class.protocol), (8, 6, 0x50));
    }
}

#[test]
fn a_disk_tells_the_strings_it_was_given_and_a_serial_number_in_any_case() {
    let strings = |text: &str| {
        let spec: Spec = text.parse().unwrap();
        super::options::take(&mut spec.parameters()).unwrap().0
    };
    let given = strings("disk,size=1M,vendor=A,,B,product=C D,serial=E");
    assert_eq!((&*given.vendor, &*given.product), ("A,B", "C D"));
    assert_eq!(given.serial, "E");
    let (one, other) = (strings("disk,size=1M"), strings("disk,size=2M"));
    assert_eq!(one, strings("disk,size=1M"));
    assert_ne!(one.serial, other.serial);
    assert_eq!(one.serial.len(), 12);
    assert!(one.serial.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let disk = Disk::new(Speed::High, given, vec![]);
    let built = Descriptors::build(Speed::High, |speed| {
        usbwright_emulator::Firmware::describe(&disk, speed)
    });
    assert!(built.is_ok());
}
