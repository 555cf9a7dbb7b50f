//! Where files are if the operator names none.

use std::path::PathBuf;

use super::native;

/// The policy that is read before all others, for all users of a machine. Only
/// administrators can write there, unlike in `C:\ProgramData`, where every user can make a
/// folder of this name. The place does not depend on the environment, which users set.
pub(crate) fn system_policy() -> PathBuf {
    let programs = native::program_files();
    let programs = programs.unwrap_or_else(|_| PathBuf::from(r"C:\Program Files"));
    programs.join(r"proxmox-mcp\policy.toml")
}

/// The user's folder for settings, if the environment says where it is.
pub(crate) fn config() -> Option<PathBuf> {
    folder("APPDATA")
}

/// The user's folder for what a program keeps between its runs. The error says which
/// variables are missing.
pub(crate) fn state() -> Result<PathBuf, &'static str> {
    folder("LOCALAPPDATA").ok_or("LOCALAPPDATA is not set")
}

/// A folder that the environment names.
fn folder(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).map(PathBuf::from);
    value.filter(|path| path.is_absolute())
}
