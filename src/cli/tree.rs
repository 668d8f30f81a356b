//! `usbwright tree`: devices, their configurations, interfaces and endpoints, a line for each.

use std::{io::Write, process::ExitCode};

use anyhow::Context as _;
use serde_json::json;
use usbwright::{
    protocol::{
        Speed, TransferType,
        descriptor::{ConfigurationDescriptor, EndpointDescriptor, InterfaceDescriptor},
        usbip::operation::ExportedDevice,
    },
    remote::Remote,
    target::enumerate::{Description, DeviceState},
};

use super::{
    list,
    open::{self, DeviceName},
    show,
    usb_ids::UsbIds,
};
use crate::cli::output::output;

/// The widest line, in columns.
const WIDTH: usize = 100;

/// What `--json` prints, for `--help`.
const JSON: &str = "\
JSON: an array of what `usbwright show --json` prints for each; without a DEVICE, what `usbwright list --json` prints.";

/// Show devices with their configurations, interfaces and endpoints, a line for each.
///
/// Without a DEVICE it shows what the USB/IP server of this machine exports, as far as its list tells.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{JSON}", open::HELP))]
pub(super) struct Arguments {
    /// The devices.
    #[arg(value_name = "DEVICE")]
    devices: Vec<DeviceName>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let names = UsbIds::load();
    let mut shown = Vec::new();
    let mut values = Vec::new();
    for name in &arguments.devices {
        let (description, state) = name.describe()?;
        shown.push(tree(&description, &state, &names));
        values.push(show::json(&description, &state));
    }
    if arguments.devices.is_empty() {
        let server = Remote::Tcp {
            host: "127.0.0.1".to_owned(),
            port: usbwright::protocol::usbip::PORT,
        };
        let devices = server
            .list()
            .context("name a DEVICE, or serve some on this machine")?;
        for device in devices {
            shown.push(exported(&device, &names).lines());
            values.push(list::as_json(&device));
        }
        if shown.is_empty() {
            eprintln!("usbwright: {server} exports no devices, or all of them are in use");
        }
    }
    let mut out = output();
    if arguments.json {
        writeln!(out, "{:#}", json!(values))?;
    } else {
        out.write_all(shown.concat().as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line, and those under it.
struct Node {
    label: String,
    under: Vec<Self>,
}

impl Node {
    /// The tree in lines.
    fn lines(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, "", "");
        text
    }

    /// Writes the tree: `first` begins its line, `rest` those under it.
    fn write(&self, text: &mut String, first: &str, rest: &str) {
        let line = format!("{first}{}", self.label);
        if line.chars().count() > WIDTH {
            text.extend(line.chars().take(WIDTH - 1).chain(['…']));
        } else {
            text.push_str(&line);
        }
        text.push('\n');
        for (position, node) in self.under.iter().enumerate() {
            let (branch, stem) = match position + 1 == self.under.len() {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            node.write(text, &format!("{rest}{branch}"), &format!("{rest}{stem}"));
        }
    }
}

/// A device in lines; the configuration in force is marked.
pub(super) fn tree(description: &Description, state: &DeviceState, names: &UsbIds) -> String {
    let plant = Plant { description, names };
    let label = show::title(description, names);
    let configurations = description.configurations().iter();
    let under = configurations.map(|own| {
        let in_force = state.configuration == Some(own.descriptor.value);
        plant.configuration(&own.descriptor, in_force)
    });
    let under = under.collect();
    Node { label, under }.lines()
}

/// What the lines are made with.
struct Plant<'a> {
    description: &'a Description,
    names: &'a UsbIds,
}

impl Plant<'_> {
    /// A string after `before`, where there is one.
    fn name(&self, before: &str, index: u8) -> String {
        let text = self.description.string(index);
        text.map_or(String::new(), |text| format!("{before}{text:?}"))
    }

    fn configuration(&self, own: &ConfigurationDescriptor, in_force: bool) -> Node {
        let mark = if in_force { "* " } else { "" };
        let mut label = format!("{mark}configuration {}", own.value);
        label += &self.name(" ", own.name_index);
        label += if own.self_powered {
            ", self powered"
        } else {
            ""
        };
        label += if own.remote_wakeup {
            ", remote wakeup"
        } else {
            ""
        };
        label += &format!(", {} mA", own.max_power_ma);
        label += if in_force { " (in force)" } else { "" };
        let mut under: Vec<Node> = Vec::new();
        let mut function = None;
        for interface in &own.interfaces {
            let number = u16::from(interface.number);
            let found = own.associations.iter().position(|it| {
                let first = u16::from(it.first);
                (first..first + u16::from(it.count)).contains(&number)
            });
            let nodes = self.settings(interface);
            match (found, under.last_mut()) {
                (Some(_), Some(node)) if found == function => node.under.extend(nodes),
                (Some(position), _) => {
                    let association = &own.associations[position];
                    let mut label = "function".to_owned();
                    label += &self.name(" ", association.name_index);
                    label += &format!(": {}", self.names.known_class(association.class));
                    under.push(Node {
                        label,
                        under: nodes,
                    });
                }
                (None, _) => under.extend(nodes),
            }
            function = found;
        }
        Node { label, under }
    }

    fn settings(&self, own: &InterfaceDescriptor) -> Vec<Node> {
        let settings = own.settings.iter().map(|setting| {
            let mut label = format!("interface {}, setting {}", own.number, setting.alternate);
            label += &self.name(" ", setting.name_index);
            label += &format!(": {}", self.names.known_class(setting.class));
            let endpoints = setting.endpoints.iter();
            let speed = self.description.speed();
            let under = endpoints.map(|own| endpoint(own, speed)).collect();
            Node { label, under }
        });
        settings.collect()
    }
}

fn endpoint(own: &EndpointDescriptor, speed: Speed) -> Node {
    let direction = own.address.direction().to_string();
    let kind = own.transfer_type.name();
    let mut label = format!("{} {direction:3} {kind}, ", own.address);
    if own.transactions > 1 {
        label += &format!("{} x ", own.transactions);
    }
    label += &format!("{} bytes", own.max_packet_size);
    if matches!(
        own.transfer_type,
        TransferType::Interrupt | TransferType::Isochronous
    ) {
        let every = speed.frame() * own.service_interval(speed);
        label += &format!(", every {every:?}");
    }
    let streams = own.companion.map_or(0, |companion| companion.streams);
    if streams > 0 {
        label += &format!(", {} streams", 1_u32 << streams);
    }
    Node {
        label,
        under: Vec::new(),
    }
}

/// A device as far as a server's list tells.
fn exported(device: &ExportedDevice, names: &UsbIds) -> Node {
    let summary = &device.summary;
    let product = names.product(summary.vendor_id, summary.product_id);
    let interfaces = summary.interfaces.iter().enumerate();
    let interfaces = interfaces.map(|(position, class)| Node {
        label: format!("interface {position}: {}", names.known_class(*class)),
        under: Vec::new(),
    });
    let configuration = Node {
        label: format!("configuration {}", summary.configuration),
        under: interfaces.collect(),
    };
    Node {
        label: format!("{}: {product}, {} speed", device.bus_id, summary.speed),
        under: vec![configuration],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::tests::{composite, described, ids};

    #[test]
    fn a_device_is_a_tree_with_its_configuration_in_force_marked() {
        let (description, mut state) = "gadget-zero"
            .parse::<DeviceName>()
            .unwrap()
            .describe()
            .unwrap();
        state.configuration = Some(2);
        insta::assert_snapshot!("gadget_zero", tree(&description, &state, &ids()));
    }

    #[test]
    fn the_interfaces_of_a_function_are_under_it() {
        let description = described(Speed::High, composite);
        let state = DeviceState::default();
        let text = tree(&description, &state, &ids());
        insta::assert_snapshot!("composite", text);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }
}
