//! A device as JSON. The names of fields are a promise: they may become more, but keep what they mean.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use usbwright::{
    protocol::{
        Speed, TransferType,
        descriptor::{
            AssociationDescriptor, Capability, ConfigurationDescriptor, EndpointDescriptor,
            InterfaceDescriptor, SettingDescriptor, Synchronization, Usage,
        },
    },
    target::enumerate::{Defect, Description, DeviceState, Fetched},
};

use super::page;
use crate::cli::list::class_json;

/// Everything about a device.
pub(in crate::cli) fn json(description: &Description, state: &DeviceState) -> Value {
    let own = Json(description);
    let speed = description.speed();
    let other = description.other_speed().unwrap_or(speed);
    let strings: BTreeMap<_, _> = description
        .strings()
        .map(|(index, text)| (index.to_string(), text))
        .collect();
    let languages = description.languages().iter();
    let languages: Vec<_> = languages.map(|it| format!("{it:04x}")).collect();
    let defects: Vec<_> = description.defects().iter().map(defect).collect();
    json!({
        "speed": speed.name(),
        "configuration": state.configuration,
        "status": state.status.map(|status| status.0),
        "device": own.device(),
        "configurations": own.configurations(description.configurations(), speed),
        "bos": own.bos(),
        "qualifier": own.qualifier(),
        "other_speed_configurations":
            own.configurations(description.other_speed_configurations(), other),
        "languages": languages,
        "strings": strings,
        "defects": defects,
    })
}

fn defect(defect: &Defect) -> Value {
    json!({
        "descriptor": defect.descriptor.to_string(),
        "offset": defect.offset(),
        "flaw": defect.flaw.to_string(),
    })
}

/// What the strings are looked up in.
struct Json<'a>(&'a Description);

impl Json<'_> {
    fn string(&self, index: u8) -> Value {
        match index {
            0 => Value::Null,
            _ => json!({ "index": index, "text": self.0.string(index) }),
        }
    }

    fn device(&self) -> Value {
        let Fetched { descriptor, bytes } = self.0.device();
        json!({
            "usb_version": page::release(descriptor.usb_version),
            "class": class_json(&descriptor.class),
            "max_packet_size_0": descriptor.max_packet_size_0,
            "vendor_id": format!("{:04x}", descriptor.vendor_id),
            "product_id": format!("{:04x}", descriptor.product_id),
            "release": page::release(descriptor.release),
            "manufacturer": self.string(descriptor.manufacturer_index),
            "product": self.string(descriptor.product_index),
            "serial": self.string(descriptor.serial_index),
            "configurations": descriptor.configurations,
            "bytes": hex(bytes),
        })
    }

    fn qualifier(&self) -> Option<Value> {
        let Fetched { descriptor, bytes } = self.0.qualifier()?;
        Some(json!({
            "usb_version": page::release(descriptor.usb_version),
            "class": class_json(&descriptor.class),
            "max_packet_size_0": descriptor.max_packet_size_0,
            "configurations": descriptor.configurations,
            "bytes": hex(bytes),
        }))
    }

    fn bos(&self) -> Option<Value> {
        let Fetched { descriptor, bytes } = self.0.bos()?;
        let capabilities: Vec<_> = descriptor.capabilities.iter().map(capability).collect();
        Some(json!({ "capabilities": capabilities, "bytes": hex(bytes) }))
    }

    fn configurations(
        &self,
        configurations: &[Fetched<ConfigurationDescriptor>],
        speed: Speed,
    ) -> Vec<Value> {
        let configurations = configurations.iter();
        configurations
            .map(|own| self.configuration(own, speed))
            .collect()
    }

    fn configuration(&self, own: &Fetched<ConfigurationDescriptor>, speed: Speed) -> Value {
        let Fetched { descriptor, bytes } = own;
        let associations = descriptor.associations.iter();
        let associations: Vec<_> = associations.map(|it| self.association(it)).collect();
        let interfaces = descriptor.interfaces.iter();
        let interfaces: Vec<_> = interfaces.map(|it| self.interface(it, speed)).collect();
        json!({
            "value": descriptor.value,
            "name": self.string(descriptor.name_index),
            "self_powered": descriptor.self_powered,
            "remote_wakeup": descriptor.remote_wakeup,
            "max_power_ma": descriptor.max_power_ma,
            "extra": hex(&descriptor.extra),
            "associations": associations,
            "interfaces": interfaces,
            "bytes": hex(bytes),
        })
    }

    fn association(&self, own: &AssociationDescriptor) -> Value {
        json!({
            "first_interface": own.first,
            "interface_count": own.count,
            "class": class_json(&own.class),
            "name": self.string(own.name_index),
        })
    }

    fn interface(&self, own: &InterfaceDescriptor, speed: Speed) -> Value {
        let settings = own.settings.iter();
        let settings: Vec<_> = settings.map(|it| self.setting(it, speed)).collect();
        json!({ "number": own.number, "settings": settings })
    }

    fn setting(&self, own: &SettingDescriptor, speed: Speed) -> Value {
        let endpoints = own.endpoints.iter();
        let endpoints: Vec<_> = endpoints.map(|it| endpoint(it, speed)).collect();
        json!({
            "alternate": own.alternate,
            "class": class_json(&own.class),
            "name": self.string(own.name_index),
            "extra": hex(&own.extra),
            "endpoints": endpoints,
        })
    }
}

