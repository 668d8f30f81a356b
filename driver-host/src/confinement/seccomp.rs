//! Seccomp: system calls that no driver needs fail with `EPERM`.
//!
//! It is a list of what is refused, as drivers may use libraries of all sorts: what changes the system, what begins or touches other processes, what gets around the filter or
//! Landlock, and sockets that lead elsewhere. `clone3` fails with `ENOSYS`, as its flags can't be looked at, and threads are made by `clone` then.

use std::process;

use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction,
    SeccompCmpArgLen::{Dword, Qword},
    SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter_all_threads,
};

/// What is refused whatever its arguments.
const REFUSED: &[libc::c_long] = &[
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    libc::SYS_setpgid,
    // File systems and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_fanotify_init,
    // The kernel, and the system's settings.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_personality,
    // What the filter would not see.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Sockets of others: those that a host has are handed to it.
    libc::SYS_connect,
    // Who it is.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
];

/// Installs the filters, for all threads there are and will be.
pub(super) fn install() -> Result<(), Error> {
    let no_clone3 = vec![(libc::SYS_clone3, Vec::new())];
    apply_filter_all_threads(&program(no_clone3, libc::ENOSYS)?)?;
    let mut rules: Vec<_> = REFUSED.iter().map(|it| (*it, Vec::new())).collect();
    rules.extend(refused_by_arguments().map_err(Error::Backend)?);
    apply_filter_all_threads(&program(rules, libc::EPERM)?)
}

type Rules = Vec<(libc::c_long, Vec<SeccompRule>)>;

fn program(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, Error> {
    let refused = SeccompAction::Errno(errno.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().map_err(Error::Backend)?;
    let filter = SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::Allow,
        refused,
        arch,
    );
    filter
        .and_then(BpfProgram::try_from)
        .map_err(Error::Backend)
}

/// What is refused for some arguments: processes that are no threads, signals to and limits of others, sockets of families other than UNIX.
fn refused_by_arguments() -> Result<Rules, BackendError> {
    let own = u64::from(process::id());
    let thread = SeccompCmpOp::MaskedEq(libc::CLONE_THREAD.unsigned_abs().into());
    let no_thread = SeccompCondition::new(0, Qword, thread, 0)?;
    let other = || SeccompCondition::new(0, Dword, SeccompCmpOp::Ne, own);
    let not_itself = SeccompCondition::new(0, Dword, SeccompCmpOp::Ne, 0)?;
    let unix = libc::AF_UNIX.unsigned_abs().into();
    let not_unix = SeccompCondition::new(0, Dword, SeccompCmpOp::Ne, unix)?;
    Ok(vec![
        (libc::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]),
        (libc::SYS_kill, vec![SeccompRule::new(vec![other()?])?]),
        (libc::SYS_tgkill, vec![SeccompRule::new(vec![other()?])?]),
        (
            libc::SYS_prlimit64,
            vec![SeccompRule::new(vec![other()?, not_itself])?],
        ),
        (libc::SYS_socket, vec![SeccompRule::new(vec![not_unix])?]),
    ])
}
