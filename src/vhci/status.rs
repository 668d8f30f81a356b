//! The status pages of vhci_hcd: a line for each port.

use super::VhciError;
use crate::protocol::{Speed, usbip::operation::speed_number};

/// Which of a controller's two root hubs a port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hub {
    /// The USB 2 hub: low, full and high speed.
    High,
    /// The USB 3 hub: super speed and above.
    Super,
}

impl Hub {
    /// The hub for devices of a speed.
    pub fn of(speed: Speed) -> Self {
        if speed.is_super() {
            Self::Super
        } else {
            Self::High
        }
    }
}

/// What a port does (`enum usbip_device_status`, `VDEV_ST_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Nothing is attached.
    #[doc(alias = "VDEV_ST_NULL")]
    Free,
    /// Something is attached and has no address yet, or the controller is not ready.
    #[doc(alias = "VDEV_ST_NOTASSIGNED")]
    Addressing,
    /// A device is attached and has an address.
    #[doc(alias = "VDEV_ST_USED")]
    Used,
    /// The device has failed and is on its way out.
    #[doc(alias = "VDEV_ST_ERROR")]
    Failed,
}

/// A port of the virtual host controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number, over all controllers.
    pub number: u32,
    /// Its controller's number.
    pub controller: u32,
    /// Its hub.
    pub hub: Hub,
    /// Its number on that hub, from 1, as it is in the names of Linux' devices.
    pub hub_port: u32,
    /// What it does.
    pub state: PortState,
    /// The device's speed; none, before the device has an address.
    pub speed: Option<Speed>,
    /// The device's number at its server: the bus's number above the lower 16 bits, the device's within them.
    pub device_id: u32,
    /// The device's name in Linux, such as `1-1`; none, before the device has an address.
    pub device: Option<String>,
}

/// Reads a controller's page: `hub port sta spd dev sockfd local_busid`, a line for each port under a line of these words
/// (`drivers/usb/usbip/vhci_sysfs.c`, Linux 4.13 and later).
pub(super) fn parse(controller: u32, page: &str) -> Result<Vec<Port>, VhciError> {
    let mut ports: Vec<Port> = Vec::new();
    let lines = page.lines().filter(|line| !line.trim().is_empty());
    for line in lines.filter(|line| !line.starts_with("hub ")) {
        let mut port = port(line).ok_or_else(|| VhciError::Status(line.to_owned()))?;
        port.controller = controller;
        let last = ports.last().filter(|last| last.hub == port.hub);
        port.hub_port = last.map_or(1, |last| last.hub_port + 1);
        ports.push(port);
    }
    Ok(ports)
}

/// Reads a line, which does not tell the place of its port.
fn port(line: &str) -> Option<Port> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let [hub, number, state, speed, device_id, _socket, device] = words[..] else {
        return None;
    };
    let speed: u32 = speed.parse().ok()?;
    Some(Port {
        number: number.parse().ok()?,
        controller: 0,
        hub: match hub {
            "hs" => Hub::High,
            "ss" => Hub::Super,
            _ => return None,
        },
        hub_port: 0,
        state: match state {
            "004" => PortState::Free,
            "005" => PortState::Addressing,
            "006" => PortState::Used,
            "007" => PortState::Failed,
            _ => return None,
        },
        speed: Speed::ALL.into_iter().find(|it| speed_number(*it) == speed),
        device_id: u32::from_str_radix(device_id, 16).ok()?,
        device: (device != "0-0").then(|| device.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
hub port sta spd dev      sockfd local_busid
hs  0000 006 003 00010002 000005 1-1
hs  0001 004 000 00000000 000000 0-0
hs  0002 005 000 00000000 000000 0-0
ss  0015 006 006 00ff00fe 000012 2-1
ss  0016 007 000 00000000 000000 0-0
";

    #[test]
    fn a_page_of_linux_6_1_and_6_12_is_read() {
        let ports = parse(2, PAGE).unwrap();
        assert_eq!(
            ports[0],
            Port {
                number: 0,
                controller: 2,
                hub: Hub::High,
                hub_port: 1,
                state: PortState::Used,
                speed: Some(Speed::High),
                device_id: 0x0001_0002,
                device: Some("1-1".to_owned()),
            }
        );
        let states: Vec<_> = ports.iter().map(|port| port.state).collect();
        assert_eq!(
            states[1..],
            [
                PortState::Free,
                PortState::Addressing,
                PortState::Used,
                PortState::Failed
            ]
        );
        assert_eq!(ports[1].device, None);
        assert_eq!((ports[3].number, ports[3].hub), (15, Hub::Super));
        assert_eq!(ports[3].speed, Some(Speed::SuperPlus));
        let places: Vec<_> = ports.iter().map(|port| port.hub_port).collect();
        assert_eq!(places, [1, 2, 3, 1, 2]);
    }

    #[test]
    fn a_page_of_another_form_is_refused() {
        for line in [
            "hs 0000 006 003 00010002 1-1",
            "xs  0000 006 003 00010002 000005 1-1",
            "hs  0000 009 003 00010002 000005 1-1",
        ] {
            let error = parse(0, line).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
