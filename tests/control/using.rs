//! Devices that are plugged, used and watched.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
};

use serde_json::{Value, json};
use usbwright::{
    control::Event,
    protocol::Setup,
    remote::{RemoteDevice, RemotePort},
    target::{In, Interrupt, Wait},
};

use crate::support::{Controlled, plugged, unplugged};

#[test]
fn a_list_tells_what_there_is_and_what_each_can_do() {
    let mut controlled = Controlled::new(&["keyboard,layout=de", "gadget-zero,busid=3-1"]);
    let list = controlled.ask(json!({ "do": "list" })).unwrap();
    assert_eq!(
        list,
        json!([
            {
                "device": "1-1", "spec": "keyboard,layout=de", "id": "0525:a4ac", "speed": "full",
                "in_use": false, "by": null,
                "functions": [
                    { "kind": "keyboard", "can": ["state", "type", "press", "hold", "release"] }
                ],
            },
            {
                "device": "3-1", "spec": "gadget-zero,busid=3-1", "id": "0525:a4a0", "speed": "high",
                "in_use": false, "by": null, "functions": [],
            },
        ])
    );
}

#[test]
fn devices_are_plugged_in_and_taken_off_and_plugged_in_at_another_speed() {
    let mut controlled = Controlled::new(&["mouse"]);
    let mut watch = controlled.watch();
    let plug = json!({ "do": "plug", "spec": "keyboard,busid=2-7" });
    assert_eq!(controlled.ask(plug).unwrap(), json!({ "device": "2-7" }));
    let replug = json!({ "do": "replug", "device": "2-7", "speed": "low" });
    assert_eq!(controlled.ask(replug).unwrap(), json!({ "device": "2-7" }));
    controlled
        .ask(json!({ "do": "unplug", "device": "1-1" }))
        .unwrap();
    for event in [
        plugged("1-1", "mouse", "full"),
        plugged("2-7", "keyboard,busid=2-7", "full"),
        unplugged("2-7"),
        plugged("2-7", "keyboard,speed=low,busid=2-7", "low"),
        unplugged("1-1"),
    ] {
        assert_eq!(watch.next(), event);
    }
    let list = controlled.ask(json!({ "do": "list" })).unwrap();
    assert_eq!(
        (list[0]["speed"].as_str(), list.as_array().unwrap().len()),
        (Some("low"), 1)
    );
}

#[test]
fn what_is_typed_is_read_by_the_host_and_the_answer_waits_for_that() {
    let mut controlled = Controlled::new(&["keyboard"]);
    let not_yet = json!({ "do": "type", "device": "1-1", "text": "a" });
    let told = controlled.refused(not_yet.clone());
    assert_eq!(told, "1-1: no host uses the device: attach it first");
    let host = controlled.attach("1-1");
    let interface = host.interface(0).wait().unwrap();
    let reports = interface.first::<Interrupt, In>().unwrap();
    let reader = std::thread::spawn(move || {
        let read = || reports.read(8).wait().ok().unwrap().data.to_vec();
        (read(), read())
    });
    controlled.ask(not_yet).unwrap();
    let (down, up) = reader.join().unwrap();
    assert_eq!((down[2], up[2]), (4, 0));
}

#[test]
fn a_wait_for_the_host_ends_when_the_device_is_reset_or_unplugged() {
    for end in ["released", "unplugged"] {
        let mut controlled = Controlled::new(&["keyboard"]);
        let host = controlled.attach("1-1");
        let mut typing = controlled.connect();
        let mut typed = BufReader::new(typing.try_clone().unwrap());
        typing
            .write_all(b"{\"do\":\"type\",\"device\":\"1-1\",\"text\":\"abc\",\"id\":[7]}\n")
            .unwrap();
        let waits = |state: Value| state[0]["state"]["waiting"] == 6;
        while !waits(
            controlled
                .ask(json!({ "do": "state", "device": "1-1" }))
                .unwrap(),
        ) {}
        let (expected, _again) = match end {
            "released" => {
                drop(host);
                // The next host resets it.
                let again = loop {
                    let device = RemoteDevice {
                        remote: controlled.served_at.parse().unwrap(),
                        bus_id: "1-1".to_owned(),
                    };
                    if let Ok(port) = RemotePort::open(&device) {
                        break port;
                    }
                };
                (
                    "1-1: the host has reset the device before it had read all of it",
                    Some(again),
                )
            }
            _ => {
                controlled
                    .ask(json!({ "do": "unplug", "device": "1-1" }))
                    .unwrap();
                ("1-1: the device was unplugged meanwhile", None)
            }
        };
        let mut line = String::new();
        typed.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer, json!({ "error": expected, "id": [7] }));
    }
}

#[test]
fn events_tell_who_attaches_a_device_what_it_configures_and_what_its_user_sees() {
    let controlled = Controlled::new(&["keyboard"]);
    let mut watch = controlled.watch();
    assert_eq!(watch.next(), plugged("1-1", "keyboard", "full"));
    let host = controlled.attach("1-1");
    let Event::Attached { device, by } = watch.next() else {
        panic!("it is not told who has the device");
    };
    assert!(
        device == "1-1" && by.starts_with("127.0.0.1:"),
        "{device} {by}"
    );
    let configured = Event::Configured {
        device: "1-1".to_owned(),
        configuration: 1,
    };
    assert_eq!(watch.next(), configured);
    let light = Setup::from_bytes([0x21, 9, 0, 2, 0, 0, 1, 0]);
    host.control(light, vec![2]).wait().ok().unwrap();
    let Event::Changed {
        function,
        kind,
        state,
        ..
    } = watch.next()
    else {
        panic!("it is not told what the user sees");
    };
    assert_eq!((function, kind.as_str()), (1, "keyboard"));
    assert_eq!(state, json!({ "leds": ["caps-lock"] }));
    drop(host);
    let released = loop {
        // The lights go out where the next host resets the device, not here.
        if let Event::Released { reason, .. } = watch.next() {
            break reason;
        }
    };
    assert_eq!(released, "the client closed the connection");
}

