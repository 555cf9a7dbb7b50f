//! Tests of the packages, as a user would handle them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::archive::{Tree, files, sha256, untar, untar_gz, unzip};
use super::materials::COMPLETIONS;
use super::mcpb;
use super::names::{Release, SERVER_NAME};
use super::session::session;
use crate::apt;
use crate::workspace::{Workspace, output};

/// More than the image may hold, not compressed.
const IMAGE_LIMIT: usize = 25_000_000;

/// Unpacks, installs, runs and removes the packages of this machine. `quick`: they have the
/// release build, which may be larger and names the folders of this machine.
pub(super) fn run(
    workspace: &Workspace,
    release: &Release,
    folder: &Path,
    quick: bool,
) -> Result<()> {
    let work = workspace.target("dist-check");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    sums(folder)?;
    tarball(release, folder, &work)?;
    bundle(release, folder, &work)?;
    registry_entry(release, folder)?;
    bill_of_materials(release, folder)?;
    let name = format!("proxmox-mcp-{}-component.oci.tar", release.version);
    layout(folder, &name, "application/vnd.wasm.config.v0+json")?;
    if release.is_linux() {
        debian(release, folder, &work)?;
        unit(workspace)?;
        image(release, folder, quick)?;
    }
    if !quick {
        no_folders(workspace, release, folder)?;
    }
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// SHA256SUMS has every file, with the digest that it has.
fn sums(folder: &Path) -> Result<()> {
    let text = fs::read_to_string(folder.join("SHA256SUMS"))?;
    let listed: BTreeSet<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once("  "))
        .collect();
    let files = files(folder)?;
    for (name, bytes) in files.iter().filter(|(name, _)| name != "SHA256SUMS") {
        ensure!(
            listed.contains(&(sha256(bytes).as_str(), name.as_str())),
            "SHA256SUMS does not list {name} with its digest"
        );
    }
    ensure!(
        listed.len() + 1 == files.len(),
        "SHA256SUMS lists files that do not exist"
    );
    passed("SHA256SUMS lists every file")
}

fn tarball(release: &Release, folder: &Path, work: &Path) -> Result<()> {
    let name = release.name();
    let file = folder.join(format!("{name}.tar.gz"));
    if !file.exists() {
        return Ok(());
    }
    let tree = untar_gz(&fs::read(file)?)?;
    let root = work.join("archive");
    unpack(&tree, &root)?;
    let files = [
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "THIRD-PARTY.txt",
        "man/host-runner.1",
        "man/host-runner-call.1",
    ];
    let completions = COMPLETIONS.map(|(_, path)| path);
    for file in files.into_iter().chain(completions) {
        let path = format!("{name}/{file}");
        ensure!(
            tree.get(&path).is_some_and(|file| !file.bytes.is_empty()),
            "the archive has no {path}"
        );
    }
    session(release, &root.join(&name).join(release.program_name()), &[])?;
    passed("the archive: unpacked and run")
}

/// The bundle is unpacked, and started in the way that its manifest says.
fn bundle(release: &Release, folder: &Path, work: &Path) -> Result<()> {
    let file = folder.join(format!("{}.mcpb", release.name()));
    let tree = unzip(&fs::read(&file)?)?;
    let root = work.join("bundle");
    unpack(&tree, &root)?;
    let manifest: Value = serde_json::from_slice(&fs::read(root.join("manifest.json"))?)?;
    ensure!(
        manifest == mcpb::manifest(release),
        "the manifest has changed in the bundle"
    );
    let server = manifest.get("server").context("no server")?;
    let entry = text(server, "/entry_point")?;
    let command = text(server, "/mcp_config/command")?;
    let program = command.replace("${__dirname}", &root.to_string_lossy());
    ensure!(
        Path::new(&program) == root.join(entry),
        "the command {command} is not the entry point {entry}"
    );
    let settings = server.pointer("/mcp_config/env").and_then(Value::as_object);
    for value in settings.into_iter().flat_map(|settings| settings.values()) {
        let key = value
            .as_str()
            .and_then(|value| value.strip_prefix("${user_config.")?.strip_suffix('}'))
            .context("a variable that is not one of the user's settings")?;
        let setting = manifest.pointer(&format!("/user_config/{key}"));
        let setting = setting.with_context(|| format!("no setting {key}"))?;
        let is_set =
            setting.get("required") == Some(&json!(true)) || setting.get("default").is_some();
        ensure!(
            is_set,
            "if {key} is not set, its placeholder would be the value"
        );
    }
    session(
        release,
        Path::new(&program),
        // As Claude Desktop passes an optional setting that the user has left empty.
        &[("PROXMOX_FINGERPRINT", "")],
    )?;
    passed("the bundle: unpacked and run as its manifest says")?;
    official(release, &file, &root)
}

