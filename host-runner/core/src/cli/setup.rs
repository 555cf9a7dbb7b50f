//! The arguments of `host-runner setup`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum as _};

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
    /// Put an entry into the files of these clients; `host-runner client` lists their names, and
    /// `none` means no client
    #[arg(long = "client", value_name = "NAMES")]
    pub(crate) clients: Vec<ClientNames>,
    /// Only print the `pveum` commands that create the user, the role and the token
    #[arg(long)]
    pub(crate) commands: bool,
}

/// Clients by name, separated by commas or blanks.
#[derive(Debug, Clone)]
pub(crate) struct ClientNames(pub(crate) Vec<Client>);

impl FromStr for ClientNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if matches!(
            text.trim().to_ascii_lowercase().as_str(),
            "none" | "no" | "n"
        ) {
            return Ok(Self(Vec::new()));
        }
        let names = text.split([',', ' ']).filter(|name| !name.is_empty());
        let clients = names.map(|name| Client::from_str(name, true).map_err(|_| name));
        let clients = clients.collect::<Result<Vec<_>, _>>();
        clients.map(Self).map_err(|name| {
            format!("{name:?} is none of the names that `host-runner client` lists")
        })
    }
}
