//! The rules that parts of a package keep together: what may be there once, what goes with what, and in which order.

use std::{io, path::Path};

use rustix::fs::{Access as Rights, access};
use usbwright_host_stack::{Access, IoType, IoTypeError, Retrieval};

use super::{
    HostProcessSharing, Role,
    draft::Draft,
    driver::DriverDraft,
    problem::Problems,
    table::{At, listed, nearest},
};

/// Checks what was read, and puts its drivers into their order. What drivers are to each other is looked at only where each of them is right: what follows from another
/// mistake is not told.
pub(super) fn check(draft: &mut Draft<'_>, problems: &mut Problems) {
    check_devices(&draft.devices, problems);
    let before = problems.0.len();
    check_names(&draft.drivers, problems);
    check_versions(&draft.drivers, problems);
    if draft.are_drivers_read && problems.0.len() == before {
        sort(draft, problems);
        check_roles(&draft.drivers, problems);
    }
    let before = problems.0.len();
    check_directness(draft, problems);
    if draft.are_drivers_read && problems.0.len() == before {
        check_preferences(&draft.drivers, problems);
    }
}

fn check_devices(devices: &[At<super::HardwareId>], problems: &mut Problems) {
    for (index, id) in devices.iter().enumerate() {
        if let Some(first) = devices[..index].iter().find(|it| it.value == id.value) {
            problems.add_with(
                id.place.clone(),
                (first.place.clone(), "here first"),
                format!("the hardware id {} is there twice", id.value),
                "leave one of them out",
            );
        }
    }
}

