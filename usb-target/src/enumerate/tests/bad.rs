//! Devices that break rules: what is told of each, and which of them can be used all the same.

use super::*;
use crate::enumerate::{DescriptorName, Flaw};

const SETTING: [u8; 9] = [9, 4, 0, 0, 0, 0xff, 0, 0, 0];

/// What a device is refused for.
fn refusal(speed: Speed, odd: impl FnMut(Setup) -> Option<ControlAnswer>) -> String {
    composite_but(speed, odd).unwrap_err().to_string()
}

/// What is wrong with a device that is taken all the same.
fn defects(description: &Description) -> Vec<String> {
    description
        .defects()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn when(asked: bool, bytes: &[u8]) -> Option<ControlAnswer> {
    asked.then(|| done(bytes.to_vec()))
}

#[test]
fn a_malformed_device_descriptor_is_told_with_its_rule() {
    let device = |bytes: &'static [u8]| {
        refusal(Speed::High, move |setup| {
            when(asks(setup, kind::DEVICE, 0), bytes)
        })
    };
    let prefix = "can't enumerate the device: the device descriptor:";
    let no_configuration = [18, 1, 0, 2, 0, 0, 0, 64, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0];
    let cases: [(&'static [u8], &str); 5] = [
        (
            &[],
            "descriptor at byte 0: a descriptor has at least 2 bytes",
        ),
        (&[0, 1], "descriptor at byte 0: bLength is at least 2"),
        (
            &[18, 1, 0, 2, 0, 0, 0, 64],
            "descriptor at byte 0: bLength goes beyond the end",
        ),
        (
            &[2, 9],
            "device descriptor at byte 0: bDescriptorType is of another descriptor",
        ),
        (
            &[8, 1, 0, 2, 0, 0, 0, 64],
            "device descriptor at byte 0: bLength is too small for its fields",
        ),
    ];
    for (bytes, told) in cases {
        assert_eq!(device(bytes), format!("{prefix} {told}"));
    }
    let told = refusal(Speed::High, |setup| {
        when(asks(setup, kind::DEVICE, 0), &no_configuration)
    });
    let rule = "device descriptor at byte 0: bNumConfigurations is at least 1";
    assert_eq!(told, format!("{prefix} {rule}"));
}

#[test]
fn a_malformed_configuration_is_told_with_its_place() {
    let refused = |bytes: &[u8]| with_configuration(Speed::High, bytes).unwrap_err().0;
    let cases: [(&[u8], usize, &str); 4] = [
        (&[0, 4], 9, "descriptor at byte 9: bLength is at least 2"),
        (
            &[9, 4, 0, 0],
            9,
            "descriptor at byte 9: bLength goes beyond the end",
        ),
        (
            &[3, 0x21, 0, 5, 4, 0, 0, 0],
            12,
            "interface descriptor at byte 12: bLength is too small for its fields",
        ),
        (
            &[2, 0x40, 7],
            11,
            "descriptor at byte 11: a descriptor has at least 2 bytes",
        ),
    ];
    for (chain, offset, told) in cases {
        let defect = refused(&configuration(chain));
        assert_eq!(defect.descriptor, DescriptorName::Configuration(0));
        assert_eq!(defect.offset(), offset);
        assert_eq!(
            defect.to_string(),
            format!("the configuration at index 0: {told}")
        );
    }
}

#[test]
fn a_total_below_nine_is_refused() {
    let told = refusal(Speed::High, |setup| {
        let bytes = [9, 2, 8, 0, 1, 1, 0, 0x80, 50];
        when(asks(setup, kind::CONFIGURATION, 1), &bytes)
    });
    assert_eq!(
        told,
        "can't enumerate the device: the configuration at index 1: \
         wTotalLength is 8, but its head alone has 9 bytes"
    );
}

#[test]
fn a_device_costs_no_more_than_a_megabyte() {
    let mut bytes = configuration(&[2, 0x40].repeat(30_000));
    let device = [18, 1, 0, 2, 0, 0, 0, 64, 1, 0, 1, 0, 0, 1, 0, 0, 0, 255];
    let outcome = composite_but(Speed::Full, |setup| {
        let (kind, index) = setup.descriptor();
        bytes[5] = index + 1;
        match kind {
            kind::DEVICE => Some(done(device.to_vec())),
            kind::CONFIGURATION => Some(done(bytes[..setup.length.into()].to_vec())),
            _ => Some(failed(Status::Stalled)),
        }
    });
    let defect = outcome.unwrap_err().0;
    assert_eq!(defect.descriptor, DescriptorName::Configuration(17));
    assert_eq!(defect.flaw, Flaw::TooMuch(1 << 20));
}

#[test]
fn totals_that_disagree_are_a_device_data_error() {
    let mut total = 18;
    let error = composite_but(Speed::High, |setup| {
        let mut bytes = configuration(&SETTING);
        bytes[2] = total;
        let asked = asks(setup, kind::CONFIGURATION, 0);
        total += u8::from(asked);
        when(asked, &bytes[..bytes.len().min(setup.length.into())])
    });
    let flaw = Flaw::Inconsistent {
        first: 18,
        second: 19,
    };
    assert_eq!(error.unwrap_err().0.flaw, flaw);
}

#[test]
fn what_comes_short_or_is_of_another_type_is_refused() {
    let first = |bytes: &'static [u8]| {
        let odd = |setup| when(asks(setup, kind::CONFIGURATION, 0), bytes);
        composite_but(Speed::High, odd).unwrap_err().0.flaw
    };
    let (came, expected) = (8, 9);
    assert_eq!(
        first(&[9, 2, 32, 0, 1, 1, 0, 0x80]),
        Flaw::Short { came, expected }
    );
    assert_eq!(first(&[]), Flaw::Short { came: 0, expected });
    let other = first(&[9, 4, 32, 0, 1, 1, 0, 0x80, 50]).to_string();
    assert_eq!(
        other,
        "configuration descriptor at byte 0: bDescriptorType is of another descriptor"
    );
    let missing = first(&[9, 2, 32, 0, 1, 1, 0, 0x80, 50]).to_string();
    assert_eq!(
        missing,
        "configuration descriptor at byte 0: wTotalLength is at least bLength and no more than there is"
    );
}