/// What the format's own program says, where it can be had.
fn official(release: &Release, file: &Path, root: &Path) -> Result<()> {
    if !apt::is_on_path("npx") {
        return passed("the bundle, by its own program: skipped (no npx)");
    }
    let mcpb = |arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new("npx");
        command.args([
            "--yes",
            "--package",
            "@anthropic-ai/mcpb@2.1.2",
            "--",
            "mcpb",
        ]);
        output(command.args(arguments))
    };
    if let Err(error) = mcpb(&["--version".as_ref()]) {
        let reason = crate::npm::reason(&error);
        return passed(&format!(
            "the bundle, by its own program: skipped ({reason})"
        ));
    }
    mcpb(&["validate".as_ref(), root.join("manifest.json").as_ref()])?;
    let folder = root.with_extension("official");
    mcpb(&["unpack".as_ref(), file.as_ref(), folder.as_ref()])?;
    let program = folder.join("server").join(release.program_name());
    session(release, &program, &[])?;
    passed("the bundle: validated, unpacked and run by @anthropic-ai/mcpb")
}

fn registry_entry(release: &Release, folder: &Path) -> Result<()> {
    let entry: Value = serde_json::from_slice(&fs::read(folder.join("server.json"))?)?;
    ensure!(
        text(&entry, "/name")? == SERVER_NAME && text(&entry, "/version")? == release.version,
        "server.json has another name or version"
    );
    let length = text(&entry, "/description")?.chars().count();
    ensure!(
        length <= 100,
        "the description has {length} characters, more than 100"
    );
    let packages = entry.get("packages").and_then(Value::as_array);
    for package in packages.context("server.json has no packages")? {
        let identifier = text(package, "/identifier")?;
        match text(package, "/registryType")? {
            "oci" => ensure!(
                identifier.ends_with(&format!(":{}", release.version))
                    && package.get("version").is_none()
                    && package.get("fileSha256").is_none(),
                "an image has its version as a tag, and no other digest: {package}"
            ),
            "mcpb" => {
                let name = identifier.rsplit('/').next().unwrap_or_default();
                let digest = sha256(&fs::read(folder.join(name))?);
                ensure!(
                    text(package, "/fileSha256")? == digest,
                    "server.json has another digest for {name}"
                );
            }
            other => bail!("unknown type {other} of a package in server.json"),
        }
    }
    passed("server.json: names, versions and digests")
}

fn bill_of_materials(release: &Release, folder: &Path) -> Result<()> {
    let file = folder.join(format!("{}.cdx.json", release.name()));
    let sbom: Value = serde_json::from_slice(&fs::read(file)?)?;
    let components = sbom.get("components").and_then(Value::as_array);
    let components = components.context("the bill of materials is empty")?;
    let names: BTreeSet<&str> = components
        .iter()
        .filter_map(|component| component.get("name")?.as_str())
        .collect();
    // Of the program, of the component, and one that neither contains.
    ensure!(
        names.contains("wasmtime") && names.contains("schemars") && !names.contains("criterion"),
        "the bill of materials does not list what is linked"
    );
    let notices = folder.join(format!("{}-THIRD-PARTY.txt", release.name()));
    let notices = fs::read_to_string(notices)?;
    for name in ["wasmtime", "ring", "rustls"] {
        ensure!(notices.contains(name), "the notices do not name {name}");
    }
    passed(&format!("bill of materials: {} packages", components.len()))
}

/// The package is installed into a folder of its own, run, and removed.
fn debian(release: &Release, folder: &Path, work: &Path) -> Result<()> {
    if !apt::is_on_path("dpkg") {
        return passed("the Debian package: skipped (no dpkg)");
    }
    let root = work.join("debian");
    let database = root.join("var/lib/dpkg");
    for path in ["updates", "info"] {
        fs::create_dir_all(database.join(path))?;
    }
    fs::write(database.join("status"), "")?;
    let is_native = release.is_native()?;
    let dpkg = |arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new("dpkg");
        if !is_native {
            command.arg("--force-architecture");
        }
        command.arg(format!("--root={}", root.display()));
        command.args(["--force-script-chrootless", "--force-not-root"]);
        command.arg("--log=/dev/null");
        output(command.args(arguments))
    };
    let file = folder.join(release.deb_name());
    dpkg(&["--install".as_ref(), file.as_ref()])?;
    let unit = root.join("usr/lib/systemd/system/proxmox-mcp.service");
    ensure!(unit.is_file(), "the package has installed no unit");
    let documented = [
        "usr/share/man/man1/host-runner.1.gz",
        "usr/share/man/man1/host-runner-call.1.gz",
        "usr/share/bash-completion/completions/host-runner",
        "usr/share/zsh/vendor-completions/_host-runner",
        "usr/share/fish/vendor_completions.d/host-runner.fish",
    ];
    for path in documented {
        ensure!(root.join(path).is_file(), "the package has no {path}");
    }
    let started = text_of(&unit, "ExecStart=")?;
    let program = started.split_whitespace().next().unwrap_or_default();
    session(release, &root.join(program.trim_start_matches('/')), &[])?;
    dpkg(&["--purge".as_ref(), "proxmox-mcp".as_ref()])?;
    let files = ["usr/bin/host-runner", "usr/share/doc/proxmox-mcp"];
    for left in files.into_iter().chain(documented) {
        ensure!(
            !root.join(left).exists(),
            "{left} is left after the removal"
        );
    }
    ensure!(!unit.exists(), "the unit is left after the removal");
    passed("the Debian package: installed, run and removed")
}

