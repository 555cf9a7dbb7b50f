//! The bundle that Claude Desktop installs by a double click. It is not signed: its
//! signatures go behind the zip archive, which then is not one for Claude Desktop.

use anyhow::Result;
use serde_json::{Value, json};

use super::archive::{Tree, zip};
use super::contents::Contents;
use super::names::{REPOSITORY, Release};

/// What the manifest says, in version 0.3 of the format.
pub(super) fn manifest(release: &Release) -> Value {
    let program = format!("server/{}", release.program_name());
    json!({
        "manifest_version": "0.3",
        "name": "proxmox-mcp",
        "display_name": "Proxmox VE",
        "version": release.version,
        "description": "Inspect and manage a Proxmox VE cluster, within a policy that you set",
        "author": { "name": "The proxmox-mcp authors" },
        "repository": { "type": "git", "url": REPOSITORY },
        "license": "MIT OR Apache-2.0",
        "keywords": ["proxmox", "virtualization", "virtual machines", "containers"],
        "server": {
            "type": "binary",
            "entry_point": program,
            "mcp_config": {
                "command": format!("${{__dirname}}/{program}"),
                "args": [],
                "env": {
                    "PROXMOX_URL": "${user_config.url}",
                    "PROXMOX_USER": "${user_config.user}",
                    "PROXMOX_TOKEN_ID": "${user_config.token_id}",
                    "PROXMOX_TOKEN_SECRET": "${user_config.token_secret}",
                    "PROXMOX_FINGERPRINT": "${user_config.fingerprint}",
                },
            },
        },
        "tools_generated": true,
        "compatibility": { "platforms": [release.platform()] },
        "user_config": {
            "url": {
                "type": "string", "title": "Address", "required": true,
                "description": "Address of the Proxmox VE web interface, such as https://192.0.2.10:8006",
            },
            "user": {
                "type": "string", "title": "User", "required": true,
                "description": "User that owns the API token, such as mcp@pve",
            },
            "token_id": {
                "type": "string", "title": "Token name", "required": true,
                "description": "Name of the API token, such as assistant",
            },
            "token_secret": {
                "type": "string", "title": "Token secret", "required": true, "sensitive": true,
                "description": "The secret that Proxmox VE showed when the token was created",
            },
            // Without a default, Claude Desktop would pass the placeholder as it is.
            "fingerprint": {
                "type": "string", "title": "Certificate fingerprint", "required": false,
                "default": "",
                "description": "SHA-256 fingerprint of the certificate, if it is not signed by an \
                                authority that this computer trusts: `pvenode cert info` shows it",
            },
        },
    })
}

/// The bundle.
pub(super) fn build(release: &Release, contents: &Contents) -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    tree.file(
        "manifest.json",
        serde_json::to_string_pretty(&manifest(release))? + "\n",
    );
    tree.program(
        &format!("server/{}", release.program_name()),
        contents.program.clone(),
    );
    for (name, bytes) in &contents.licenses {
        tree.file(name, bytes.clone());
    }
    tree.file("THIRD-PARTY.txt", contents.notices.clone());
    zip(&tree)
}