#[test]
fn switches_of_a_board_are_flipped_and_its_displays_seen() {
    let mut controlled = Controlled::new(&["osr-fx2"]);
    let mut watch = controlled.watch();
    watch.next();
    let flip = json!({ "do": "switch", "device": "1-1", "switch": 3, "on": true });
    controlled.ask(flip).unwrap();
    let Event::Changed { state, .. } = watch.next() else {
        panic!("it is not told what the user sees");
    };
    assert_eq!(state["switches"], 0x20);
    let state = controlled
        .ask(json!({ "do": "state", "device": "1-1" }))
        .unwrap();
    assert_eq!(state[0]["kind"], "osr-fx2");
    assert_eq!(state[0]["state"]["switches"], 0x20);
}

#[test]
fn a_removable_disk_has_its_image_changed() {
    let mut controlled = Controlled::new(&["disk,removable", "disk,size=1M"]);
    let image = controlled.folder.path().join("image");
    fs::write(&image, vec![0; 4096]).unwrap();
    let mut watch = controlled.watch();
    let mut seen = || loop {
        if let Event::Changed { state, .. } = watch.next() {
            return state[0]["medium"].as_str().unwrap().to_owned();
        }
    };
    let insert = json!({ "do": "insert", "device": "1-1", "image": image });
    controlled.ask(insert.clone()).unwrap();
    assert_eq!(seen(), "in");
    let told = controlled.refused(insert);
    assert_eq!(told, "1-1: the drive has a medium: take it out first");
    controlled
        .ask(json!({ "do": "eject", "device": "1-1" }))
        .unwrap();
    assert_eq!(seen(), "none");
    let told = controlled.refused(json!({ "do": "eject", "device": "1-1" }));
    assert_eq!(told, "1-1: the drive is empty");
    let fixed = controlled.refused(json!({ "do": "eject", "device": "1-2" }));
    assert!(fixed.contains("made with `removable`"), "{fixed}");
    let unit = controlled.refused(json!({ "do": "eject", "device": "1-1", "unit": 3 }));
    assert_eq!(unit, "1-1: there is no logical unit 3: the last is 0");
    let replug = json!({ "do": "replug", "device": "1-1", "speed": "super" });
    controlled
        .ask(json!({ "do": "insert", "device": "1-1", "image": image }))
        .unwrap();
    controlled.ask(replug).unwrap();
    let state = controlled
        .ask(json!({ "do": "state", "device": "1-1" }))
        .unwrap();
    assert_eq!(
        state[0]["state"][0]["medium"], "in",
        "a replugged disk keeps its medium"
    );
    controlled
        .ask(json!({ "do": "eject", "device": "1-1" }))
        .unwrap();
    fs::write(&image, vec![0; 1000]).unwrap();
    let odd = json!({ "do": "insert", "device": "1-1", "image": image });
    assert!(
        controlled
            .refused(odd)
            .contains("1000 bytes has no whole number of blocks")
    );
}

#[test]
fn what_can_not_be_done_is_told_with_what_can() {
    let mut controlled = Controlled::new(&["mouse", "gadget-zero", "gamepad"]);
    for (request, told) in [
        (
            json!({ "do": "state", "device": "1-9" }),
            "there is no device 1-9: there is 1-1, 1-2, 1-3",
        ),
        (
            json!({ "do": "type", "device": "1-1", "text": "a" }),
            "1-1 (mouse) can't type: it can unplug, replug, state, move, click",
        ),
        (
            json!({ "do": "switch", "device": "1-2", "switch": 1, "on": true }),
            "1-2 (which nobody here uses) can't switch: it can unplug, replug",
        ),
        (
            json!({ "do": "state", "device": "1-1/2" }),
            "1-1 has 1 functions to be used, and none is 2",
        ),
        (
            json!({ "do": "click", "device": "1-1/1", "button": "top" }),
            "1-1/1: `top` will not do: a button is left, right, middle, back or forward",
        ),
        (
            json!({ "do": "axis", "device": "1-3", "axis": "z", "value": -1 }),
            "1-3: Z reaches from 0 to 255, and not to -1",
        ),
        (
            json!({ "do": "replug", "device": "1-3", "speed": "low" }),
            "it takes one of full, high, super, super-plus",
        ),
        (
            json!({ "do": "plug", "spec": "disc" }),
            "there is no model `disc`",
        ),
        (
            json!({ "do": "plug", "spec": "disk" }),
            "can't have disk: image=FILE or size=N",
        ),
        (
            json!({ "do": "plug", "spec": "mouse,busid=1-1" }),
            "can't plug mouse,busid=1-1 in: bus id 1-1 is taken",
        ),
    ] {
        let refused = controlled.refused(request.clone());
        assert!(refused.contains(told), "{request}: {refused}");
    }
}
