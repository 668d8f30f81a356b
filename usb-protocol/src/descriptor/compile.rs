//! From what an author wrote to the typed tree, with every rule checked on the way.

use bytes::Bytes;

use crate::{Class, Speed};

use super::{
    Association, AssociationDescriptor, BosDescriptor, Configuration, ConfigurationDescriptor,
    DescriptorError, Device, DeviceDescriptor, Interface, InterfaceDescriptor, PlatformCapability,
    Setting, SettingDescriptor,
    error::{Rule, Site},
    rules,
    strings::StringTable,
};

/// The class of a device whose functions are told by associations (IAD ECN).
const MISCELLANEOUS: Class = Class {
    class: 0xef,
    subclass: 2,
    protocol: 1,
};

/// A device at one speed, checked.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) device: DeviceDescriptor,
    pub(super) configurations: Vec<ConfigurationDescriptor>,
    pub(super) encoded: Vec<Bytes>,
    pub(super) bos: Option<Bytes>,
}

/// Checks a device at a speed.
pub(super) fn device(
    device: &Device,
    platforms: Vec<PlatformCapability>,
    speed: Speed,
    strings: &mut StringTable,
) -> Result<Compiled, DescriptorError> {
    let site = Site::device(speed);
    let bos = BosDescriptor::of(device, platforms, speed);
    let has_bos = !bos.capabilities.is_empty();
    let descriptor = DeviceDescriptor {
        usb_version: usb_version(device, has_bos, site)?,
        class: device.class.unwrap_or_else(|| default_class(device)),
        max_packet_size_0: match speed {
            Speed::Low => 8,
            Speed::Full | Speed::High => 64,
            Speed::Super | Speed::SuperPlus => 9,
        },
        vendor_id: device.vendor_id,
        product_id: device.product_id,
        release: device.release,
        manufacturer_index: strings.index(device.manufacturer.as_ref(), "iManufacturer", site)?,
        product_index: strings.index(device.product.as_ref(), "iProduct", site)?,
        serial_index: strings.index(device.serial.as_ref(), "iSerialNumber", site)?,
        configurations: configuration_count(device, site)?,
    };
    for text in &device.strings {
        strings.index(Some(text), "string", site)?;
    }
    site.require(
        is_bcd(device.release),
        "bcdDevice",
        format_args!("{:#06x}", device.release),
        DIGITS,
    )?;
    let mut configurations = Vec::new();
    let mut encoded = Vec::new();
    for authored in &device.configurations {
        let configuration = configuration(authored, site, strings)?;
        encoded.push(configuration.encode(speed)?);
        configurations.push(configuration);
    }
    Ok(Compiled {
        device: descriptor,
        configurations,
        encoded,
        bos: has_bos.then(|| bos.encode(speed)).transpose()?,
    })
}

const DIGITS: Rule = (
    "a release is four binary-coded decimal digits",
    "USB 2.0 §9.6.1",
);

fn is_bcd(number: u16) -> bool {
    (0..4).all(|digit| number >> (4 * digit) & 0x0f <= 9)
}

fn usb_version(device: &Device, has_bos: bool, site: Site) -> Result<u16, DescriptorError> {
    const FIELD: &str = "bcdUSB";
    const SUPER: Rule = ("a device at SuperSpeed has 3.00 or more", "USB 3.2 §9.6.1");
    const BELOW: Rule = (
        "a device below SuperSpeed has at most 2.10",
        "USB 3.2 §9.2.6.6",
    );
    const WITH_BOS: Rule = (
        "a device with a BOS (a capability, Microsoft OS 2.0, WebUSB) has 2.01 or more",
        "USB 3.2 §9.6.2",
    );
    const WITHOUT_BOS: Rule = (
        "a device without a BOS (no capability) has less than 2.01",
        "USB 3.2 §9.6.2",
    );
    let default = match (site.speed.is_super(), has_bos) {
        (true, _) => 0x0320,
        (false, true) => 0x0210,
        (false, false) => 0x0200,
    };
    let version = device.usb_version.unwrap_or(default);
    let found = format_args!("{version:#06x}");
    site.require(is_bcd(version), FIELD, found, DIGITS)?;
    if site.speed.is_super() {
        site.require(version >= 0x0300, FIELD, found, SUPER)?;
    } else {
        site.require(version <= 0x0210, FIELD, found, BELOW)?;
    }
    site.require(!has_bos || version >= 0x0201, FIELD, found, WITH_BOS)?;
    site.require(has_bos || version < 0x0201, FIELD, found, WITHOUT_BOS)?;
    Ok(version)
}