fn check_names(drivers: &[DriverDraft<'_>], problems: &mut Problems) {
    for (index, driver) in drivers.iter().enumerate() {
        let name = &driver.name;
        let is_same = |it: &&DriverDraft<'_>| it.name.value.eq_ignore_ascii_case(name.value);
        if let Some(first) = drivers[..index].iter().find(is_same) {
            problems.add_with(
                name.place.clone(),
                (first.name.place.clone(), "the first one"),
                format!("two drivers are called {:?}", name.value),
                "give one of them another name: capital letters make no difference",
            );
        }
    }
}

/// Puts the drivers into the order of `UmdfServiceOrder`, which names each of them once.
fn sort(draft: &mut Draft<'_>, problems: &mut Problems) {
    let Some(order) = &draft.order else { return };
    let before = problems.0.len();
    let names: Vec<&str> = draft.drivers.iter().map(|it| it.name.value).collect();
    check_order(&order.value, &names, problems);
    for name in &names {
        if !order.value.iter().any(|it| it.value == *name) {
            let what = format!("the driver {name:?} is not in the order of the stack");
            let remedy = "name each driver, the lowest first";
            problems.add(order.place.clone(), what, remedy);
        }
    }
    if problems.0.len() == before {
        let place = |name: &str| order.value.iter().position(|it| it.value == name);
        draft.drivers.sort_by_key(|it| place(it.name.value));
    }
}

/// An order has names of drivers only, and each once.
fn check_order(order: &[At<&str>], names: &[&str], problems: &mut Problems) {
    for (index, name) in order.iter().enumerate() {
        if !names.contains(&name.value) {
            let what = format!("the package has no driver {:?}", name.value);
            let remedy = match nearest(name.value, names) {
                Some(nearest) => format!("did you mean {nearest:?}?"),
                None => format!("its drivers are {}", listed(names)),
            };
            problems.add(name.place.clone(), what, remedy);
        }
        if let Some(first) = order[..index].iter().find(|it| it.value == name.value) {
            problems.add_with(
                name.place.clone(),
                (first.place.clone(), "here first"),
                format!("the driver {:?} is there twice", name.value),
                "leave one of them out",
            );
        }
    }
}

/// There is one driver that is no filter, lower filters are below it and upper ones above.
fn check_roles(drivers: &[DriverDraft<'_>], problems: &mut Problems) {
    let is_function = |it: &&DriverDraft<'_>| it.driver.role == Role::Function;
    let Some(function) = drivers.iter().position(|it| is_function(&it)) else {
        if let Some(first) = drivers.first() {
            let remedy = "leave `filter` out for the driver of the device itself";
            problems.add(first.role.clone(), "all drivers are filters", remedy);
        }
        return;
    };
    let name = &drivers[function].name;
    for second in drivers[function + 1..].iter().filter(is_function) {
        problems.add_with(
            second.name.place.clone(),
            (name.place.clone(), "the other one"),
            format!(
                "{:?} is a second driver that is no filter",
                second.name.value
            ),
            "write filter = 'upper' or filter = 'lower' for one of them",
        );
    }
    for (place, driver) in drivers.iter().enumerate() {
        let (kind, side, other) = match driver.driver.role {
            Role::UpperFilter if place < function => ("an upper", "below", "lower"),
            Role::LowerFilter if place > function => ("a lower", "above", "upper"),
            _ => continue,
        };
        problems.add_with(
            driver.role.clone(),
            (name.place.clone(), "the driver of the device"),
            format!(
                "{:?} is {kind} filter, and {side} {:?}",
                driver.name.value, name.value
            ),
            format!("drivers are listed from the lowest on: move it, or write filter = '{other}'"),
        );
    }
}

/// Drivers for version 1 and 2 of the framework don't mix in one stack.
fn check_versions(drivers: &[DriverDraft<'_>], problems: &mut Problems) {
    let mut told = drivers
        .iter()
        .filter_map(|it| Some((it, it.driver.library_version?)));
    let Some((first, version)) = told.next() else {
        return;
    };
    for (other, _) in told.filter(|(_, it)| it.major != version.major) {
        problems.add_with(
            other.version.clone(),
            (first.version.clone(), "another major version"),
            "the drivers are written for different major versions of the framework",
            "a stack has drivers of one major version: put the others into a stack of their own",
        );
    }
}

/// Direct access is deferred, and has a host of its own.
fn check_directness(draft: &Draft<'_>, problems: &mut Problems) {
    for it in &draft.drivers {
        let io_type = it.driver.io_type;
        let name = it.name.value;
        if let Err(error) = IoType::agree([(name, io_type)].into_iter()) {
            let wanted = match io_type.read_write {
                Access::Buffered => &it.control,
                _ => &it.read_write,
            };
            problems.add_with(
                wanted.clone(),
                (it.retrieval.clone(), "of this driver"),
                error.to_string(),
                "write RetrievalMode = 'Deferred'",
            );
        }
        if draft.directives.host_process_sharing == HostProcessSharing::Own {
            continue;
        }
        for (wanted, place) in [
            (io_type.read_write, &it.read_write),
            (io_type.control, &it.control),
        ] {
            if wanted == Access::Direct {
                let what = format!("driver {name} takes direct access only, in a pooled host");
                let remedy = "write UmdfHostProcessSharing = 'ProcessSharingDisabled' in [framework], or 'BufferedOrDirect' here";
                problems.add(place.clone(), what, remedy);
            }
        }
    }
}

/// Drivers agree on how they get at data, on reads and writes as on control codes.
fn check_preferences(drivers: &[DriverDraft<'_>], problems: &mut Problems) {
    let all = || drivers.iter().map(|it| (it.name.value, it.driver.io_type));
    let only = |is_control: bool, it: IoType| {
        let kept = |is_kept, access| {
            if is_kept {
                access
            } else {
                Access::BufferedOrDirect
            }
        };
        IoType {
            retrieval: Retrieval::Deferred,
            read_write: kept(!is_control, it.read_write),
            control: kept(is_control, it.control),
            ..it
        }
    };
    for is_control in [false, true] {
        let wanted = all().map(|(name, it)| (name, only(is_control, it)));
        let agreed = IoType::agree(wanted);
        let Err(IoTypeError::Incompatible {
            what,
            buffered,
            direct,
        }) = agreed
        else {
            continue;
        };
        let place = |name: &str| {
            let driver = drivers.iter().find(|it| it.name.value == name);
            driver.map_or(0..0, |it| match is_control {
                true => it.control.clone(),
                false => it.read_write.clone(),
            })
        };
        problems.add_with(
            place(&direct),
            (place(&buffered), "buffered only"),
            format!(
                "driver {direct} takes {what} direct only, and driver {buffered} buffered only"
            ),
            "write 'BufferedOrDirect' for one of them",
        );
    }
}

/// The host is a file that can be executed.
pub(super) fn check_host(executable: &Path, named: Option<&At<&str>>, problems: &mut Problems) {
    let place = named.map_or(0..0, |it| it.place.clone());
    let host = executable.display();
    let (what, remedy) = match executable.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (
            format!("there is no host executable {host}"),
            "build it, and write host = '…', seen from the package's folder",
        ),
        Err(error) => (
            format!("can't look at the host executable {host}: {error}"),
            "see to it that its folder can be entered",
        ),
        Ok(file) if !file.is_file() => (
            format!("the host executable {host} is no file"),
            "name a program with host = '…'",
        ),
        Ok(_) => match access(executable, Rights::EXEC_OK) {
            Ok(()) => return,
            Err(_) => (
                format!("the host executable {host} can't be executed"),
                "make it executable: chmod +x",
            ),
        },
    };
    problems.add(place, what, remedy);
}
