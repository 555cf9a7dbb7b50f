//! A host-runner that serves HTTP, as a process.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Child;

use crate::patience::PATIENCE;
use crate::process::{Output, Started};
use crate::watch::Watch;

/// The process of a command that listens.
pub(crate) struct Served {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    command: &'static str,
    child: Child,
    pub(crate) watch: Watch,
    secrets: Vec<String>,
}

impl Served {
    /// Waits until the process that was started says where it listens: `address` finds
    /// that on its stderr.
    pub(crate) async fn listening(
        started: Started,
        command: &'static str,
        secrets: Vec<String>,
        address: fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let Started { mut child, watch } = started;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(address) = address(&watch.stderr_text()?) {
                    return Ok(address);
                }
                if let Some(status) = child.try_wait()? {
                    bail!("{command} ended, {status}: {}", watch.stderr_text()?);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let address = found
            .await
            .with_context(|| format!("{command} does not start"))??;
        Ok(Self {
            address,
            command,
            child,
            watch,
            secrets,
        })
    }

    /// The process id, unless it has ended.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Fails if an answer holds a secret.
    pub(crate) fn has_no_secret(&self, text: &str) -> anyhow::Result<()> {
        for secret in &self.secrets {
            ensure!(!text.contains(secret), "the answer holds a secret: {text}");
        }
        Ok(())
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("it has ended")?;
        let status = std::process::Command::new("kill")
            .args(["-s", name, &pid.to_string()])
            .status()?;
        ensure!(status.success(), "kill: {status}");
        Ok(())
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> anyhow::Result<Output> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("{} does not end", self.command))??;
        Ok(Output {
            status: status.code(),
            stdout: self.watch.stdout_text(),
            stderr: self.watch.stderr_text()?,
        })
    }
}
