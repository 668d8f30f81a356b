//! A controller of files in a temporary folder.

use std::{fs, os::unix::net::UnixStream, path::Path};

use super::*;

const PAGE: &str = "\
hub port sta spd dev      sockfd local_busid
hs  0000 006 003 00010002 000005 1-1
hs  0001 004 000 00000000 000000 0-0
ss  0002 004 000 00000000 000000 0-0
";
const PAGE_1: &str = "\
hub port sta spd dev      sockfd local_busid
hs  0003 004 000 00000000 000000 0-0
ss  0004 005 000 00000000 000000 0-0
";

fn tree() -> (tempfile::TempDir, Vhci) {
    let root = tempfile::tempdir().unwrap();
    let controller = root.path().join(CONTROLLER);
    fs::create_dir_all(&controller).unwrap();
    for (file, text) in [
        ("status", PAGE),
        ("status.1", PAGE_1),
        ("attach", ""),
        ("detach", ""),
    ] {
        fs::write(controller.join(file), text).unwrap();
    }
    for (hub, speed) in [
        ("vhci_hcd.0/usb1", "480"),
        ("vhci_hcd.0/usb2", "5000"),
        ("vhci_hcd.1/usb3", "480"),
        ("vhci_hcd.1/usb4", "20000"),
    ] {
        let hub = root.path().join("devices/platform").join(hub);
        fs::create_dir_all(&hub).unwrap();
        fs::write(hub.join("speed"), speed).unwrap();
    }
    let vhci = Vhci::open(Sysfs::new(root.path())).unwrap();
    (root, vhci)
}

fn controller_file(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(CONTROLLER).join(name)).unwrap()
}

#[test]
fn without_the_module_it_says_how_to_load_it() {
    let root = tempfile::tempdir().unwrap();
    let error = Vhci::open(Sysfs::new(root.path())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vhci_hcd is not there: `modprobe vhci-hcd` as root, or use `usbwright lab`"
    );
}

#[test]
fn the_ports_of_all_pages_are_told() {
    let (_root, vhci) = tree();
    let numbers: Vec<_> = vhci.ports().unwrap().iter().map(|it| it.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    let error = vhci.port(5).unwrap_err().to_string();
    assert_eq!(error, "there is no port 5: the ports are 0 to 4");
}

#[test]
fn a_device_goes_to_the_first_free_port_of_its_hub() {
    let (root, vhci) = tree();
    let (socket, _other) = UnixStream::pair().unwrap();
    let fd = socket.as_raw_fd();
    for (speed, port, number) in [(Speed::Full, 1, 2), (Speed::Super, 2, 5)] {
        assert_eq!(vhci.attach(&socket, 0x0001_0003, speed).unwrap(), port);
        let line = format!("{port} {fd} 65539 {number}");
        // The fake is a file, which keeps what an earlier and longer line wrote behind this one.
        assert!(controller_file(root.path(), "attach").starts_with(&line));
    }
}

#[test]
fn without_a_free_port_of_the_hub_it_says_so() {
    let (root, vhci) = tree();
    let full = PAGE.replace("ss  0002 004", "ss  0002 006");
    fs::write(root.path().join(CONTROLLER).join("status"), full).unwrap();
    let (socket, _other) = UnixStream::pair().unwrap();
    let error = vhci.attach(&socket, 1, Speed::Super).unwrap_err();
    assert!(matches!(error, VhciError::NoFreePort(Speed::Super)));
}

#[test]
fn a_lack_of_rights_is_told_from_a_refusal() {
    let error = |kind: Errno| SysfsError::Io {
        verb: "write",
        path: "attach".into(),
        cause: kind.into(),
    };
    let told = |kind| denied(error(kind), "attach a device", VhciError::Sysfs).to_string();
    assert_eq!(
        told(Errno::ACCESS),
        "only root may attach a device: run this as root, such as with sudo"
    );
    assert!(told(Errno::ROFS).contains("mounted read-only"));
    assert!(told(Errno::INVAL).starts_with("can't write attach: Invalid argument"));
}

#[test]
fn what_is_attached_is_detached_and_nothing_else() {
    let (root, vhci) = tree();
    vhci.detach(0).unwrap();
    assert_eq!(controller_file(root.path(), "detach"), "0");
    assert!(matches!(vhci.detach(1), Err(VhciError::Detached(1))));
    let error = vhci.wait_free(0, Duration::ZERO).unwrap_err();
    assert!(matches!(error, VhciError::StillInUse { port: 0, .. }));
    assert!(vhci.wait_free(1, Duration::ZERO).is_ok());
}

#[test]
fn a_port_is_not_free_while_linux_still_has_its_device() {
    let (root, vhci) = tree();
    let folder = root.path().join("bus/usb/devices/3-1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("busnum"), "3\n").unwrap();
    let wait = |port| vhci.wait_free(port, Duration::ZERO);
    assert!(matches!(
        wait(3),
        Err(VhciError::StillInUse { port: 3, .. })
    ));
    assert!(wait(1).is_ok());
    assert!(wait(2).is_ok());
    fs::remove_dir_all(folder).unwrap();
    assert!(wait(3).is_ok());
}

#[test]
fn a_device_counts_once_it_is_configured() {
    let (root, vhci) = tree();
    let wait = |port| vhci.wait_configured(port, Duration::ZERO);
    assert!(matches!(wait(0), Err(VhciError::NotConfigured { .. })));
    let folder = root.path().join("bus/usb/devices/1-1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("busnum"), "1\n").unwrap();
    fs::write(folder.join("bConfigurationValue"), "\n").unwrap();
    assert!(matches!(wait(0), Err(VhciError::NotConfigured { .. })));
    fs::write(folder.join("bConfigurationValue"), "3\n").unwrap();
    assert_eq!(wait(0).unwrap().name(), "1-1");
    assert!(matches!(wait(1), Err(VhciError::Detached(1))));
    assert!(matches!(wait(4), Err(VhciError::NotConfigured { .. })));
}
