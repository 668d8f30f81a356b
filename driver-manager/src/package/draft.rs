//! A package as it was read, and where its parts are: what its keys are, and their types.

use std::path::Path;

use toml::de::DeTable;

use super::{
    HardwareId, HostCheck, HostPolicy, Package,
    directives::Directives,
    driver::DriverDraft,
    problem::Problems,
    rules,
    table::{At, Table},
};

/// A package as it was read.
pub(super) struct Draft<'a> {
    pub(super) host: Option<At<&'a str>>,
    pub(super) devices: Vec<At<HardwareId>>,
    /// Nothing was wrong with any of the drivers.
    pub(super) are_drivers_read: bool,
    /// The lowest first.
    pub(super) drivers: Vec<DriverDraft<'a>>,
    /// The names of `UmdfServiceOrder`.
    pub(super) order: Option<At<Vec<At<&'a str>>>>,
    pub(super) directives: Directives,
    pub(super) policy: HostPolicy,
}

/// Reads a package and checks it; `None` where something is wrong, which is added to the problems. Where it is not TOML, only that is told: the rest would be guesses.
pub(super) fn read(
    path: &Path,
    text: &str,
    host: HostCheck,
    problems: &mut Problems,
) -> Option<Package> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let remedy = r"write texts in single quotes, where `\` stands for itself, and all else as TOML has it: https://toml.io/en/v1.0.0";
        problems.add(error.span().unwrap_or_default(), error.message(), remedy);
    }
    if !errors.is_empty() {
        return None;
    }
    let mut draft = Draft::read(Table::new(document.get_ref(), 0..0), problems);
    rules::check(&mut draft, problems);
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let executable = draft.host.as_ref().map_or(&*name, |it| it.value);
    let executable = path.parent().unwrap_or(Path::new("")).join(executable);
    if host == HostCheck::Required {
        rules::check_host(&executable, draft.host.as_ref(), problems);
    }
    problems.0.is_empty().then(|| Package {
        host: executable,
        devices: draft.devices.iter().map(|it| it.value).collect(),
        drivers: draft.drivers.into_iter().map(|it| it.driver).collect(),
        directives: draft.directives,
        policy: draft.policy,
        name: name.into_owned(),
    })
}

impl<'a> Draft<'a> {
    fn read(mut table: Table<'a>, problems: &mut Problems) -> Self {
        let host = table.text("host", problems);
        if let Some(host) = host.as_ref().filter(|it| it.value.is_empty()) {
            let remedy = "name the program that has the drivers, or leave `host` out";
            problems.add(
                host.place.clone(),
                "the host executable has no name",
                remedy,
            );
        }
        let devices = read_devices(&mut table, problems);
        let before = problems.0.len();
        let tables = read_driver_tables(&mut table, problems);
        let drivers = tables.into_iter();
        let drivers = drivers.filter_map(|it| DriverDraft::read(it, problems));
        let drivers = drivers.collect();
        let mut draft = Self {
            host,
            devices,
            are_drivers_read: problems.0.len() == before,
            drivers,
            order: None,
            directives: Directives::default(),
            policy: HostPolicy::default(),
        };
        if let Some(framework) = table.table("framework", problems) {
            draft.read_framework(framework, problems);
        }
        if let Some(policy) = table.table("host-policy", problems) {
            draft.policy = HostPolicy::read(policy, problems);
        }
        table.finish(problems);
        draft
    }

    fn read_framework(&mut self, mut table: Table<'a>, problems: &mut Problems) {
        self.order = table.texts("UmdfServiceOrder", problems);
        self.directives = Directives {
            host_process_sharing: table.choice("UmdfHostProcessSharing", problems).value,
            impersonation_level: table.choice("UmdfImpersonationLevel", problems).value,
            method_neither_action: table.choice("UmdfMethodNeitherAction", problems).value,
            dispatcher: table.choice("UmdfDispatcher", problems).value,
            kernel_mode_client_policy: table.choice("UmdfKernelModeClientPolicy", problems).value,
            file_object_policy: table.choice("UmdfFileObjectPolicy", problems).value,
            fs_context_use_policy: table.choice("UmdfFsContextUsePolicy", problems).value,
            direct_hardware_access: table.choice("UmdfDirectHardwareAccess", problems).value,
            host_priority: table.choice("UmdfHostPriority", problems).value,
        };
        table.finish(problems);
    }
}

/// How many drivers a stack may have.
const MOST_DRIVERS: usize = 32;

fn read_driver_tables<'a>(table: &mut Table<'a>, problems: &mut Problems) -> Vec<Table<'a>> {
    let before = problems.0.len();
    let mut drivers = table.tables("driver", problems);
    if drivers.is_empty() && problems.0.len() == before {
        let remedy = "add [[driver]], and below it UmdfService = '…'";
        problems.add(0..0, "the package has no drivers", remedy);
    }
    if let Some(first) = drivers.get(MOST_DRIVERS) {
        let what = format!("the stack has {} drivers", drivers.len());
        let remedy = format!("a stack has at most {MOST_DRIVERS}");
        problems.add(first.place.clone(), what, remedy);
        drivers.truncate(MOST_DRIVERS);
    }
    drivers
}

/// An id of each kind, for whoever has to write one.
const FORMS: &str = r"write 'USB\VID_0547&PID_1002', where &REV_0000 and &MI_00 may follow, or 'USB\Class_FF&SubClass_00&Prot_00' or the beginning of it; in single quotes, as `\` means something else in double ones";

fn read_devices<'a>(table: &mut Table<'a>, problems: &mut Problems) -> Vec<At<HardwareId>> {
    let before = problems.0.len();
    let texts = table.texts("devices", problems);
    let has_none = texts.as_ref().is_none_or(|it| it.value.is_empty());
    if has_none && problems.0.len() == before {
        let place = texts.as_ref().map_or(0..0, |it| it.place.clone());
        problems.add(
            place,
            "the package is for no devices",
            r"write devices = ['USB\VID_…&PID_…']",
        );
    }
    let mut devices = Vec::new();
    for text in texts.map(|it| it.value).unwrap_or_default() {
        match text.value.parse() {
            Ok(value) => devices.push(At {
                value,
                place: text.place,
            }),
            Err(error) => {
                problems.add(
                    text.place,
                    format!("this is no hardware id: {error}"),
                    FORMS,
                );
            }
        }
    }
    devices
}
