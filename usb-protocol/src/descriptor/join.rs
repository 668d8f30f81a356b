//! Several devices joined to one: their interfaces and endpoints are numbered anew.

use crate::{Direction, EndpointAddress};

use super::{Association, Configuration, Device, Interface, Setting};

/// CDC's class of communications interfaces (CDC 1.2 §4.2), whose descriptors name interfaces.
const COMMUNICATIONS: u8 = 0x02;
/// The type of those descriptors (CDC 1.2 §5.2.3).
const CS_INTERFACE: u8 = 0x24;
const CALL_MANAGEMENT: u8 = 0x01;
const UNION: u8 = 0x06;
/// The most that a device may draw, in mA, at any speed.
const MOST_POWER: u16 = 500;

/// How one function of a joined device is numbered, within it and by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    configuration: u8,
    first_interface: u8,
    interfaces: u8,
    /// Its own addresses, and those that they have in the joined device.
    endpoints: Vec<(EndpointAddress, EndpointAddress)>,
}

/// Why devices can't be joined. Functions are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A device has 15 endpoints of each direction, besides endpoint zero.
    #[error(
        "function {function} finds no {direction} endpoint left: a device has 15 of them, and those before it take them"
    )]
    Endpoints {
        /// The function.
        function: usize,
        /// The direction.
        direction: Direction,
    },
    /// A device has up to 255 interfaces.
    #[error("function {function} finds no interface left: a device has up to 255")]
    Interfaces {
        /// The function.
        function: usize,
    },
    /// It has what belongs to a whole device.
    #[error("function {function} has {what}, which can't be joined with others'")]
    WholeDevice {
        /// The function.
        function: usize,
        /// What it has.
        what: &'static str,
    },
}

impl Numbering {
    /// The value of the configuration that was taken.
    pub fn configuration(&self) -> u8 {
        self.configuration
    }

    /// The function's own number of an interface of the joined device; `None` where it is not the function's.
    pub fn own_interface(&self, joined: u8) -> Option<u8> {
        let own = joined.checked_sub(self.first_interface)?;
        (own < self.interfaces).then_some(own)
    }

    /// The function's own address of an endpoint of the joined device; `None` where it is not the function's.
    pub fn own_endpoint(&self, joined: EndpointAddress) -> Option<EndpointAddress> {
        let mut endpoints = self.endpoints.iter();
        endpoints.find(|pair| pair.1 == joined).map(|pair| pair.0)
    }

    /// The function's endpoints: their own addresses, and those in the joined device.
    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointAddress, EndpointAddress)> {
        self.endpoints.iter().copied()
    }

    /// The address in the joined device of one of the function's own endpoints.
    pub fn joined_endpoint(&self, own: EndpointAddress) -> Option<EndpointAddress> {
        let mut endpoints = self.endpoints.iter();
        endpoints.find(|pair| pair.0 == own).map(|pair| pair.1)
    }
}

impl Device {
    /// Gives the device one configuration, of value 1, with the functions that other devices have in their first one; and tells how each is numbered.
    /// A function of several interfaces has an association. Interfaces that CDC's descriptors name are numbered anew in them; numbers
    /// in other descriptors of a class are not known here.
    ///
    /// # Errors
    /// Where endpoints or interfaces run out, and where a function has what belongs to a whole device, such as WebUSB.
    pub fn joined(
        mut self,
        functions: impl IntoIterator<Item = Self>,
    ) -> Result<(Self, Vec<Numbering>), JoinError> {
        let mut joined = Configuration::new(1).self_powered();
        let mut numberings = Vec::new();
        let mut free = Free::default();
        for (place, device) in functions.into_iter().enumerate() {
            let function = place + 1;
            if let Some(what) = device.of_the_whole() {
                return Err(JoinError::WholeDevice { function, what });
            }
            self.strings.extend(device.strings);
            let name = device.product;
            for configuration in device.configurations.into_iter().take(1) {
                let numbering = free.number(&configuration, function)?;
                joined.add(configuration, &numbering, name.as_deref());
                numberings.push(numbering);
            }
        }
        self.configurations = vec![joined];
        Ok((self, numberings))
    }

