//! The arguments of `host-runner setup`.

use std::path::PathBuf;

use clap::Args;

/// What to set up, and where to write it. The address, the user and the token's name have
/// flags of their own, as in all commands.
#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// The file of settings to write [default: proxmox-mcp/env in $XDG_CONFIG_HOME or
    /// ~/.config]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// If that file exists, keep it as a backup beside the new one
    #[arg(long)]
    pub(crate) replace: bool,
    /// Read the token's secret from this file, or from stdin if it is `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) token_secret_file: Option<PathBuf>,
    /// Where the `pveum` commands grant the role: /, /pool/NAME or /vms/VMID
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub(crate) path: String,
    /// Only print the `pveum` commands that create the user, the role and the token
    #[arg(long)]
    pub(crate) commands: bool,
}
