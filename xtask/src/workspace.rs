//! Where things are, and how cargo is called.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The target that components are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// The checkout and its build directory.
#[derive(Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    /// The `host-runner` to run, if it is not the one of the release build.
    host_runner: Option<PathBuf>,
}

impl Workspace {
    /// Asks cargo, since configuration and `CARGO_TARGET_DIR` both move the
    /// build directory.
    pub(crate) fn find() -> Result<Self> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let text = output(&mut command)?;
        let metadata: serde_json::Value =
            serde_json::from_str(&text).context("cannot read what `cargo metadata` printed")?;
        let path = |key: &str| {
            metadata
                .get(key)
                .and_then(|value| value.as_str())
                .map(PathBuf::from)
                .with_context(|| format!("`cargo metadata` gave no {key}"))
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            host_runner: None,
        })
    }

    /// The same, with another `host-runner` than the one of the release build.
    pub(crate) fn running(&self, host_runner: PathBuf) -> Self {
        Self {
            host_runner: Some(host_runner),
            ..self.clone()
        }
    }

    /// Another checkout, with its own build directory in the usual place.
    pub(crate) fn at(&self, root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            target: root.join("target"),
            host_runner: None,
        }
    }

    /// The `host-runner` to run.
    pub(crate) fn host_runner(&self) -> PathBuf {
        let built = || self.binary("host-runner");
        self.host_runner.clone().unwrap_or_else(built)
    }

    /// The top of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the build directory.
    pub(crate) fn target(&self, path: impl AsRef<Path>) -> PathBuf {
        self.target.join(path)
    }

    /// A built component, by the file name of its crate.
    pub(crate) fn component(&self, file: &str) -> PathBuf {
        self.target(WASM_TARGET).join("component").join(file)
    }

    /// The release binary of this name.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target("release")
            .join(name)
            .with_extension(env::consts::EXE_EXTENSION)
    }

    /// A cargo command in the checkout.
    pub(crate) fn cargo<I, S>(&self, args: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = cargo();
        command.current_dir(&self.root).args(args);
        match self.target == self.root.join("target") {
            true => command.env_remove("CARGO_TARGET_DIR"),
            // host-runner's build script looks for the component there.
            false => command.env("CARGO_TARGET_DIR", &self.target),
        };
        command
    }

    /// A cargo command that builds components.
    ///
    /// Cargo ignores the flags of `.cargo/config.toml` if `RUSTFLAGS` is set, so the
    /// flags of that are passed as configuration, which is appended to the file's.
    pub(crate) fn cargo_component(&self, subcommand: &str) -> Command {
        let mut command = self.cargo([
            subcommand,
            "--profile",
            "component",
            "--target",
            WASM_TARGET,
        ]);
        let mut flags = environment_flags();
        for name in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
            command.env_remove(name);
        }
        // The component and its digest are the same wherever it is built.
        flags.extend(self.remap_flags());
        // A list of JSON is one of TOML.
        let list = serde_json::Value::from(flags);
        command.args([
            "--config",
            &format!("target.{WASM_TARGET}.rustflags={list}"),
        ]);
        command
    }

    /// Flags of rustc that keep the folders of this machine out of what it compiles:
    /// messages of panics would name the source files with their full paths.
    ///
    /// `/src` stands for the checkout and `/cargo` for every registry's sources, whose
    /// folder has another name where cargo uses a mirror.
    pub(crate) fn remap_flags(&self) -> Vec<String> {
        let mut folders = Vec::new();
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(env::home_dir()?.join(".cargo")));
        if let Some(home) = home {
            folders.push((home.clone(), "/cargo"));
            let registries = fs::read_dir(home.join("registry/src"));
            let mut registries: Vec<PathBuf> = registries
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            registries.sort();
            folders.extend(registries.into_iter().map(|folder| (folder, "/cargo")));
        }
        // Of several that fit, rustc takes the last.
        folders.push((self.root.clone(), "/src"));
        folders.push((self.target.clone(), "/src/target"));
        folders
            .iter()
            .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
            .collect()
    }
}

/// The flags of rustc that the environment asks for.
pub(crate) fn environment_flags() -> Vec<String> {
    rust_flags(
        env::var("CARGO_ENCODED_RUSTFLAGS").ok().as_deref(),
        env::var("RUSTFLAGS").ok().as_deref(),
    )
}

/// The flags in these variables, of which cargo takes the first that is set.
fn rust_flags(encoded: Option<&str>, plain: Option<&str>) -> Vec<String> {
    let (text, separator) = match encoded {
        Some(encoded) => (encoded, '\u{1f}'),
        None => (plain.unwrap_or_default(), ' '),
    };
    let flags = text.split(separator).map(str::trim);
    flags
        .filter(|flag| !flag.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Cargo, as a user's shell would start it.
///
/// `cargo run` describes this crate to us by variables that build scripts
/// (ring's, for one) watch: passed on, they would make cargo rebuild what a
/// plain `cargo build` has just built.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text.starts_with("CARGO_BIN_")
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command whose output the user sees.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command quietly and returns its standard output. What it said on
/// stderr ends up in the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        bail!(
            "{} failed ({}): {}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| {
        format!(
            "{} printed something that is not UTF-8 text",
            shown(command)
        )
    })
}

/// Whether this program runs as root.
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut text = format!("`{}", name.to_string_lossy());
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text.push('`');
    text
}

/// A path as a part of an argument. Fails where it is not UTF-8.
pub(crate) fn utf8(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8 text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_cargo_does() {
        assert!(rust_flags(None, None).is_empty());
        assert_eq!(
            rust_flags(None, Some(" -Dwarnings  -C debuginfo=0 ")),
            ["-Dwarnings", "-C", "debuginfo=0"]
        );
        assert_eq!(
            rust_flags(Some("--cfg\u{1f}a=\"b c\""), Some("-Dwarnings")),
            ["--cfg", "a=\"b c\""]
        );
        assert!(rust_flags(Some(""), Some("-Dwarnings")).is_empty());
    }

    #[test]
    fn a_component_is_built_with_the_flags_of_the_configuration() {
        let workspace = Workspace {
            host_runner: None,
            root: PathBuf::from("/"),
            target: PathBuf::from("/target"),
        };
        let command = workspace.cargo_component("rustc");
        // Set, they would replace those of the configuration.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            assert!(
                command
                    .get_envs()
                    .any(|(key, value)| key == name && value.is_none())
            );
        }
    }
}
