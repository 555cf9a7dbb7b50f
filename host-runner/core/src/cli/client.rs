//! The arguments of `host-runner client`.

use clap::Args;

use super::OutputArgs;
use crate::clients::Client;

/// For which client, and how it reaches the server.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The client; without it, all are listed
    pub(crate) client: Option<Client>,
    /// Put the entry into the client's file; keeps all else that is there, and a copy beside it
    #[arg(long, requires = "client")]
    pub(crate) write: bool,
    /// Replace another entry of the same name
    #[arg(long, requires = "write")]
    pub(crate) replace: bool,
    /// The name of the entry
    #[arg(long, value_name = "NAME", default_value = ENTRY, value_parser = entry_name)]
    pub(crate) name: String,
    /// Use the project's file in the working directory instead of the user's
    #[arg(long)]
    pub(crate) project: bool,
    /// Start the server in a container
    #[arg(long, conflicts_with = "http")]
    pub(crate) docker: bool,
    /// The image of the container
    #[arg(
        long,
        value_name = "IMAGE",
        default_value = "proxmox-mcp",
        requires = "docker"
    )]
    pub(crate) image: String,
    /// Connect to a server over HTTP, such as http://127.0.0.1:8080/mcp
    #[arg(long, value_name = "URL")]
    pub(crate) http: Option<String>,
    /// The environment variable with the token of the client, for a server over HTTP that
    /// requires one
    #[arg(long, value_name = "NAME", requires = "http")]
    pub(crate) token_env: Option<String>,
    /// How to print the list.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Further options of the server, such as --preset observe
    #[arg(last = true, value_name = "OPTIONS", conflicts_with = "http")]
    pub(crate) options: Vec<String>,
}

/// The name of an entry, if none is chosen.
pub(crate) const ENTRY: &str = "proxmox";

/// Some clients refuse other names, or call the tools by them.
fn entry_name(text: &str) -> Result<String, String> {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_');
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("use ASCII letters, digits, - and _ only".to_owned()),
    }
}
