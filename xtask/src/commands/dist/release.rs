//! The files that are written for a release.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::archive::{Tree, files, gzip, sha256, tar, zip};
use super::contents::Contents;
use super::names::Release;
use super::{deb, mcpb, oci, registry};
use crate::commands::setup::Toolchain;
use crate::table;
use crate::workspace::Workspace;

/// Writes the files of a release, and removes those of earlier ones.
pub(super) fn write(
    workspace: &Workspace,
    release: &Release,
    contents: &Contents,
    folder: &Path,
) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let name = release.name();
    let put = |file: &str, bytes: &[u8]| {
        fs::write(folder.join(file), bytes).with_context(|| format!("cannot write {file}"))
    };
    let tree = archive(release, contents);
    match release.system() {
        "windows" => put(&format!("{name}.zip"), &zip(&tree)?)?,
        _ => put(
            &format!("{name}.tar.gz"),
            &gzip(&tar(&tree, &format!("{name}/"), release.time)?)?,
        )?,
    }
    put(&format!("{name}.mcpb"), &mcpb::build(release, contents)?)?;
    if release.is_linux() {
        put(&release.deb_name(), &deb::build(release, contents)?)?;
        put(
            &format!("{name}-image.oci.tar"),
            &oci::image(release, contents)?,
        )?;
    }
    let component = format!("proxmox-mcp-{}-component", release.version);
    put(&format!("{component}.wasm"), &contents.component)?;
    put(
        &format!("{component}.oci.tar"),
        &oci::component(release, &contents.component)?,
    )?;
    put(&format!("{name}.cdx.json"), contents.sbom.as_bytes())?;
    put(
        &format!("{name}-THIRD-PARTY.txt"),
        contents.notices.as_bytes(),
    )?;
    join(workspace, folder)
}

/// The archive for an installation by hand.
fn archive(release: &Release, contents: &Contents) -> Tree {
    let mut tree = contents.command_line.clone();
    tree.program(release.program_name(), contents.program.clone());
    for (name, bytes) in &contents.licenses {
        tree.file(name, bytes.clone());
    }
    tree.file("README.md", contents.readme.clone());
    tree.file("env.example", contents.env_example.clone());
    tree.file("THIRD-PARTY.txt", contents.notices.clone());
    if release.is_linux() {
        tree.file("proxmox-mcp.service", contents.unit.clone());
    }
    tree
}

/// The variable with the name of the image in the registry that a release pushes it to,
/// without a tag.
const IMAGE: &str = "PROXMOX_MCP_DIST_IMAGE";

/// Writes what depends on all files of a release: `server.json` and `SHA256SUMS`.
pub(super) fn join(workspace: &Workspace, folder: &Path) -> Result<()> {
    let release = Release::of(workspace, &Toolchain::find()?.host)?;
    let bundles: Vec<(String, Vec<u8>)> = files(folder)?
        .into_iter()
        .filter(|(name, _)| name.ends_with(".mcpb"))
        .collect();
    ensure!(
        !bundles.is_empty(),
        "{} has no bundle (.mcpb)",
        folder.display()
    );
    let image = std::env::var(IMAGE).ok().filter(|image| !image.is_empty());
    let entry = registry::server_json(&release, &bundles, image.as_deref());
    fs::write(
        folder.join("server.json"),
        serde_json::to_string_pretty(&entry)? + "\n",
    )?;
    let sums: String = files(folder)?
        .iter()
        .filter(|(name, _)| name != "SHA256SUMS")
        .map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes)))
        .collect();
    fs::write(folder.join("SHA256SUMS"), sums)?;
    Ok(())
}

/// Prints the files with sizes and digests.
#[expect(clippy::print_stdout, reason = "the files are what was asked for")]
pub(super) fn report(folder: &Path) -> Result<()> {
    println!("{}", folder.display());
    for (name, bytes) in files(folder)? {
        let size = table::bytes(bytes.len() as f64);
        println!("  {:>9}  {}  {name}", size, sha256(&bytes));
    }
    Ok(())
}
