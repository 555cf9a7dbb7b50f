//! What every archive of a release contains besides the program: licenses of all code in
//! it, the list of that code, and the documentation of the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::archive::{Tree, files, sha256};
use super::names::Release;
use crate::workspace::{WASM_TARGET, Workspace, output};

/// A package that is a part of the program or of the component in it.
struct Package {
    name: String,
    version: String,
    license: String,
    repository: String,
    checksum: Option<String>,
    /// Texts of its licenses, by the name of the file.
    texts: BTreeMap<String, String>,
    is_ours: bool,
}

/// The packages of a release.
pub(super) struct Packages(Vec<Package>);

impl Packages {
    /// Asks cargo which packages are linked: into the program, and into the component.
    pub(super) fn find(workspace: &Workspace, target: &str) -> Result<Self> {
        let mut ids = linked(
            workspace,
            &[
                "--package",
                "host-runner",
                "--no-default-features",
                "--features",
                "demo",
            ],
            target,
        )?;
        ids.extend(linked(
            workspace,
            &["--package", "proxmox-mcp"],
            WASM_TARGET,
        )?);
        let mut command = workspace.cargo(["metadata", "--locked", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&output(&mut command)?)?;
        let checksums = checksums(&workspace.root().join("Cargo.lock"))?;
        let mut packages = Vec::new();
        for package in array(&metadata, "packages") {
            let id = (text(package, "name"), text(package, "version"));
            if ids.contains(&id) {
                packages.push(Package::read(package, checksums.get(&id).cloned())?);
            }
        }
        packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        Ok(Self(packages))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The bill of materials, in CycloneDX 1.5.
    pub(super) fn sbom(&self, release: &Release) -> Result<String> {
        let components: Vec<Value> = self
            .0
            .iter()
            .map(|package| {
                let mut component = json!({
                    "type": "library",
                    "bom-ref": package.purl(),
                    "name": package.name,
                    "version": package.version,
                    "licenses": [{ "expression": package.license.replace('/', " OR ") }],
                    "purl": package.purl(),
                });
                if let (Some(sum), Some(members)) = (&package.checksum, component.as_object_mut()) {
                    members.insert(
                        "hashes".to_owned(),
                        json!([{ "alg": "SHA-256", "content": sum }]),
                    );
                }
                component
            })
            .collect();
        let sbom = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": { "component": {
                "type": "application",
                "bom-ref": format!("proxmox-mcp@{}", release.version),
                "name": "proxmox-mcp",
                "version": release.version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            }},
            "components": components,
        });
        Ok(serde_json::to_string_pretty(&sbom)? + "\n")
    }

    /// The licenses of all packages that are not ours, each text once.
    pub(super) fn notices(&self) -> String {
        let mut users: BTreeMap<String, (&str, Vec<String>)> = BTreeMap::new();
        let mut list = String::new();
        for package in self.0.iter().filter(|package| !package.is_ours) {
            let id = format!("{} {}", package.name, package.version);
            list += &format!("{id} — {} — {}\n", package.license, package.repository);
            for text in package.texts.values() {
                let entry = users.entry(sha256(text.as_bytes()));
                entry.or_insert((text, Vec::new())).1.push(id.clone());
            }
        }
        let mut notices = format!(
            "Third-party software in proxmox-mcp\n\n\
             The program also contains Rust's standard library (MIT OR Apache-2.0, \
             https://github.com/rust-lang/rust) and, on Linux, the GNU C Library \
             (LGPL-2.1-or-later, https://sourceware.org/glibc). To link it with another \
             version of the library, build it with `cargo xtask dist`.\n\n{list}"
        );
        let mut texts: Vec<_> = users.into_values().collect();
        texts.sort_by(|a, b| a.1.cmp(&b.1));
        for (text, packages) in texts {
            notices += &format!(
                "\n{}\n{}\n\n{}\n",
                "=".repeat(80),
                packages.join(", "),
                text
            );
        }
        notices
    }
}

impl Package {
    fn read(package: &Value, checksum: Option<String>) -> Result<Self> {
        let manifest = text(package, "manifest_path");
        let folder = Path::new(&manifest).parent().context("no folder")?;
        let mut texts = BTreeMap::new();
        for entry in fs::read_dir(folder)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_license = [
                "LICENSE",
                "LICENCE",
                "COPYING",
                "COPYRIGHT",
                "NOTICE",
                "UNLICENSE",
            ]
            .iter()
            .any(|start| name.to_uppercase().starts_with(start));
            if is_license && let Ok(text) = fs::read_to_string(entry.path()) {
                texts.insert(name, text.trim().replace("\r\n", "\n"));
            }
        }
        Ok(Self {
            name: text(package, "name"),
            version: text(package, "version"),
            license: text(package, "license"),
            repository: text(package, "repository"),
            is_ours: checksum.is_none(),
            checksum,
            texts,
        })
    }

    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// Name and version of what is linked, without procedural macros and build scripts.
fn linked(
    workspace: &Workspace,
    selection: &[&str],
    target: &str,
) -> Result<BTreeSet<(String, String)>> {
    let mut command = workspace.cargo(["tree", "--locked", "--target", target]);
    command.args(["--edges", "normal,no-proc-macro", "--prefix", "none"]);
    command.args(["--format", "{p}"]).args(selection);
    let tree = output(&mut command)?;
    Ok(tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next()?, words.next()?);
            Some((name.to_owned(), version.strip_prefix('v')?.to_owned()))
        })
        .collect())
}

/// The digests of packages in the lock file. Those of the checkout have none.
fn checksums(lock: &Path) -> Result<BTreeMap<(String, String), String>> {
    let lock = fs::read_to_string(lock).context("cannot read Cargo.lock")?;
    let mut sums = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.map(|value| value.trim_matches(['=', ' ', '"']).to_owned())
        };
        if let (Some(name), Some(version), Some(sum)) =
            (value("name "), value("version "), value("checksum "))
        {
            sums.insert((name, version), sum);
        }
    }
    Ok(sums)
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Where an archive has the completions for these shells.
pub(super) const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "completions/bash/host-runner"),
    ("zsh", "completions/zsh/_host-runner"),
    ("fish", "completions/fish/host-runner.fish"),
];

/// Completions for shells, and a manual page for each command.
pub(super) fn command_line(workspace: &Workspace, program: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    for (shell, path) in COMPLETIONS {
        let script = output(Command::new(program).args(["completions", shell]))?;
        tree.file(path, script);
    }
    let folder = workspace.target("dist-man");
    let _ = fs::remove_dir_all(&folder);
    output(Command::new(program).args(["man", "--out"]).arg(&folder))?;
    for (name, page) in files(&folder)? {
        tree.file(&format!("man/{name}"), page);
    }
    Ok(tree)
}
