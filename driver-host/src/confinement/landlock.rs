//! Landlock: a host can open only what its package lists, and reaches no network, no abstract socket and no process outside.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use usbwright_host_control::{MeasureState, clip};

/// The newest rules that are made use of; an older kernel holds what it knows.
const NEWEST: ABI = ABI::V6;

/// Restricts this process.
pub(super) fn restrict(read: &[PathBuf], write: &[PathBuf]) -> MeasureState {
    let mut lacking = Vec::new();
    match try_restrict(read, write, &mut lacking) {
        Err(error) => MeasureState::Missing(clip(&error.to_string())),
        Ok(RulesetStatus::NotEnforced) => {
            MeasureState::Missing("the kernel has no Landlock, or it is switched off".to_owned())
        }
        Ok(RulesetStatus::FullyEnforced) if lacking.is_empty() => MeasureState::Held,
        Ok(RulesetStatus::FullyEnforced) => MeasureState::Partly(clip(&lacking.join("; "))),
        Ok(RulesetStatus::PartiallyEnforced) => {
            lacking.push("the kernel's Landlock does not know all of the rules".to_owned());
            MeasureState::Partly(clip(&lacking.join("; ")))
        }
    }
}

fn try_restrict(
    read: &[PathBuf],
    write: &[PathBuf],
    lacking: &mut Vec<String>,
) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    // Nothing that is there may be executed, and nothing be made but files.
    let writing = reading
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::IoctlDev;
    for (paths, access) in [(read, reading), (write, writing)] {
        for path in paths {
            ruleset = allow(ruleset, path, access, lacking)?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    lacking: &mut Vec<String>,
) -> Result<RulesetCreated, RulesetError> {
    let opened = match PathFd::new(path) {
        Ok(opened) => opened,
        Err(error) => {
            lacking.push(error.to_string());
            return Ok(ruleset);
        }
    };
    let of_files = AccessFs::from_file(NEWEST);
    let access = match path.is_dir() {
        true => access,
        false => access & of_files,
    };
    ruleset.add_rule(PathBeneath::new(opened, access))
}
