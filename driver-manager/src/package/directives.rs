//! The directives of the framework that choose one of several values, with the names and values that they have in the INF file of a UMDF driver.

use usbwright_host_stack::{Access, Retrieval};

/// Something that is chosen by a name.
pub(super) trait Choice: Copy + Default + 'static {
    /// What can be written, and what it stands for.
    const VALUES: &'static [(&'static str, Self)];
}

/// Makes an `enum` of each directive. What follows `_` is the default that has no name: the directive is left out for it.
macro_rules! choices {
    ($($(#[$about:meta])* $name:ident = $key:literal {
        $(_ $(#[$by:meta])* $default:ident,)?
        $($(#[$of:meta])* $variant:ident = $value:literal,)+
    })+) => { $(
        $(#[$about])*
        #[doc(alias = $key)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$by])* #[default] $default,)?
            $($(#[$of])* #[doc = ""] #[doc = concat!("Written `", $value, "`.")] $variant,)+
        }

        impl Choice for $name {
            const VALUES: &'static [(&'static str, Self)] = &[$(($value, Self::$variant)),+];
        }
    )+ };
}

choices! {
    /// Whether the stack shares its host process with others.
    HostProcessSharing = "UmdfHostProcessSharing" {
        /// It is in the pool.
        #[default]
        Pooled = "ProcessSharingEnabled",
        /// It has a process of its own. Only there drivers get at data directly.
        Own = "ProcessSharingDisabled",
    }

    /// How far a driver may act for the application that has made a request, at most.
    ImpersonationLevel = "UmdfImpersonationLevel" {
        /// It does not know who that is.
        Anonymous = "Anonymous",
        /// It knows who that is.
        #[default]
        Identification = "Identification",
        /// It acts with the rights of the application, on this machine.
        Impersonation = "Impersonation",
        /// It acts with the rights of the application, also elsewhere.
        Delegation = "Delegation",
    }

    /// What becomes of control codes of method "neither".
    MethodNeitherAction = "UmdfMethodNeitherAction" {
        /// They are refused.
        #[default]
        Reject = "Reject",
        /// Their data is copied.
        Copy = "Copy",
    }

    /// Where requests go below the stack.
    Dispatcher = "UmdfDispatcher" {
        _
        /// To the reflector, where the directive is left out.
        Reflector,
        /// To an open file.
        FileHandle = "FileHandle",
        /// To WinUSB.
        WinUsb = "WinUsb",
        /// To the USB device, by the reflector.
        NativeUsb = "NativeUSB",
    }

    /// Whether a driver is given the requests of drivers in the kernel.
    KernelModeClientPolicy = "UmdfKernelModeClientPolicy" {
        /// It is not.
        #[default]
        Reject = "RejectKernelModeClients",
        /// It is.
        Allow = "AllowKernelModeClients",
    }

    /// Whether a driver is given requests of no file, or of one that it has not seen opened.
    FileObjectPolicy = "UmdfFileObjectPolicy" {
        /// It is not.
        #[default]
        Reject = "RejectNullAndUnknownFileObjects",
        /// It is.
        Allow = "AllowNullAndUnknownFileObjects",
    }

    /// Which member of a file object the framework may use for itself.
    FsContextUsePolicy = "UmdfFsContextUsePolicy" {
        /// `FsContext`.
        #[default]
        FsContext = "CanUseFsContext",
        /// `FsContext2`.
        FsContext2 = "CanUseFsContext2",
        /// Neither.
        Neither = "CannotUseFsContexts",
    }

    /// Whether a driver may use registers, ports and interrupts.
    DirectHardwareAccess = "UmdfDirectHardwareAccess" {
        /// It may not.
        #[default]
        Reject = "RejectDirectHardwareAccess",
        /// It may.
        Allow = "AllowDirectHardwareAccess",
    }

    /// The priority of the host's threads.
    HostPriority = "UmdfHostPriority" {
        _
        /// That of other processes, where the directive is left out.
        Normal,
        /// For devices whose users notice every delay. Such hosts have a pool of their own.
        High = "PriorityHigh",
    }

    /// Where a driver is in its stack.
    Role = "filter" {
        _
        /// It is the driver of the device itself.
        Function,
        /// It is a filter above that.
        UpperFilter = "upper",
        /// It is a filter below that.
        LowerFilter = "lower",
    }
}

impl Choice for Access {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("Buffered", Self::Buffered),
        ("Direct", Self::Direct),
        ("BufferedOrDirect", Self::BufferedOrDirect),
    ];
}

impl Choice for Retrieval {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("CopyImmediately", Self::Immediate),
        ("Deferred", Self::Deferred),
    ];
}

/// The directives that hold for the whole stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Whether it shares its host process.
    pub host_process_sharing: HostProcessSharing,
    /// How far its drivers may act for an application.
    pub impersonation_level: ImpersonationLevel,
    /// What becomes of control codes of method "neither".
    pub method_neither_action: MethodNeitherAction,
    /// Where requests go below it.
    pub dispatcher: Dispatcher,
    /// Whether it is given the requests of drivers in the kernel. Here nothing of the kernel is above a stack.
    pub kernel_mode_client_policy: KernelModeClientPolicy,
    /// Whether it is given requests of no file.
    pub file_object_policy: FileObjectPolicy,
    /// Which member of a file object the framework may use.
    pub fs_context_use_policy: FsContextUsePolicy,
    /// Whether its drivers may use registers, ports and interrupts, of which a USB device has none.
    pub direct_hardware_access: DirectHardwareAccess,
    /// The priority of its host.
    pub host_priority: HostPriority,
}