    /// What it has that can't be a function's.
    fn of_the_whole(&self) -> Option<&'static str> {
        let has = [
            (self.configurations.is_empty(), "no configuration"),
            (
                self.configurations
                    .first()
                    .is_some_and(|it| !it.extra.is_empty()),
                "descriptors of its configuration",
            ),
            (!self.capabilities.is_empty(), "capabilities of its own"),
            (
                self.microsoft_os_10.is_some() || self.microsoft_os_20.is_some(),
                "Microsoft OS descriptors",
            ),
            (self.webusb.is_some(), "WebUSB's URL"),
        ];
        has.into_iter().find(|(has, _)| *has).map(|(_, what)| what)
    }
}

/// The numbers that are free.
#[derive(Default)]
struct Free {
    interfaces: u8,
    inputs: u8,
    outputs: u8,
}

impl Free {
    fn number(
        &mut self,
        configuration: &Configuration,
        function: usize,
    ) -> Result<Numbering, JoinError> {
        let first_interface = self.interfaces;
        let interfaces = u8::try_from(configuration.interfaces.len()).unwrap_or(u8::MAX);
        self.interfaces = first_interface
            .checked_add(interfaces)
            .ok_or(JoinError::Interfaces { function })?;
        let mut endpoints: Vec<(EndpointAddress, EndpointAddress)> = Vec::new();
        let settings = configuration.interfaces.iter().flat_map(|it| &it.settings);
        for endpoint in settings.flat_map(|setting| &setting.endpoints) {
            let own = endpoint.address;
            if endpoints.iter().all(|pair| pair.0 != own) {
                endpoints.push((own, self.endpoint(own.direction(), function)?));
            }
        }
        Ok(Numbering {
            configuration: configuration.value,
            first_interface,
            interfaces,
            endpoints,
        })
    }

    fn endpoint(
        &mut self,
        direction: Direction,
        function: usize,
    ) -> Result<EndpointAddress, JoinError> {
        let taken = match direction {
            Direction::In => &mut self.inputs,
            Direction::Out => &mut self.outputs,
        };
        if *taken == 15 {
            return Err(JoinError::Endpoints {
                function,
                direction,
            });
        }
        *taken += 1;
        Ok(EndpointAddress::new(*taken, direction))
    }
}

impl Configuration {
    /// Adds another one's interfaces.
    fn add(&mut self, other: Self, numbering: &Numbering, name: Option<&str>) {
        let first = numbering.first_interface;
        self.self_powered &= other.self_powered;
        self.remote_wakeup |= other.remote_wakeup;
        self.max_power = self
            .max_power
            .saturating_add(other.max_power)
            .min(MOST_POWER);
        let class = |interface: &Interface| interface.settings.first().map(|it| it.class);
        let class = other.interfaces.first().and_then(class);
        if let (Some(class), [], 2..) = (class, &other.associations[..], numbering.interfaces) {
            let mut association = Association::new(first, numbering.interfaces, class);
            association.name = name.map(str::to_owned);
            self.associations.push(association);
        }
        for mut association in other.associations {
            association.first = association.first.saturating_add(first);
            self.associations.push(association);
        }
        for mut interface in other.interfaces {
            interface.number = interface.number.saturating_add(first);
            for setting in &mut interface.settings {
                setting.renumber(numbering);
            }
            self.interfaces.push(interface);
        }
    }
}

impl Setting {
    fn renumber(&mut self, numbering: &Numbering) {
        for endpoint in &mut self.endpoints {
            let joined = numbering.joined_endpoint(endpoint.address);
            endpoint.address = joined.unwrap_or(endpoint.address);
        }
        if self.class.class == COMMUNICATIONS {
            renumber_cdc(&mut self.extra, numbering.first_interface);
        }
    }
}