fn default_class(device: &Device) -> Class {
    let mut configurations = device.configurations.iter();
    if configurations.any(|configuration| !configuration.associations.is_empty()) {
        MISCELLANEOUS
    } else {
        Class::PER_INTERFACE
    }
}

fn configuration_count(device: &Device, site: Site) -> Result<u8, DescriptorError> {
    const FIELD: &str = "bNumConfigurations";
    const COUNT: Rule = ("a device has 1 to 255 configurations", "USB 2.0 §9.6.1");
    const ZERO: Rule = (
        "0 stands for the device that is not configured",
        "USB 2.0 §9.4.7",
    );
    const UNIQUE: Rule = ("another configuration has that value", "USB 2.0 §9.6.3");
    let count = device.configurations.len();
    site.require((1..=255).contains(&count), FIELD, count, COUNT)?;
    let mut seen = [false; 256];
    for &Configuration { value, .. } in &device.configurations {
        let site = site.configuration(value);
        site.require(value != 0, "bConfigurationValue", value, ZERO)?;
        let twice = std::mem::replace(&mut seen[usize::from(value)], true);
        site.require(!twice, "bConfigurationValue", value, UNIQUE)?;
    }
    Ok(count as u8)
}

fn configuration(
    authored: &Configuration,
    site: Site,
    strings: &mut StringTable,
) -> Result<ConfigurationDescriptor, DescriptorError> {
    const COUNT: Rule = ("a configuration has 1 to 255 interfaces", "USB 2.0 §9.6.3");
    let site = site.configuration(authored.value);
    let name_index = strings.index(authored.name.as_ref(), "iConfiguration", site)?;
    rules::extra(&authored.extra, site)?;
    let count = authored.interfaces.len();
    site.require((1..=255).contains(&count), "bNumInterfaces", count, COUNT)?;
    let mut associations = authored
        .associations
        .iter()
        .map(|authored| association(authored, site, strings))
        .collect::<Result<Vec<_>, _>>()?;
    associations.sort_by_key(|association| association.first);
    association_ranges(&associations, count, site)?;
    let interfaces = (0..=u8::MAX)
        .zip(&authored.interfaces)
        .map(|(number, authored)| interface(authored, number, site, strings))
        .collect::<Result<Vec<_>, _>>()?;
    let configuration = ConfigurationDescriptor {
        value: authored.value,
        name_index,
        self_powered: authored.self_powered,
        remote_wakeup: authored.remote_wakeup,
        max_power_ma: max_power(authored.max_power, site)?,
        extra: Bytes::copy_from_slice(&authored.extra),
        associations,
        interfaces,
    };
    endpoint_addresses(&configuration, site)?;
    Ok(configuration)
}

/// The power that a configuration draws, rounded up to the unit of the speed.
fn max_power(milliamperes: u16, site: Site) -> Result<u16, DescriptorError> {
    const USB_2: Rule = ("a device draws at most 500 mA", "USB 2.0 §7.2.1");
    const USB_3: Rule = (
        "a device at SuperSpeed draws at most 900 mA",
        "USB 3.2 §11.4",
    );
    let (most, rule) = if site.speed.is_super() {
        (900, USB_3)
    } else {
        (500, USB_2)
    };
    let found = format_args!("{milliamperes} mA");
    site.require(milliamperes <= most, "bMaxPower", found, rule)?;
    Ok(milliamperes.next_multiple_of(power_unit(site.speed)))
}

/// The unit of `bMaxPower`, in mA.
pub(super) fn power_unit(speed: Speed) -> u16 {
    if speed.is_super() { 8 } else { 2 }
}

fn association(
    authored: &Association,
    site: Site,
    strings: &mut StringTable,
) -> Result<AssociationDescriptor, DescriptorError> {
    Ok(AssociationDescriptor {
        first: authored.first,
        count: authored.count,
        class: authored.class,
        name_index: strings.index(authored.name.as_ref(), "iFunction", site)?,
    })
}

