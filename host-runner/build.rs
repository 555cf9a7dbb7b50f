//! Embeds the component, and the same precompiled where it is at hand, both
//! packed by LZ4.
//!
//! `PROXMOX_MCP_COMPONENT` and `PROXMOX_MCP_COMPONENT_CWASM` name the files;
//! otherwise they are where `cargo xtask build` puts them. A build without
//! them makes a `host-runner` that needs `--component`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Begins what `host-runner precompile` writes; the component's SHA-256
/// follows, then the code.
const MAGIC: &[u8; 8] = b"PMCWASM\x01";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!(
        "cargo::rustc-env=HOST_RUNNER_TARGET={}",
        env::var("TARGET")?
    );

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let wasm = read("PROXMOX_MCP_COMPONENT", "proxmox_mcp.wasm")?;
    let precompiled = read("PROXMOX_MCP_COMPONENT_CWASM", "proxmox_mcp.cwasm")?;
    let precompiled = match (&wasm, &precompiled) {
        (Some(wasm), Some(file)) => made_from(wasm, file),
        _ => None,
    };
    let declarations = [
        declare(&out, "WASM", wasm.as_deref())?,
        declare(&out, "PRECOMPILED", precompiled)?,
    ];
    fs::write(out.join("embedded.rs"), declarations.concat())?;
    Ok(())
}

/// The file that the variable names, or the one in its usual place. Only the
/// latter may be missing.
fn read(variable: &str, name: &str) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={variable}");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let named = env::var_os(variable).filter(|value| !value.is_empty());
    let path = match &named {
        Some(path) => PathBuf::from(path),
        None => env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| PathBuf::from("../target"), PathBuf::from)
            .join("wasm32-wasip2/component")
            .join(name),
    };
    println!("cargo::rerun-if-changed={}", path.display());
    if named.is_none() && !path.exists() {
        return Ok(None);
    }
    let bytes =
        fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(Some(bytes))
}

/// The code in a precompiled file, if it was made from this component.
fn made_from<'a>(wasm: &[u8], file: &'a [u8]) -> Option<&'a [u8]> {
    let digest = Sha256::digest(wasm);
    file.strip_prefix(MAGIC)?.strip_prefix(digest.as_slice())
}

fn declare(out: &Path, name: &str, bytes: Option<&[u8]>) -> Result<String, Box<dyn Error>> {
    let kind = "Option<&'static [u8]>";
    let Some(bytes) = bytes else {
        return Ok(format!("const {name}: {kind} = None;\n"));
    };
    let path = out.join(name.to_lowercase());
    fs::write(&path, lz4_flex::compress_prepend_size(bytes))?;
    Ok(format!(
        "const {name}: {kind} = Some(include_bytes!({path:?}));\n"
    ))
}
