//! host-runner, as a process.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::client::{Client, Era, User};
use crate::forward::{Forward, KEY};
use crate::patience::PATIENCE;
use crate::process::{Output, Started};
use crate::programs;
use crate::raw::Raw;
use crate::transcript;
use crate::watch::Watch;
use crate::web::Web;

/// How to start a host-runner: with an environment and a working directory
/// that hold nothing but what a test puts there.
pub struct HostRunner {
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    directory: TempDir,
    secrets: Vec<String>,
    component: Option<PathBuf>,
    wrapper: Vec<String>,
}

/// The commands that do not serve MCP.
const COMMANDS: [&str; 14] = [
    "audit",
    "client",
    "tools",
    "call",
    "doctor",
    "policy",
    "forward",
    "completions",
    "health",
    "help",
    "inspect",
    "man",
    "precompile",
    "setup",
];

impl HostRunner {
    /// Without any settings.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            environment: [
                // A test counts the requests of its calls, and its token may lack what
                // they need.
                ("PROXMOX_MCP_FIT_TOKEN", "off"),
                // Every result is checked against its complete schema.
                ("PROXMOX_MCP_DETAIL", "full"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            arguments: Vec::new(),
            directory: TempDir::new()?,
            secrets: Vec::new(),
            // Not needed where the one under test is embedded.
            component: std::env::var_os("PROXMOX_MCP_COMPONENT").map(PathBuf::from),
            wrapper: Vec::new(),
        })
    }

    /// Sets an environment variable. One whose name ends in `SECRET` is watched
    /// for in all that the process writes.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if name.ends_with("SECRET") && !value.is_empty() {
            transcript::token(&value);
            self.secrets.push(value.clone());
        }
        self.environment.insert(name.to_owned(), value);
        self
    }

    /// Sets a variable that should contain a secret to something that is not one.
    #[must_use]
    pub fn env_mistaken(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Adds an argument of the command line.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments of the command line.
    #[must_use]
    pub fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// Runs this component instead of the embedded one.
    #[must_use]
    pub fn component(mut self, file: &Path) -> Self {
        self.component = Some(file.to_owned());
        self
    }

    /// Starts it by this program, which gets the host-runner and its arguments
    /// as its last ones.
    #[must_use]
    pub fn wrapper(mut self, program: &[&str]) -> Self {
        self.wrapper = program.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Writes a file into the working directory.
    pub fn file(self, name: &str, content: &str) -> anyhow::Result<Self> {
        std::fs::write(self.directory.path().join(name), content)?;
        Ok(self)
    }

    /// The same, readable by its owner only, as files with secrets have to be.
    pub fn private_file(self, name: &str, content: &str) -> anyhow::Result<Self> {
        let host = self.file(name, content)?;
        let path = host.directory().join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(host)
    }

    /// The working directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Watches for one more text that must never be written.
    #[must_use]
    pub fn secret(mut self, secret: &str) -> Self {
        transcript::password(secret);
        self.secrets.push(secret.to_owned());
        self
    }

    /// Serves MCP, with a client of the older era: `initialize`.
    pub async fn connect(self) -> anyhow::Result<Client> {
        self.connect_as(Era::Legacy).await
    }

    /// Serves MCP, with a client of this era.
    pub async fn connect_as(self, era: Era) -> anyhow::Result<Client> {
        Client::connect(self.start()?, era, User::Absent).await
    }

    /// Serves MCP, with a client that can ask its user, who says this.
    pub async fn connect_with(self, era: Era, user: User) -> anyhow::Result<Client> {
        Client::connect(self.start()?, era, user).await
    }

    /// Serves MCP, with nothing between the test and the lines.
    pub fn raw(self) -> anyhow::Result<Raw> {
        Raw::new(self.start()?)
    }

    /// Forwards requests on a free port.
    pub async fn forward(self) -> anyhow::Result<Forward> {
        let host = self
            .private_file("forward-key", KEY)?
            .args(["forward", "--listen=127.0.0.1:0", "--key-file=forward-key"])
            .secret(KEY);
        let secrets = host.secrets.clone();
        Forward::listening(host.start()?, secrets).await
    }

    /// Serves MCP over HTTP on a free port.
    pub async fn web(self) -> anyhow::Result<Web> {
        self.args(["serve", "--http=127.0.0.1:0"]).web_as_is().await
    }

    /// The same, at the address and with the command that the test has given.
    pub async fn web_as_is(self) -> anyhow::Result<Web> {
        let secrets = self.secrets.clone();
        Web::listening(self.start()?, secrets).await
    }

    /// Runs a subcommand to its end.
    pub async fn run(self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut host = self;
        for argument in arguments {
            if let Ok(argument) = serde_json::from_str(argument) {
                transcript::passwords_in(&argument);
            }
            host = host.arg(*argument);
        }
        let Started { mut child, watch } = host.start()?;
        drop(child.stdin.take());
        let mut stdout = watch.stdout(child.stdout.take().context("no stdout")?);
        let run = async {
            stdout.read_to_end(&mut Vec::new()).await?;
            child.wait().await
        };
        let status = tokio::time::timeout(PATIENCE, run)
            .await
            .context("host-runner does not end")??;
        Ok(Output {
            status: status.code(),
            stdout: watch.stdout_text(),
            stderr: watch.stderr_text()?,
        })
    }

    pub(crate) fn start(self) -> anyhow::Result<Started> {
        let host_runner = programs::host_runner()?;
        let mut command = match self.wrapper.split_first() {
            None => Command::new(host_runner),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(host_runner);
                command
            }
        };
        command.env_clear().envs(self.environment);
        if let Some(component) = self.component {
            command.arg("--component").arg(component);
        }
        // Tests call tools of all toolsets, unless they choose some.
        let chooses = |one: &String| one.starts_with("--toolsets") || COMMANDS.contains(&&**one);
        if !self.arguments.iter().any(chooses) {
            command.arg("--toolsets=all");
        }
        command.args(self.arguments);
        let watch = Watch::prepare(&mut command, self.directory, self.secrets)?;
        let child = command.spawn().context("host-runner does not start")?;
        Ok(Started { child, watch })
    }
}
