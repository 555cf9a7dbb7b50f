//! OCI layouts: the image as the Dockerfile makes it, and the component as an artifact.
//! Registries get them by `skopeo copy oci-archive:FILE docker://…` or `oras cp`.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::archive::{Tree, gzip, sha256, tar};
use super::contents::Contents;
use super::names::{REPOSITORY, Release, SERVER_NAME};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The image, with the same files and settings as that of the Dockerfile.
pub(super) fn image(release: &Release, contents: &Contents) -> Result<Vec<u8>> {
    let mut files = Tree::default();
    let mut add = |path: &str, bytes: &[u8], mode| files.add(path, bytes.to_vec(), mode);
    add("usr/local/bin/host-runner", &contents.program, 0o555);
    add("etc/nsswitch.conf", b"hosts: files dns\n", 0o444);
    let certificates = contents.certificates.as_deref();
    let certificates = certificates.context(
        "this machine has no /etc/ssl/certs/ca-certificates.crt for the image: install the \
         package ca-certificates",
    )?;
    add("etc/ssl/certs/ca-certificates.crt", certificates, 0o444);
    for (name, bytes) in &contents.licenses {
        add(
            &format!("usr/share/licenses/proxmox-mcp/{name}"),
            bytes,
            0o444,
        );
    }
    add(
        "usr/share/licenses/proxmox-mcp/THIRD-PARTY.txt",
        contents.notices.as_bytes(),
        0o444,
    );
    let layer = tar(&files, "", release.time)?;
    let config = json!({
        "created": release.timestamp,
        "architecture": release.oci_architecture(),
        "os": "linux",
        "config": {
            "User": "65532:65532",
            "Entrypoint": ["/usr/local/bin/host-runner"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "proxmox-mcp",
                "org.opencontainers.image.description":
                    "MCP server for Proxmox VE, with its tools in a sandbox",
                "org.opencontainers.image.version": release.version,
                "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
                "org.opencontainers.image.source": REPOSITORY,
                "io.modelcontextprotocol.server.name": SERVER_NAME,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
        "history": [{ "created": release.timestamp, "created_by": "cargo xtask dist" }],
    });
    layout(
        release,
        ("application/vnd.oci.image.config.v1+json", config),
        ("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&layer)?),
        Some(json!({ "architecture": release.oci_architecture(), "os": "linux" })),
    )
}

/// The component, as registries of WebAssembly components hold it.
pub(super) fn component(release: &Release, wasm: &[u8]) -> Result<Vec<u8>> {
    let digest = format!("sha256:{}", sha256(wasm));
    let config = json!({
        "created": release.timestamp,
        "author": "The proxmox-mcp authors",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [digest],
    });
    layout(
        release,
        ("application/vnd.wasm.config.v0+json", config),
        ("application/wasm", wasm.to_vec()),
        None,
    )
}

/// A tar archive of a layout with one manifest, tagged with the version.
fn layout(
    release: &Release,
    (config_type, config): (&str, Value),
    (layer_type, layer): (&str, Vec<u8>),
    platform: Option<Value>,
) -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    let mut blob = |kind: &str, bytes: Vec<u8>| {
        let (digest, size) = (sha256(&bytes), bytes.len());
        tree.file(&format!("blobs/sha256/{digest}"), bytes);
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": size })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(config_type, serde_json::to_vec(&config)?),
        "layers": [blob(layer_type, layer)],
        "annotations": {
            "org.opencontainers.image.version": release.version,
            "org.opencontainers.image.source": REPOSITORY,
        },
    });
    let mut entry = blob(MANIFEST, serde_json::to_vec(&manifest)?);
    if let Some(entry) = entry.as_object_mut() {
        let tag = json!({ "org.opencontainers.image.ref.name": release.version });
        entry.insert("annotations".to_owned(), tag);
        if let Some(platform) = platform {
            entry.insert("platform".to_owned(), platform);
        }
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    tree.file("index.json", serde_json::to_vec(&index)?);
    tree.file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    tar(&tree, "", release.time)
}