/// Renumbers the interfaces that CDC's descriptors name (CDC 1.2 §5.2.3.2, PSTN 1.2 §5.3.1).
fn renumber_cdc(mut chain: &mut [u8], first: u8) {
    while let [length, kind, ..] = *chain
        && let Some((descriptor, rest)) = chain.split_at_mut_checked(usize::from(length).max(2))
    {
        let numbers = match descriptor.get(2) {
            Some(&CALL_MANAGEMENT) if kind == CS_INTERFACE => 4,
            Some(&UNION) if kind == CS_INTERFACE => 3,
            _ => descriptor.len(),
        };
        for number in descriptor.iter_mut().skip(numbers) {
            *number = number.saturating_add(first);
        }
        chain = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Class, Speed,
        descriptor::{Endpoint, MicrosoftOs10, kind},
    };

    const IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
    const OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);
    const OTHER_IN: EndpointAddress = EndpointAddress::new(9, Direction::In);

    fn class(class: u8) -> Class {
        Class {
            class,
            ..Class::VENDOR
        }
    }

    fn identity() -> Device {
        Device::new(0x1d6b, 0x0104)
    }

    fn of(interfaces: impl IntoIterator<Item = Setting>) -> Device {
        let mut configuration = Configuration::new(7).max_power(300);
        for (number, setting) in (0..).zip(interfaces) {
            configuration = configuration.interface(Interface::new(number).setting(setting));
        }
        Device::new(1, 2)
            .product("Part")
            .configuration(configuration)
    }

    fn pair() -> Setting {
        Setting::new(class(0xff))
            .endpoint(Endpoint::bulk(IN))
            .endpoint(Endpoint::bulk(OUT))
    }

    #[test]
    fn functions_get_interfaces_and_endpoints_of_their_own() {
        let cdc = Setting::new(class(COMMUNICATIONS))
            .extra([5, 0x24, 1, 0, 1, 4, 0x24, 2, 6, 6, 0x24, 6, 0, 1, 1])
            .endpoint(Endpoint::interrupt(OTHER_IN, 16, 4));
        let serial = of([cdc, pair()]);
        let (device, numberings) = identity().joined([of([pair()]), serial]).unwrap();
        let [first, second] = &numberings[..] else {
            panic!("{numberings:?}");
        };
        assert_eq!(
            (first.own_interface(0), first.own_interface(1)),
            (Some(0), None)
        );
        assert_eq!(
            (second.own_interface(0), second.own_interface(2)),
            (None, Some(1))
        );
        assert_eq!(
            (first.configuration(), first.own_endpoint(IN)),
            (7, Some(IN))
        );
        let joined = EndpointAddress::new(2, Direction::In);
        assert_eq!(second.own_endpoint(joined), Some(OTHER_IN));
        assert_eq!(second.joined_endpoint(OTHER_IN), Some(joined));
        assert_eq!(second.own_endpoint(IN), None);
        let descriptors = device.build(Speed::High).unwrap();
        let configuration = &descriptors.configurations()[0];
        let [association] = &configuration.associations[..] else {
            panic!("{configuration:?}");
        };
        assert_eq!((association.first, association.count), (1, 2));
        let interface = configuration.interface(1).unwrap().setting(0).unwrap();
        assert_eq!(
            interface.extra[..],
            [5, 0x24, 1, 0, 2, 4, 0x24, 2, 6, 6, 0x24, 6, 1, 2, 2]
        );
        assert_eq!(
            descriptors.get(kind::DEVICE, 0, 0).unwrap()[4..7],
            [0xef, 2, 1]
        );
    }

    #[test]
    fn the_function_that_finds_no_endpoint_is_named() {
        let error = identity().joined(vec![of([pair()]); 16]).unwrap_err();
        let expected = JoinError::Endpoints {
            function: 16,
            direction: Direction::In,
        };
        assert_eq!(error, expected);
        assert!(
            error
                .to_string()
                .starts_with("function 16 finds no IN endpoint")
        );
    }

    #[test]
    fn what_belongs_to_a_whole_device_is_not_joined() {
        let device = of([pair()]).microsoft_os_10(MicrosoftOs10::new(1));
        let error = identity().joined([device]).unwrap_err().to_string();
        assert!(
            error.contains("function 1 has Microsoft OS descriptors"),
            "{error}"
        );
    }
}
