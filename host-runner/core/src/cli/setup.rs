//! The arguments of `host-runner setup`.

use std::path::PathBuf;

use clap::Args;

use crate::clients::Client;

/// What to set up, and where to write it. The address, the user and the token's name have
/// flags of their own, as in all commands.
#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// The file of settings to write [default: proxmox-mcp/env in $XDG_CONFIG_HOME or
    /// ~/.config, in %APPDATA% on Windows, where all commands find it]
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
    /// Put an entry into the files of these clients; `host-runner client` lists their names
    #[arg(
        long = "client",
        value_name = "NAMES",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub(crate) clients: Vec<Client>,
    /// Only print the `pveum` commands that create the user, the role and the token
    #[arg(long)]
    pub(crate) commands: bool,
}
