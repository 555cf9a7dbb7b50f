//! Where files are if the operator names none.

use std::path::PathBuf;

/// The policy that is read before all others, for all users of a machine. Only root can
/// write there.
pub(crate) fn system_policy() -> PathBuf {
    PathBuf::from("/etc/proxmox-mcp/policy.toml")
}

/// The user's folder for settings, if the environment says where it is.
pub(crate) fn config() -> Option<PathBuf> {
    folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))
}

/// The user's folder for what a program keeps between its runs. The error says which
/// variables are missing.
pub(crate) fn state() -> Result<PathBuf, &'static str> {
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    state.ok_or("neither HOME nor XDG_STATE_HOME is set")
}

/// A folder that the environment names.
fn folder(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).map(PathBuf::from);
    value.filter(|path| path.is_absolute())
}