fn association_ranges(
    associations: &[AssociationDescriptor],
    interfaces: usize,
    site: Site,
) -> Result<(), DescriptorError> {
    const REFERENCE: &str = "USB 3.2 §9.6.4";
    const SOME: Rule = ("an association has at least one interface", REFERENCE);
    const INSIDE: Rule = ("the configuration ends before them", REFERENCE);
    const APART: Rule = ("an interface belongs to one association at most", REFERENCE);
    const CLASS: Rule = ("an association has a class other than 0", REFERENCE);
    let mut free = 0;
    for association in associations {
        let &AssociationDescriptor { first, count, .. } = association;
        site.require(count > 0, "bInterfaceCount", count, SOME)?;
        let end = usize::from(first) + usize::from(count);
        let found = format_args!("{count} from interface {first}");
        site.require(end <= interfaces, "bInterfaceCount", found, INSIDE)?;
        site.require(usize::from(first) >= free, "bFirstInterface", first, APART)?;
        let class = association.class.class;
        site.require(class != 0, "bFunctionClass", class, CLASS)?;
        free = end;
    }
    Ok(())
}

fn interface(
    authored: &Interface,
    number: u8,
    site: Site,
    strings: &mut StringTable,
) -> Result<InterfaceDescriptor, DescriptorError> {
    const NUMBER: Rule = (
        "interfaces are numbered from 0 in their order",
        "USB 2.0 §9.6.5",
    );
    const SETTINGS: Rule = ("an interface has 1 to 256 settings", "USB 2.0 §9.6.5");
    let site = site.interface(authored.number);
    let given = authored.number;
    site.require(given == number, "bInterfaceNumber", given, NUMBER)?;
    let count = authored.settings.len();
    let found = format_args!("that of {count} settings");
    let fits = (1..=256).contains(&count);
    site.require(fits, "bAlternateSetting", found, SETTINGS)?;
    let settings = (0..=u8::MAX)
        .zip(&authored.settings)
        .map(|(alternate, authored)| setting(authored, alternate, site, strings))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(InterfaceDescriptor { number, settings })
}

fn setting(
    authored: &Setting,
    alternate: u8,
    site: Site,
    strings: &mut StringTable,
) -> Result<SettingDescriptor, DescriptorError> {
    const ONCE: Rule = (
        "another endpoint of the setting has that address",
        "USB 2.0 §9.6.6",
    );
    let site = site.alternate(alternate);
    let name_index = strings.index(authored.name.as_ref(), "iInterface", site)?;
    rules::extra(&authored.extra, site)?;
    let mut seen = [false; 32];
    let mut endpoints = Vec::with_capacity(authored.endpoints.len());
    for authored in &authored.endpoints {
        let address = authored.address;
        let site = site.endpoint(address);
        endpoints.push(rules::endpoint(authored, alternate == 0, site)?);
        let twice = std::mem::replace(&mut seen[address.index()], true);
        site.require(!twice, "bEndpointAddress", address, ONCE)?;
    }
    Ok(SettingDescriptor {
        alternate,
        class: authored.class,
        name_index,
        extra: Bytes::copy_from_slice(&authored.extra),
        endpoints,
    })
}

/// No two interfaces share an endpoint, and a low-speed device has few.
fn endpoint_addresses(
    configuration: &ConfigurationDescriptor,
    site: Site,
) -> Result<(), DescriptorError> {
    const SHARED: Rule = (
        "another interface has that endpoint; only settings of one interface share",
        "USB 2.0 §9.6.5",
    );
    const LOW: Rule = (
        "a low-speed device has at most 2 endpoints beside endpoint zero",
        "USB 2.0 §5.3.1.2",
    );
    let mut owners: [Option<u8>; 32] = [None; 32];
    for (interface, setting, endpoint) in configuration.endpoints() {
        let address = endpoint.address;
        let site = site
            .interface(interface.number)
            .alternate(setting.alternate)
            .endpoint(address);
        let owner = *owners[address.index()].get_or_insert(interface.number);
        let own = owner == interface.number;
        site.require(own, "bEndpointAddress", address, SHARED)?;
        let count = owners.iter().flatten().count();
        let few = site.speed != Speed::Low || count <= 2;
        site.require(few, "bNumEndpoints", count, LOW)?;
    }
    Ok(())
}
