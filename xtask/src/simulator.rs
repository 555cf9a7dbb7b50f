//! A running pve-sim, and how host-runner is pointed at it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// Ends with its owner.
pub(crate) struct Simulator {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    folder: PathBuf,
    settings: Settings,
}

impl Simulator {
    /// The demonstration cluster.
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        Self::start_with(workspace, ["--demo"])
    }

    /// The cluster that these arguments ask for.
    pub(crate) fn start_with<I, S>(workspace: &Workspace, arguments: I) -> Result<Self>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        // Each has a certificate authority of its own.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        let folder = workspace.target("simulated").join(number);
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(workspace.binary("pve-sim"));
        command
            .args(["--tls", "--exit-on-eof", "--ca-out"])
            .arg(folder.join("ca.pem"))
            .args(arguments);
        Self::spawn(workspace, &mut command)
    }

    fn spawn(workspace: &Workspace, command: &mut Command) -> Result<Self> {
        let folder = workspace.target("simulated");
        fs::create_dir_all(&folder)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start pve-sim")?;
        let ready = connect(&mut child);
        let (stdin, stdout, settings) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self {
            child,
            stdin,
            stdout,
            folder,
            settings,
        })
    }

    /// The cluster that these arguments ask for, without TLS: hosts that know no
    /// private authority reach it so, on loopback.
    pub(crate) fn start_plain<I, S>(workspace: &Workspace, arguments: I) -> Result<Self>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(workspace.binary("pve-sim"));
        command.arg("--exit-on-eof").args(arguments);
        Self::spawn(workspace, &mut command)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        let [(_, url), ..] = &self.settings;
        url
    }

    /// The variables that point host-runner at it.
    pub(crate) fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }

    /// The authority that its certificate is from.
    pub(crate) fn ca_file(&self) -> &Path {
        let [.., (_, file)] = &self.settings;
        Path::new(file)
    }

    /// The token in use: `user@realm!name`.
    pub(crate) fn token_id(&self) -> &str {
        let [_, _, (_, id), ..] = &self.settings;
        id
    }

    /// The secret of the token in use.
    pub(crate) fn secret(&self) -> &str {
        let [.., (_, secret), _] = &self.settings;
        secret
    }

    /// Lets it do what a control line says; `pve-sim --help` lists them.
    pub(crate) fn control(&mut self, command: &Value) -> Result<Value> {
        writeln!(self.stdin, "{command}").context("pve-sim takes no more control lines")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let answer: Value =
            serde_json::from_str(&line).context("pve-sim did not answer a control line")?;
        if answer.get("ok") != Some(&Value::Bool(true)) {
            bail!("pve-sim refused {command}: {answer}");
        }
        Ok(answer)
    }

    /// host-runner with the simulator's settings and none of the user's own,
    /// neither from the environment nor from a `.env` file.
    pub(crate) fn host_runner(&self, workspace: &Workspace) -> Command {
        let mut command = Command::new(workspace.host_runner());
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PROXMOX_") {
                command.env_remove(name);
            }
        }
        command
            .envs(self.settings.iter().map(|(name, value)| (*name, value)))
            // The requests of calls are counted and measured.
            .env("PROXMOX_MCP_FIT_TOKEN", "off")
            .current_dir(&self.folder);
        command
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Settings = [(&'static str, String); 5];

/// Waits until it is ready.
fn connect(child: &mut Child) -> Result<(ChildStdin, BufReader<ChildStdout>, Settings)> {
    let stdin = child.stdin.take().context("no pipe to pve-sim")?;
    let stdout = child.stdout.take().context("no pipe from pve-sim")?;
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let settings = read_settings(&line)?;
    Ok((stdin, stdout, settings))
}

/// From the one line that pve-sim prints when it is ready.
fn read_settings(line: &str) -> Result<Settings> {
    let ready: Value = serde_json::from_str(line)
        .context("pve-sim did not say that it is ready; its own words are above")?;
    let text = |pointer: &str| {
        ready
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .with_context(|| format!("pve-sim did not report its {pointer}"))
    };
    // The first is the one with all rights.
    let token = text("/tokens/0/id")?;
    let (user, _) = token
        .split_once('!')
        .with_context(|| format!("pve-sim has no token {token}"))?;
    Ok([
        ("PROXMOX_URL", text("/url")?),
        ("PROXMOX_USER", user.to_owned()),
        ("PROXMOX_TOKEN_ID", token.clone()),
        ("PROXMOX_TOKEN_SECRET", text("/tokens/0/secret")?),
        // Empty without TLS.
        ("PROXMOX_CA_FILE", text("/ca_file").unwrap_or_default()),
    ])
}
