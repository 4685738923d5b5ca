//! Files, by landlock: what is not named is closed. Directory by directory and right by right, as far as the running kernel knows them.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::{Enforced, Places};

/// The newest rights that are asked for; older kernels leave out what they do not know.
const ABI_KNOWN: ABI = ABI::V9;
/// The first with rights for TCP, and the first that keeps signals and abstract sockets inside.
const TCP_SINCE: ABI = ABI::V4;
const SCOPE_SINCE: ABI = ABI::V6;

/// Closes all but these places, and TCP, and signals and abstract sockets to who is outside. What of the two took effect.
pub(super) fn restrict(places: &Places) -> (Enforced, Enforced) {
    match restricted(places) {
        Ok(status) => told(&status),
        Err(cause) => (Enforced::No(cause.to_string()), Enforced::No("no landlock".into())),
    }
}

fn restricted(places: &Places) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_KNOWN))?
        .handle_access(AccessNet::from_all(TCP_SINCE))?
        .scope(Scope::from_all(SCOPE_SINCE))?
        .create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::ResolveUnix;
    let write = read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let fill = write | AccessFs::MakeReg | AccessFs::MakeDir | AccessFs::RemoveFile | AccessFs::RemoveDir | AccessFs::Refer;
    for (paths, access) in [(&places.read, read), (&places.write, write), (&places.fill, fill)] {
        rules = allow(rules, paths, access)?;
    }
    rules.restrict_self()
}

/// What is not there cannot be named, and is closed.
fn allow(mut rules: RulesetCreated, paths: &[PathBuf], access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        if let Ok(opened) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(opened, access))?;
        }
    }
    Ok(rules)
}

fn told(status: &RestrictionStatus) -> (Enforced, Enforced) {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled => return lacking("the kernel was started without landlock (lsm=landlock,...)"),
        LandlockStatus::NotImplemented => return lacking("the kernel has no landlock (Linux 5.13 and later have it)"),
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return lacking("landlock took no rule");
    }
    let files = match abi {
        abi if abi >= ABI::V5 => Enforced::Yes,
        abi if abi >= ABI::V3 => Enforced::Partly("ioctl on devices is not restricted before Linux 6.10".into()),
        _ => Enforced::Partly("truncating files is not restricted before Linux 6.2".into()),
    };
    let scope = match abi >= SCOPE_SINCE {
        true => Enforced::Yes,
        false => Enforced::Partly("by the filter of system calls alone before Linux 6.12".into()),
    };
    (files, scope)
}

fn lacking(why: &str) -> (Enforced, Enforced) {
    (Enforced::No(why.to_owned()), Enforced::Partly("by the filter of system calls alone".into()))
}