/// What systemd says about the unit.
fn unit(workspace: &Workspace) -> Result<()> {
    if !apt::is_on_path("systemd-analyze") {
        return passed("the unit: skipped (no systemd-analyze)");
    }
    let file = workspace.root().join("deploy/package/proxmox-mcp.service");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--threshold=20", "--no-pager"]);
    let report = output(command.arg(&file))
        .context("systemd rates the unit as less protected than it should be")?;
    let level = report.lines().rfind(|line| line.contains("exposure level"));
    let level = level.unwrap_or_default();
    passed(level.trim_start_matches(['→', ' ']))
}

/// Every blob has the digest that it is named by, and the manifest names them all.
fn layout(folder: &Path, name: &str, config_type: &str) -> Result<Value> {
    let tree = untar(fs::read(folder.join(name))?.as_slice())?;
    let read = |path: &str| -> Result<Value> {
        let file = tree
            .get(path)
            .with_context(|| format!("{name} has no {path}"))?;
        Ok(serde_json::from_slice(&file.bytes)?)
    };
    ensure!(
        text(&read("oci-layout")?, "/imageLayoutVersion")? == "1.0.0",
        "{name} has another version of the layout"
    );
    for (path, file) in tree.iter() {
        if let Some(digest) = path.strip_prefix("blobs/sha256/") {
            ensure!(sha256(&file.bytes) == digest, "{path} has another digest");
        }
    }
    let blob = |descriptor: &Value| -> Result<String> {
        let digest = text(descriptor, "/digest")?;
        let path = format!("blobs/{}", digest.replace(':', "/"));
        let size = tree.get(&path).map(|file| file.bytes.len() as u64);
        ensure!(
            size.is_some() && size == descriptor.get("size").and_then(Value::as_u64),
            "{name} has no {path} of the size in {descriptor}"
        );
        Ok(path)
    };
    let index = read("index.json")?;
    let manifest = read(&blob(
        index.pointer("/manifests/0").context("no manifest")?,
    )?)?;
    let config = manifest.get("config").context("no configuration")?;
    ensure!(
        text(config, "/mediaType")? == config_type,
        "the configuration of {name} has another type"
    );
    let config = read(&blob(config)?)?;
    blob(manifest.pointer("/layers/0").context("no layer")?)?;
    let blobs = tree.iter().filter(|(path, _)| path.starts_with("blobs/"));
    ensure!(blobs.count() == 3, "{name} has blobs that nothing names");
    passed(&format!("{name}: digests, sizes and types"))?;
    Ok(config)
}

fn image(release: &Release, folder: &Path, quick: bool) -> Result<()> {
    let name = format!("{}-image.oci.tar", release.name());
    let config = layout(folder, &name, "application/vnd.oci.image.config.v1+json")?;
    ensure!(
        text(&config, "/config/User")? == "65532:65532",
        "the image runs as another user"
    );
    let tree = untar(fs::read(folder.join(&name))?.as_slice())?;
    let layers = tree
        .iter()
        .filter_map(|(_, file)| untar_gz(&file.bytes).ok());
    let layer = layers
        .max_by_key(Tree::size)
        .context("the image has no layer")?;
    let size = layer.size();
    ensure!(
        quick || size <= IMAGE_LIMIT,
        "the image has {size} bytes, more than {IMAGE_LIMIT}"
    );
    ensure!(
        layer
            .get("usr/local/bin/host-runner")
            .is_some_and(|file| file.mode == 0o555),
        "the image has no host-runner"
    );
    passed(&format!("the image: {size} bytes, not compressed"))
}

/// The folders of this machine are not in the program.
fn no_folders(workspace: &Workspace, release: &Release, folder: &Path) -> Result<()> {
    let bundle = unzip(&fs::read(folder.join(format!("{}.mcpb", release.name())))?)?;
    let program = bundle.get(&format!("server/{}", release.program_name()));
    let program = &program.context("no program")?.bytes;
    let home = std::env::home_dir().context("no home directory")?;
    let mut patterns = vec![workspace.root().to_string_lossy().into_owned()];
    patterns.push(format!("{}/.", home.display()));
    let search = aho_corasick::AhoCorasick::new(&patterns)?;
    if let Some(found) = search.find(program) {
        let from = found.start();
        let context: Vec<u8> = program.iter().skip(from).take(100).copied().collect();
        bail!(
            "the program names a folder of this machine: {}",
            String::from_utf8_lossy(&context)
        );
    }
    passed("the program names no folder of this machine")
}

fn unpack(tree: &Tree, root: &Path) -> Result<()> {
    for (path, file) in tree.iter() {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &file.bytes)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
        }
    }
    Ok(())
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.with_context(|| format!("no text at {pointer} in {value}"))
}

/// The rest of the first line that begins like this.
fn text_of(file: &Path, start: &str) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    Ok(line.with_context(|| format!("no line {start}"))?.to_owned())
}

fn passed(what: &str) -> Result<()> {
    eprintln!("  {what}");
    Ok(())
}
