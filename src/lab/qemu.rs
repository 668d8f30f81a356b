//! The QEMU engine: an unmodified kernel, with the host's files over 9p and the channel over a virtio port.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::cache::Cache;
use super::channel::Frame;
use super::error::LabError;
use super::guest_config::Root;
use super::initramfs::Initramfs;
use super::interrupt::Interrupt;
use super::kernel_modules::Modules;
use super::machine::Machine;
use super::packages::{self, Need};
use super::{Lab, internal, stock};

const PROGRAM: &str = "qemu-system-x86_64";
const NEEDS: &[Need] = &[
    Need {
        what: PROGRAM,
        package: "qemu-system-x86",
    },
    Need {
        what: "modprobe",
        package: "kmod",
    },
    Need {
        what: "ldd",
        package: "libc-bin",
    },
];
/// What the guest needs to reach the host, and then what it is there for.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_console",
    "9pnet_virtio",
    "9p",
    "overlay",
    "vhci_hcd",
    "usbmon",
    "usbtest",
    "configfs",
];
const CONFIG: &str = "/guest.json";
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// What a boot takes under KVM, many times over.
const KVM_PROBE_LIMIT: Duration = Duration::from_secs(20);

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accelerator {
    Kvm,
    Tcg,
}

/// Boots the kernel that `lab` names, or the distribution's, and runs its command.
pub(super) fn run(lab: &Lab) -> Result<u8, LabError> {
    let interrupt = Interrupt::watch()?;
    packages::ensure(NEEDS, &interrupt)?;
    let (kernel, modules) = match &lab.kernel {
        Some(kernel) => (
            super::absolute(kernel)?,
            lab.modules.as_deref().map(super::absolute).transpose()?,
        ),
        None => stock::stock_kernel().map(|stock| (stock.image, Some(stock.modules)))?,
    };
    let start = |accelerator| start(lab, &kernel, modules.as_deref(), accelerator);
    let accelerator = accelerator(&interrupt, || start(Accelerator::Kvm))?;
    let machine = start(accelerator)?;
    interrupt.guard(None)?;
    lab.run_on(machine)
}

/// KVM where it is there and boots a guest. Whether it does is tried once for each release of this machine's kernel.
fn accelerator(
    interrupt: &Interrupt,
    boot: impl FnOnce() -> Result<Machine, LabError>,
) -> Result<Accelerator, LabError> {
    if OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(Accelerator::Tcg);
    }
    let release = rustix::system::uname();
    let note = Cache::open()?.note(&format!("kvm-{}", release.release().to_string_lossy()));
    let works = match fs::read_to_string(&note) {
        Ok(text) => text == "works",
        Err(_) => {
            let works = boots(&boot()?, interrupt)?;
            fs::write(&note, if works { "works" } else { "fails" })
                .map_err(LabError::file("write", &note))?;
            works
        }
    };
    Ok(if works {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    })
}

fn boots(machine: &Machine, interrupt: &Interrupt) -> Result<bool, LabError> {
    interrupt.guard(Some(machine.group()))?;
    let mut channel = machine.channel()?;
    channel
        .set_read_timeout(Some(KVM_PROBE_LIMIT))
        .map_err(LabError::system("set a time limit"))?;
    let works = matches!(Frame::read_from(&mut channel), Ok(Some(Frame::Started)));
    interrupt.guard(None)?;
    Ok(works)
}

fn start(
    lab: &Lab,
    kernel: &Path,
    modules: Option<&Path>,
    accelerator: Accelerator,
) -> Result<Machine, LabError> {
    let folder = tempfile::Builder::new().prefix("usbwright-lab-").tempdir();
    let folder = folder.map_err(LabError::file("make a folder in", std::env::temp_dir()))?;
    let initrd = folder.path().join("initramfs");
    let bytes = initramfs(lab, modules)?;
    fs::write(&initrd, bytes).map_err(LabError::file("write", &initrd))?;

    let mut command = Command::new(PROGRAM);
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-smp",
        "2",
    ]);
    match accelerator {
        Accelerator::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
        Accelerator::Tcg => command.args(["-accel", "tcg,thread=multi", "-cpu", "max"]),
    };
    command.arg("-m").arg(lab.memory().to_string());
    command
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(&initrd);
    command.arg("-append").arg(format!(
        "console=ttyS0 panic=-1 {} -- {} {CONFIG}",
        lab.kernel_args.join(" "),
        internal::INIT
    ));
    // The kernel's messages go to standard output; standard input is the channel's socket.
    command.args([
        "-chardev",
        "file,id=messages,path=/dev/fd/1",
        "-serial",
        "chardev:messages",
    ]);
    command.args([
        "-chardev",
        "socket,id=lab,fd=0",
        "-device",
        "virtio-serial-pci",
    ]);
    command.args(["-device", "virtserialport,chardev=lab,name=lab"]);
    command
        .arg("-virtfs")
        .arg(shared_folder("host", "/".as_ref(), ",readonly=on"));
    let current = std::env::current_dir().map_err(LabError::CurrentFolder)?;
    command
        .arg("-virtfs")
        .arg(shared_folder("cwd", current.as_os_str(), ""));
    Machine::start(&command, folder, lab.verbose, BOOT_LIMIT)
}

fn initramfs(lab: &Lab, modules: Option<&Path>) -> Result<Vec<u8>, LabError> {
    let mut archive = Initramfs::with_own_program()?;
    let files = modules
        .map(Modules::open)
        .transpose()?
        .map(|modules| modules.to_load(MODULES));
    let load = archive.add_modules(&files.unwrap_or_default())?;
    let config = lab.guest_config(Root::NineP {
        load,
        modules: modules.map(PathBuf::from),
    })?;
    let bytes = serde_json::to_vec(&config).map_err(LabError::system("describe the guest"))?;
    archive.add_file(CONFIG.as_ref(), &bytes);
    Ok(archive.finish())
}

/// An argument of `-virtfs`, in which a comma of the path is written twice.
fn shared_folder(tag: &str, path: &OsStr, more: &str) -> OsString {
    let path = path.to_string_lossy().replace(',', ",,");
    format!("local,path={path},mount_tag={tag},security_model=none,multidevs=remap{more}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_path_is_no_end_of_it() {
        let argument = shared_folder("cwd", "/a,b".as_ref(), ",readonly=on");
        assert_eq!(
            argument,
            "local,path=/a,,b,mount_tag=cwd,security_model=none,multidevs=remap,readonly=on"
        );
    }
}