fn endpoint(own: &EndpointDescriptor, speed: Speed) -> Value {
    let periodic = matches!(
        own.transfer_type,
        TransferType::Interrupt | TransferType::Isochronous
    );
    let every = speed.frame() * own.service_interval(speed);
    json!({
        "address": own.address.to_string(),
        "number": own.address.number(),
        "direction": own.address.direction().to_string(),
        "type": own.transfer_type.name(),
        "max_packet_size": own.max_packet_size,
        "transactions": own.transactions,
        "interval": own.interval,
        "interval_us": periodic.then_some(every.as_micros() as u64),
        "synchronization": match own.synchronization {
            Synchronization::None => "none",
            Synchronization::Asynchronous => "asynchronous",
            Synchronization::Adaptive => "adaptive",
            Synchronization::Synchronous => "synchronous",
        },
        "usage": match own.usage {
            Usage::Data => "data",
            Usage::Feedback => "feedback",
            Usage::ImplicitFeedback => "implicit feedback",
            Usage::Notification => "notification",
        },
        "audio": own.audio.map(|audio| json!({
            "refresh": audio.refresh,
            "synch_address": audio.synch_address,
        })),
        "companion": own.companion.map(|companion| json!({
            "burst": companion.burst,
            "mult": companion.mult,
            "streams": companion.streams,
            "bytes_per_interval": companion.bytes_per_interval,
        })),
        "extra": hex(&own.extra),
    })
}

fn capability(own: &Capability) -> Value {
    let (name, mut fields) = match own {
        Capability::Usb20Extension { attributes } => {
            ("usb 2.0 extension", json!({ "attributes": attributes }))
        }
        Capability::SuperSpeed(own) => (
            "superspeed",
            json!({
                "attributes": own.attributes,
                "speeds": own.speeds,
                "functionality": own.functionality,
                "u1_exit_latency_us": own.u1_exit_latency,
                "u2_exit_latency_us": own.u2_exit_latency,
            }),
        ),
        Capability::ContainerId(uuid) => ("container id", json!({ "uuid": page::uuid(*uuid) })),
        Capability::Platform(own) => (
            "platform",
            json!({ "uuid": page::uuid(own.uuid), "data": hex(&own.data) }),
        ),
        Capability::SuperSpeedPlus {
            functionality,
            ids_less_one,
            sublinks,
        } => (
            "superspeedplus",
            json!({
                "functionality": functionality,
                "ids": ids_less_one + 1,
                "sublinks": sublinks,
            }),
        ),
        Capability::Other { data, .. } => ("other", json!({ "data": hex(data) })),
    };
    fields["name"] = name.into();
    fields["type"] = own.kind().into();
    fields
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
