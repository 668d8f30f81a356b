//! What the devices tell of themselves, as the parser of hidreport reads it.

use hidreport::{Field, Report, ReportDescriptor};

use super::*;
use crate::hid::reports;

/// The bits of the input report and of the output report.
fn bits(bytes: &[u8]) -> (usize, usize) {
    let descriptor = ReportDescriptor::try_from(bytes).unwrap();
    let (inputs, outputs) = (descriptor.input_reports(), descriptor.output_reports());
    assert!(inputs.len() == 1 && outputs.len() <= 1);
    assert!(inputs[0].report_id().is_none());
    let output = outputs.first().map_or(0, Report::size_in_bits);
    (inputs[0].size_in_bits(), output)
}

#[test]
fn reports_are_of_the_length_that_is_described() {
    assert_eq!(bits(&reports::keyboard()), (8 * 8, 8));
    assert_eq!(bits(&reports::mouse()), (8 * 7, 0));
    assert_eq!(bits(&reports::tablet()), (8 * 6, 0));
    assert_eq!(bits(&reports::gamepad()), (8 * 13, 0));
}

/// The values of the variable fields of a report, by their usage: page and number.
fn values(bytes: &[u8], report: &[u8]) -> Vec<((u16, u16), i32)> {
    let descriptor = ReportDescriptor::try_from(bytes).unwrap();
    let fields = descriptor.input_reports()[0].fields();
    let values = fields.iter().filter_map(|field| match field {
        Field::Variable(field) => {
            let value = field.extract(report).unwrap();
            let usage = (field.usage.usage_page.into(), field.usage.usage_id.into());
            Some((usage, i32::from(value)))
        }
        _ => None,
    });
    values.filter(|(_, value)| *value != 0).collect()
}

#[test]
fn a_mouse_tells_its_motion_where_it_says() {
    let (mut host, Handle::Mouse(mouse)) = configured("mouse") else {
        panic!("it is no mouse");
    };
    mouse.move_by(-300, 7).unwrap();
    mouse.wheel(-1, 2).unwrap();
    let report = read(&mut host).unwrap();
    let told = values(&reports::mouse(), &report);
    assert_eq!(
        told,
        [
            ((1, 0x30), -300),
            ((1, 0x31), 7),
            ((1, 0x38), -1),
            ((12, 0x238), 2)
        ]
    );
    mouse.press(Button::Forward).unwrap();
    let report = read(&mut host).unwrap();
    assert_eq!(values(&reports::mouse(), &report), [((9, 5), 1)]);
}

#[test]
fn a_gamepad_tells_each_axis_and_button_where_it_says() {
    let (mut host, Handle::Gamepad(pad)) = configured("gamepad") else {
        panic!("it is no gamepad");
    };
    let axes = [
        (Axis::X, 0x30, -32767),
        (Axis::Y, 0x31, 32767),
        (Axis::Rx, 0x33, 1),
        (Axis::Ry, 0x34, -2),
        (Axis::Z, 0x32, 255),
        (Axis::Rz, 0x35, 3),
    ];
    pad.set_hat(Hat::UpLeft).unwrap();
    pad.press(PadButton::new(16).unwrap()).unwrap();
    for (axis, _, value) in axes {
        pad.set_axis(axis, value).unwrap();
    }
    let report = read_all(&mut host).pop().unwrap();
    let mut told = values(&reports::gamepad(), &report);
    let mut expected = vec![((9, 16), 1), ((1, 0x39), 7)];
    expected.extend(axes.map(|(_, usage, value)| ((1, usage), i32::from(value))));
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn a_host_asks_the_interface_for_its_descriptors() {
    let (mut host, _) = configured("keyboard,layout=fr");
    let report = reports::keyboard();
    let asked = host.control([0x81, 6, 0, 0x22, 0, 0, 0, 4], Vec::new());
    assert_eq!(asked.data.to_vec(), report);
    let asked = host.control([0x81, 6, 0, 0x21, 0, 0, 9, 0], Vec::new());
    let length = u8::try_from(report.len()).unwrap();
    assert_eq!(
        asked.data.to_vec(),
        [9, 0x21, 0x11, 1, 8, 1, 0x22, length, 0]
    );
    for refused in [
        [0x81, 6, 1, 0x22, 0, 0, 0, 4],
        [0x81, 6, 0, 0x23, 0, 0, 0, 4],
        [0x81, 6, 0, 0x22, 1, 0, 0, 4],
    ] {
        assert_eq!(
            host.control(refused, Vec::new()).status,
            Status::Stalled,
            "{refused:x?}"
        );
    }
}

#[test]
fn every_device_is_made_at_each_of_its_speeds() {
    for model in [KEYBOARD, MOUSE, TABLET, GAMEPAD] {
        for speed in model.speeds {
            let spec = format!("{},speed={},interval=10,serial=7", model.name, speed.name());
            let device: EmulatedDevice =
                spec.parse::<Spec>().unwrap().build(Instant::now()).unwrap();
            let first = device.descriptors().device();
            assert_eq!((first.vendor_id, first.product_id), (0x0525, 0xa4ac));
        }
    }
}

#[test]
fn what_is_wrong_with_a_parameter_is_told() {
    let refused = |text: &str| match text.parse::<Spec>() {
        Ok(spec) => spec.build(Instant::now()).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    for (spec, told) in [
        ("keyboard,layout=dvorak", "it takes one of us, de, fr"),
        ("keyboard,system=mac", "it takes linux or windows"),
        ("keyboard,unicode=yes", "it takes off or linux"),
        ("mouse,interval=0", "it takes a number from 1 to 255"),
        (
            "mouse,speed=low,interval=9",
            "it takes a number from 10 to 255",
        ),
        (
            "tablet,serial=ä",
            "it takes 1 to 126 printable ASCII characters",
        ),
        ("gamepad,speed=low", "it takes one of full, high, super"),
        ("mouse,layout=de", "it takes speed, busid, interval, serial"),
    ] {
        assert!(refused(spec).contains(told), "{spec}: {}", refused(spec));
    }
}
