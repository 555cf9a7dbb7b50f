//! The examples in the documentation are run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// The pages with examples: those in `docs/` and README.md.
fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md")];
    for folder in ["docs", "docs/fr"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}

/// host-runner in a folder of its own, without the settings of whoever runs the test; it
/// prints what it prints on a terminal.
fn shell(folder: &Path, line: &str) -> anyhow::Result<std::process::Output> {
    let host_runner = harness::target_dir()?.join("release/host-runner");
    let host_runner = host_runner.display().to_string();
    let script = line.replacen("host-runner", &host_runner, 1);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PROXMOX_") {
            command.env_remove(name);
        }
    }
    command
        .env("PROXMOX_MCP_OUTPUT", "table")
        .output()
        .with_context(|| format!("cannot run {line}"))
}

/// Each block of a page: its language and its text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut parts = page.split("```");
    parts.next();
    let mut blocks = Vec::new();
    while let Some(block) = parts.next() {
        if let Some(block) = block.split_once('\n') {
            blocks.push(block);
        }
        parts.next();
    }
    blocks
}

/// A block `console` shows commands and exactly what they print on stdout. The policy
/// `policy.toml` is the block `toml` before it.
#[test]
fn every_console_prints_what_the_page_shows() -> anyhow::Result<()> {
    let mut seen = 0;
    for page in pages()? {
        let text = std::fs::read_to_string(&page)?;
        let folder = tempfile::tempdir()?;
        for (language, block) in blocks(&text) {
            if language == "toml" {
                std::fs::write(folder.path().join("policy.toml"), block)?;
            }
            if language != "console" {
                continue;
            }
            for example in block.split("$ host-runner").skip(1) {
                let (command, shown) = example.split_once('\n').context("no output")?;
                let output = shell(folder.path(), &format!("host-runner{command}"))?;
                let printed = String::from_utf8(output.stdout)?;
                assert_eq!(
                    printed.trim_end(),
                    shown.trim_end(),
                    "{}: {command}\n{}",
                    page.display(),
                    String::from_utf8_lossy(&output.stderr)
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
    Ok(())
}

/// A command of a block `sh` is one that host-runner understands: with `--help` behind
/// its flags, it reads them and does nothing.
#[test]
fn every_command_is_understood() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut seen = 0;
    let mut wrong = Vec::new();
    for page in pages()? {
        let text = std::fs::read_to_string(&page)?;
        for (language, block) in blocks(&text) {
            if language != "sh" {
                continue;
            }
            let block = block.replace("\\\n", " ");
            for line in block.lines() {
                let line = line.trim_start_matches("target/release/");
                if !line.starts_with("host-runner ") {
                    continue;
                }
                let line = line.split("  # ").next().unwrap_or(line).trim_end();
                let line = line.split(" > ").next().unwrap_or(line);
                let output = shell(folder.path(), &format!("{line} --help"))?;
                if !output.status.success() {
                    let error = String::from_utf8_lossy(&output.stderr);
                    wrong.push(format!("{}: {line}\n{error}", page.display()));
                }
                seen += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 15, "{seen}");
    Ok(())
}
