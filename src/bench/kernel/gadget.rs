//! The kernel's own Gadget Zero: the function `SourceSink`, put together in configfs and bound to a device controller.
//!
//! Source: `Documentation/usb/gadget_configfs.rst`, `drivers/usb/gadget/function/f_sourcesink.c`.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::error::KernelError;
use crate::{protocol::Direction, sysfs::Sysfs};

const GADGETS: &str = "kernel/config/usb_gadget";
const CONTROLLERS: &str = "class/udc";
const FUNCTION: &str = "functions/SourceSink.0";
const CONFIGURATION: &str = "configs/c.3";
const LINK: &str = "configs/c.3/SourceSink.0";

/// A device controller of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controller {
    /// Its name.
    pub(super) name: &'static str,
    /// The option of the kernel's configuration that it comes with.
    pub(super) option: &'static str,
    /// The module that has it.
    pub(super) module: &'static str,
}

/// A gadget that is bound to a controller. Dropping it takes it away.
#[derive(Debug)]
pub(super) struct Gadget {
    folder: PathBuf,
}

impl Gadget {
    /// Makes one that does the least for a direction.
    ///
    /// A sink that is to look at no data (pattern 2) makes a source of whatever is in memory, which the driver refuses; so the
    /// source sends zeros (pattern 0), which it fills in before it starts.
    pub(super) fn new(
        sysfs: &Sysfs,
        controller: &Controller,
        direction: Direction,
    ) -> Result<Self, KernelError> {
        let lacks = |option, module| Err(KernelError::Lacks { option, module });
        if !sysfs.path(CONTROLLERS).join(controller.name).exists() {
            return lacks(controller.option, controller.module);
        }
        if !sysfs.path(GADGETS).exists() {
            return lacks("CONFIG_USB_CONFIGFS", "libcomposite");
        }
        let name = format!("usbwright-{}", controller.name);
        let folder = sysfs.path(GADGETS).join(name);
        remove(&folder); // a run that was killed has left it
        made(&folder, fs::create_dir(&folder))?;
        let gadget = Self { folder };
        let function = gadget.folder.join(FUNCTION);
        match fs::create_dir(&function) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return lacks("CONFIG_USB_CONFIGFS_F_LB_SS", "usb_f_ss_lb");
            }
            result => made(&function, result)?,
        }
        let configuration = gadget.folder.join(CONFIGURATION);
        made(&configuration, fs::create_dir(&configuration))?;
        let pattern = match direction {
            Direction::In => "0",
            Direction::Out => "2",
        };
        sysfs.write(gadget.folder.join("idVendor"), "0x0525")?;
        sysfs.write(gadget.folder.join("idProduct"), "0xa4a0")?;
        sysfs.write(function.join("pattern"), pattern)?;
        let link = gadget.folder.join(LINK);
        made(&link, symlink(&function, &link))?;
        sysfs.write(gadget.folder.join("UDC"), controller.name)?;
        Ok(gadget)
    }
}

impl Drop for Gadget {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn made(path: &Path, result: io::Result<()>) -> Result<(), KernelError> {
    result.map_err(|cause| KernelError::Make {
        path: path.to_owned(),
        cause,
    })
}

/// Takes a gadget apart, as far as there is one.
fn remove(folder: &Path) {
    let _ = fs::write(folder.join("UDC"), "\n");
    let _ = fs::remove_file(folder.join(LINK));
    for part in [CONFIGURATION, FUNCTION, ""] {
        let _ = fs::remove_dir(folder.join(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_told_by_its_option() {
        let root = tempfile::tempdir().unwrap();
        let sysfs = Sysfs::new(root.path());
        let controller = Controller {
            name: "dummy_udc.0",
            option: "CONFIG_USB_DUMMY_HCD",
            module: "dummy_hcd",
        };
        let error = || {
            let made = Gadget::new(&sysfs, &controller, Direction::In);
            made.unwrap_err().to_string()
        };
        assert_eq!(
            error(),
            "the kernel lacks CONFIG_USB_DUMMY_HCD (`modprobe dummy_hcd`, where it is a module)"
        );
        fs::create_dir_all(root.path().join(CONTROLLERS).join(controller.name)).unwrap();
        assert!(error().contains("CONFIG_USB_CONFIGFS ("));
        // A kernel makes the folder of functions with the gadget's; here there is none.
        fs::create_dir_all(root.path().join(GADGETS)).unwrap();
        assert!(error().contains("CONFIG_USB_CONFIGFS_F_LB_SS ("));
    }
}
