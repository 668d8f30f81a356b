//! The guest's file systems: the host's files under an overlay that keeps writes in memory, and the current folder as it is.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind_recursive, mount_move};
use rustix::system::finit_module;

use super::super::guest_config::{Folder, GuestConfig, Root};
use super::{Failure, failed};

/// Makes the guest's root and goes there.
pub(super) fn set_up(config: &GuestConfig) -> Result<(), Failure> {
    let lower = host_files(&config.root)?;
    let root = overlay(&lower)?;
    enter(&root)?;
    system_folders()?;
    if config.folder.kept {
        current_folder(&config.root, &config.folder)?;
    }
    if let Root::NineP {
        modules: Some(modules),
        ..
    } = &config.root
    {
        all_modules(modules)?;
    }
    Ok(())
}

/// Where the host's files are, and an empty folder that exists, to build the overlay in.
struct Lower {
    files: &'static str,
    room: &'static str,
}

fn host_files(root: &Root) -> Result<Lower, Failure> {
    match root {
        // Nothing but the host's files is there yet. Their `proc` is of no use to the guest, and is everywhere.
        Root::Hostfs => Ok(Lower {
            files: "/",
            room: "/proc",
        }),
        Root::NineP { load, .. } => {
            for module in load {
                load_module(module)?;
            }
            make_folder("/host")?;
            make_folder("/room")?;
            let options = "trans=virtio,version=9p2000.L,msize=512000,cache=loose";
            mount_at("host", "/host", "9p", MountFlags::RDONLY, options)?;
            Ok(Lower {
                files: "/host",
                room: "/room",
            })
        }
    }
}

fn load_module(file: &Path) -> Result<(), Failure> {
    let what = || format!("load the kernel module {}", file.display());
    let module = fs::File::open(file).map_err(failed(what()))?;
    match finit_module(&module, c"", 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(failed(what())(error)),
    }
}

fn overlay(lower: &Lower) -> Result<PathBuf, Failure> {
    let room = Path::new(lower.room);
    mount_at(
        "tmpfs",
        lower.room,
        "tmpfs",
        MountFlags::empty(),
        "mode=755",
    )?;
    for name in ["upper", "work", "root"] {
        make_folder(room.join(name))?;
    }
    let root = room.join("root");
    let options = format!(
        "lowerdir={},upperdir={}/upper,workdir={}/work",
        lower.files, lower.room, lower.room
    );
    mount_at("overlay", &root, "overlay", MountFlags::empty(), &options)?;
    Ok(root)
}

fn enter(root: &Path) -> Result<(), Failure> {
    let what = "enter the guest's root folder";
    std::env::set_current_dir(root).map_err(failed(what))?;
    mount_move(".", "/").map_err(failed(what))?;
    rustix::process::chroot(".").map_err(failed(what))?;
    std::env::set_current_dir("/").map_err(failed(what))
}

fn system_folders() -> Result<(), Failure> {
    let none = MountFlags::empty();
    mount_at("proc", "/proc", "proc", none, "")?;
    mount_at("sysfs", "/sys", "sysfs", none, "")?;
    mount_at("devtmpfs", "/dev", "devtmpfs", none, "")?;
    mount_at(
        "devpts",
        "/dev/pts",
        "devpts",
        none,
        "ptmxmode=666,mode=620,gid=5",
    )?;
    mount_at("tmpfs", "/dev/shm", "tmpfs", none, "mode=1777")?;
    mount_at("tmpfs", "/run", "tmpfs", none, "mode=755")?;
    // Not every kernel has these.
    let _ = mount("configfs", "/sys/kernel/config", "configfs", none, None);
    let _ = mount("debugfs", "/sys/kernel/debug", "debugfs", none, None);
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, target) in links {
        let _ = symlink(target, Path::new("/dev").join(name));
    }
    make_folder("/run/lock")?;
    make_folder("/run/vhci_hcd")?; // where the usbip tool keeps records of its ports
    var_run()
}

/// Makes `/var/run` what `/run` is, for programs that know only the old name.
fn var_run() -> Result<(), Failure> {
    let old = Path::new("/var/run");
    match old.symlink_metadata() {
        Ok(data) if data.is_dir() => {
            mount_bind_recursive("/run", old).map_err(failed("mount /var/run"))
        }
        Ok(_) => Ok(()),
        Err(_) => {
            make_folder("/var")?;
            symlink("/run", old).map_err(failed("link /var/run"))
        }
    }
}

fn current_folder(root: &Root, folder: &Folder) -> Result<(), Failure> {
    let path = &folder.path;
    make_folder(path)?;
    match root {
        Root::Hostfs => {
            let host = CString::new(path.as_os_str().as_bytes())
                .map_err(failed("name the current folder"))?;
            let mounted = mount(
                "cwd",
                path,
                "hostfs",
                MountFlags::empty(),
                Some(host.as_c_str()),
            );
            mounted.map_err(failed(format_args!("mount {}", path.display())))
        }
        Root::NineP { .. } => mount_at(
            "cwd",
            path,
            "9p",
            MountFlags::empty(),
            "trans=virtio,version=9p2000.L,msize=512000,cache=mmap",
        ),
    }
}

/// Puts the running kernel's modules where `modprobe` looks for them.
fn all_modules(modules: &Path) -> Result<(), Failure> {
    let release = modules.file_name().unwrap_or_default();
    let place = Path::new("/lib/modules").join(release);
    if place == modules {
        return Ok(());
    }
    make_folder(&place)?;
    mount_bind_recursive(modules, &place).map_err(failed("mount the kernel's modules"))
}

fn mount_at(
    source: &str,
    target: impl AsRef<Path>,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> Result<(), Failure> {
    let target = target.as_ref();
    make_folder(target)?;
    let options = CString::new(options).map_err(failed("mount"))?;
    match mount(source, target, kind, flags, Some(options.as_c_str())) {
        Err(Errno::NODEV) => Err(format!(
            "the kernel knows no {kind}, which the lab needs: give its modules' folder with --modules, or build it in"
        )),
        mounted => mounted.map_err(failed(format_args!("mount {kind} on {}", target.display()))),
    }
}

fn make_folder(path: impl AsRef<Path>) -> Result<(), Failure> {
    let path = path.as_ref();
    if rustix::fs::accessat(
        CWD,
        path,
        rustix::fs::Access::EXISTS,
        rustix::fs::AtFlags::empty(),
    )
    .is_ok()
    {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(failed(format_args!("make {}", path.display())))
}
