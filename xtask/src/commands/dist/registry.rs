//! `server.json`, the entry of the MCP registry.

use serde_json::{Value, json};

use super::archive::sha256;
use super::names::{REPOSITORY, Release, SERVER_NAME};

/// The entry: the bundles with their digests, and the image, if it is known under which name
/// it is pushed.
pub(super) fn server_json(
    release: &Release,
    bundles: &[(String, Vec<u8>)],
    image: Option<&str>,
) -> Value {
    let variable = |name: &str, description: &str, secret: bool| {
        json!({
            "name": name, "description": description, "isRequired": true, "isSecret": secret,
        })
    };
    let variables = json!([
        variable("PROXMOX_URL", "Address of the Proxmox VE web interface", false),
        variable("PROXMOX_USER", "User that owns the API token, such as mcp@pve", false),
        variable("PROXMOX_TOKEN_ID", "Name of the API token", false),
        variable("PROXMOX_TOKEN_SECRET", "Secret of the API token", true),
        {
            "name": "PROXMOX_FINGERPRINT",
            "description": "SHA-256 fingerprint of the certificate, if it is not trusted otherwise",
            "isRequired": false,
            "isSecret": false,
        },
    ]);
    let version = &release.version;
    let of_image = |image: &str| {
        json!({
            "registryType": "oci",
            "identifier": format!("{image}:{version}"),
            "transport": { "type": "stdio" },
            "environmentVariables": variables,
        })
    };
    let mut packages: Vec<Value> = image.map(of_image).into_iter().collect();
    for (name, bytes) in bundles {
        packages.push(json!({
            "registryType": "mcpb",
            "identifier": format!("{REPOSITORY}/releases/download/v{version}/{name}"),
            "fileSha256": sha256(bytes),
            "transport": { "type": "stdio" },
            "environmentVariables": variables,
        }));
    }
    json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": SERVER_NAME,
        "title": "Proxmox VE",
        "description": "Inspect and manage a Proxmox VE cluster, within a policy that you set",
        "version": version,
        "repository": { "url": REPOSITORY, "source": "github" },
        "packages": packages,
    })
}