#[test]
fn the_first_configuration_is_needed_and_a_later_one_that_is_refused_ends_them() {
    let refuse = |refused| {
        composite_but(Speed::High, move |setup| {
            asks(setup, kind::CONFIGURATION, refused).then(|| failed(Status::Stalled))
        })
    };
    assert_eq!(
        refuse(0).unwrap_err().to_string(),
        "can't enumerate the device: the configuration at index 0: the device refuses it (it stalls)"
    );
    let description = refuse(1).unwrap();
    assert_eq!(description.configurations().len(), 1);
    assert_eq!(
        defects(&description),
        ["the configuration at index 1: the device refuses it (it stalls)"]
    );
}

#[test]
fn rules_that_keep_nobody_from_using_a_device_are_noted_once_each() {
    let endpoint = [7, 5, 0x81, 2, 0, 4, 0];
    let chain = [&SETTING[..], &endpoint, &endpoint, &SETTING, &SETTING].concat();
    let mut bytes = configuration(&chain);
    bytes[5] = 2;
    let description = with_configuration(Speed::Super, &bytes).unwrap();
    let expected = [
        "the configuration at index 0: configuration descriptor at byte 0: \
         bNumInterfaces is the number of its interfaces",
        "the configuration at index 0: endpoint descriptor at byte 25: \
         an endpoint of a setting is there once, and is not endpoint zero",
        "the configuration at index 0: interface descriptor at byte 9: \
         bNumEndpoints is the number of its endpoints",
        "the configuration at index 0: interface descriptor at byte 32: \
         each setting of an interface is there once",
        "the configuration at index 0: endpoint descriptor at byte 18: \
         a companion follows each endpoint at SuperSpeed",
        "the configuration at index 1: configuration descriptor at byte 0: \
         bConfigurationValue is no other configuration's",
    ];
    assert_eq!(defects(&description), expected);
}

#[test]
fn a_device_with_bad_strings_is_usable() {
    let description = composite_but(Speed::High, |setup| {
        if asks(setup, kind::STRING, 1) {
            Some(failed(Status::Stalled))
        } else if asks(setup, kind::STRING, 2) {
            Some(done(&[5, 3, 65, 0, 66][..]))
        } else {
            when(asks(setup, kind::STRING, 3), &[1, 3])
        }
    })
    .unwrap();
    let expected = [
        "string 2 in language 0x0407: string descriptor at byte 0: bLength is even",
        "string 1 in language 0x0407: the device refuses it (it stalls)",
        "string 3 in language 0x0407: string descriptor at byte 0: \
         bLength is at least 2 and no more than there is",
    ];
    assert_eq!(defects(&description), expected);
    assert_eq!(description.string(1), None);
    assert_eq!(description.string(4), Some("first"));
}

