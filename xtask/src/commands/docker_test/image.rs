//! What an image is made of.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::buildah::Buildah;
use crate::workspace::{output, utf8};

/// An image, taken apart.
pub(super) struct Image {
    config: Value,
    layers: Vec<u64>,
    files: Vec<File>,
}

/// A file in one of the layers.
pub(super) struct File {
    /// As `ls -l` shows it.
    pub(super) mode: String,
    /// User and group, `0/0`.
    pub(super) owner: String,
    pub(super) size: u64,
    /// Without a slash before it; folders end in one.
    pub(super) path: String,
}

impl Image {
    pub(super) fn read(buildah: &Buildah, name: &str) -> Result<Self> {
        let folder = buildah.empty_folder("image")?;
        let destination = format!("dir:{}", utf8(&folder)?);
        output(buildah.command("push").args([
            "--quiet",
            "--disable-compression",
            name,
            &destination,
        ]))?;
        let json = |file: &str| -> Result<Value> {
            let path = folder.join(file);
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_slice(&bytes).with_context(|| format!("{file} is not JSON"))
        };
        let blob = |value: &Value| {
            value
                .get("digest")
                .and_then(Value::as_str)
                .and_then(|digest| digest.strip_prefix("sha256:"))
                .map(str::to_owned)
                .context("the image's manifest names something without a digest")
        };
        let manifest = json("manifest.json")?;
        let config = json(&blob(manifest.get("config").unwrap_or(&Value::Null))?)?;

        let mut layers = Vec::new();
        let mut files = Vec::new();
        for layer in manifest
            .get("layers")
            .and_then(Value::as_array)
            .context("the image's manifest has no layers")?
        {
            let path = folder.join(blob(layer)?);
            layers.push(fs::metadata(&path)?.len());
            let list = output(
                Command::new("tar")
                    .args(["--numeric-owner", "--list", "--verbose", "--file"])
                    .arg(&path),
            )?;
            for line in list.lines() {
                files.push(
                    File::parse(line).with_context(|| format!("tar shows a file as {line:?}"))?,
                );
            }
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self {
            config,
            layers,
            files,
        })
    }

    /// All layers, not compressed.
    pub(super) fn size(&self) -> u64 {
        self.layers.iter().sum()
    }

    pub(super) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Of all layers, by path.
    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    /// A setting for the containers.
    pub(super) fn config(&self, pointer: &str) -> Option<&Value> {
        self.config.pointer(&format!("/config{pointer}"))
    }

    /// A setting that is a text, empty where there is none.
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.config(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The program that a container runs.
    pub(super) fn entrypoint(&self) -> Result<Vec<String>> {
        self.config("/Entrypoint")
            .and_then(Value::as_array)
            .and_then(|words| {
                words
                    .iter()
                    .map(|word| word.as_str().map(str::to_owned))
                    .collect()
            })
            .context("the image has no entrypoint")
    }
}

impl File {
    /// `-r--r--r-- 0/0  17 2026-11-22 19:06 etc/nsswitch.conf`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            mode: words.next()?.to_owned(),
            owner: words.next()?.to_owned(),
            size: words.next()?.parse().ok()?,
            // After date and time.
            path: words.skip(2).collect::<Vec<_>>().join(" "),
        })
    }
}