#[test]
fn without_a_list_of_languages_no_string_is_asked_for_but_english_where_it_is_malformed() {
    let list = |answered: &ControlAnswer| {
        let mut languages = Vec::new();
        let description = composite_but(Speed::High, |setup| {
            if setup.descriptor().0 == kind::STRING {
                languages.push(setup.index);
            }
            asks(setup, kind::STRING, 0).then(|| answered.clone())
        });
        (languages, defects(&description.unwrap()))
    };
    let (asked, told) = list(&failed(Status::Stalled));
    assert_eq!(asked, [0]);
    assert_eq!(
        told,
        ["string 0 (the languages): the device refuses it (it stalls)"]
    );
    let (asked, told) = list(&done(&[2, 3][..]));
    assert_eq!(asked[..2], [0, 0x0409]);
    assert_eq!(
        told,
        ["string 0 (the languages): string descriptor at byte 0: \
          a device with strings lists at least 1 language"]
    );
}

#[test]
fn a_device_that_is_silent_about_a_string_is_asked_for_no_other() {
    let mut asked = 0;
    let description = composite_but(Speed::High, |setup| {
        let string = setup.descriptor().0 == kind::STRING && setup.index != 0;
        asked += usize::from(string);
        string.then(|| failed(Status::TimedOut))
    })
    .unwrap();
    assert_eq!(asked, 1);
    assert_eq!(
        defects(&description),
        ["string 2 in language 0x0407: it can't be read: it took too long"]
    );
}

#[test]
fn a_missing_or_bad_bos_and_qualifier_are_noted() {
    let bad = composite_but(Speed::Super, |setup| {
        when(asks(setup, kind::BOS, 0), &[5, 15, 4, 0, 0])
    });
    let told = defects(&bad.unwrap());
    assert_eq!(
        told,
        ["the BOS: wTotalLength is 4, but its head alone has 5 bytes"]
    );
    let missing = composite_but(Speed::Super, |setup| {
        asks(setup, kind::BOS, 0).then(|| failed(Status::Stalled))
    });
    assert_eq!(missing.unwrap().bos(), None);
    let missing = composite_but(Speed::High, |setup| {
        asks(setup, kind::DEVICE_QUALIFIER, 0).then(|| failed(Status::Stalled))
    })
    .unwrap();
    assert_eq!(
        defects(&missing),
        ["the device qualifier: the device refuses it (it stalls)"]
    );
    assert_eq!(missing.other_speed_configurations(), []);
}

#[test]
fn a_device_that_goes_away_ends_the_enumeration_wherever_it_is() {
    let mut requests = 0;
    let whole = composite_but(Speed::High, |_| {
        requests += 1;
        None
    });
    assert!(whole.is_ok());
    for last in 0..requests {
        let mut count = 0;
        let outcome = composite_but(Speed::High, |_| {
            count += 1;
            (count > last).then(|| failed(Status::Disconnected))
        });
        let flaw = outcome.unwrap_err().0.flaw;
        assert_eq!(flaw, Flaw::Unread(Status::Disconnected));
        assert_eq!(count, last + 1);
    }
}

#[test]
fn a_device_with_bad_configurations_is_told_of_leniently() {
    let descriptors = Descriptors::build(Speed::High, composite).unwrap();
    let lenient = |bad: u8| {
        let description = now(enumerate_leniently(Speed::High, async |setup| {
            match asks(setup, kind::CONFIGURATION, bad) {
                true => done(&[9, 2, 9][..]),
                false => answer(&descriptors, setup),
            }
        }));
        description.unwrap()
    };
    let first = lenient(0);
    assert_eq!(first.configurations().len(), 1);
    assert_eq!(first.configurations()[0].descriptor.value, 2);
    assert_eq!(
        defects(&first),
        ["the configuration at index 0: 3 bytes came of the first 9"]
    );
    assert_eq!(lenient(1).configurations()[0].descriptor.value, 1);
    // One that answers nothing is not asked for the next, which may take seconds each.
    let mut asked = 0;
    let silent = now(enumerate_leniently(Speed::High, async |setup| {
        let configuration = setup.descriptor().0 == kind::CONFIGURATION;
        asked += u32::from(configuration);
        match configuration {
            true => failed(Status::TimedOut),
            false => answer(&descriptors, setup),
        }
    }));
    assert_eq!((silent.unwrap().configurations().len(), asked), (0, 1));
    // A device that is gone can't be told of.
    let gone = now(enumerate_leniently(Speed::High, async |setup| {
        match asks(setup, kind::CONFIGURATION, 1) {
            true => failed(Status::Disconnected),
            false => answer(&descriptors, setup),
        }
    }));
    assert!(gone.is_err());
}
