//! What a process writes, and that no secret is in it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anyhow::ensure;
use tempfile::{NamedTempFile, TempDir};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{ChildStdout, Command};

use crate::transcript;

/// Bytes that were read so far.
type Seen = Arc<Mutex<Vec<u8>>>;

/// Looks after one process. When it is dropped, it checks what the process
/// wrote, and gives its stderr to the test's own output.
pub(crate) struct Watch {
    secrets: Vec<String>,
    stdout: Seen,
    stderr: NamedTempFile,
    /// The process's working directory, kept as long as it runs.
    directory: TempDir,
    /// What the test has put there.
    given: Vec<OsString>,
    /// Its stdout and its files are expected to contain secrets.
    tells_secrets: bool,
    /// It runs a component of the test's, which may try what it likes.
    runs_other_component: bool,
}

impl Watch {
    /// Prepares `command`: it writes its stderr to a file, so that no reader is
    /// needed to keep it going.
    pub(crate) fn prepare(
        command: &mut Command,
        directory: TempDir,
        secrets: Vec<String>,
    ) -> anyhow::Result<Self> {
        let stderr = NamedTempFile::new()?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.reopen()?)
            .current_dir(directory.path())
            .kill_on_drop(true);
        let mut arguments = command.as_std().get_args();
        let runs_other_component = arguments.any(|argument| {
            let argument = argument.to_string_lossy();
            argument == "--component" || argument.starts_with("--component=")
        });
        Ok(Self {
            secrets,
            stdout: Seen::default(),
            stderr,
            given: files_in(&directory),
            directory,
            tells_secrets: false,
            runs_other_component,
        })
    }

    /// The process is a simulated cluster: it tells the test its secrets, and
    /// notes what it is sent.
    pub(crate) fn tells_secrets(mut self) -> Self {
        self.tells_secrets = true;
        self
    }

    /// The process's stdout, with a copy of what is read from it kept here.
    pub(crate) fn stdout(&self, stdout: ChildStdout) -> Recorder {
        Recorder {
            stdout,
            seen: self.stdout.clone(),
        }
    }

    /// The process's working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// All that was read from stdout so far.
    pub(crate) fn stdout_text(&self) -> String {
        let seen = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// All that was written to stderr so far.
    pub(crate) fn stderr_text(&self) -> anyhow::Result<String> {
        let bytes = std::fs::read(self.stderr.path())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn check(&self) -> anyhow::Result<()> {
        let stdout = self.stdout_text();
        let stderr = self.stderr_text()?;
        for secret in &self.secrets {
            ensure!(!stdout.contains(secret), "stdout holds a secret: {stdout}");
            ensure!(!stderr.contains(secret), "stderr holds a secret: {stderr}");
        }
        ensure!(
            !stderr.contains('\u{1b}'),
            "stderr is not a terminal, but contains an escape sequence: {stderr:?}"
        );
        // A component's panic is quoted within a line.
        ensure!(
            !stderr.lines().any(|line| line.starts_with("thread '")),
            "the process itself panicked: {stderr}"
        );
        // Such a refusal can hide in a result as a part that could not be read.
        ensure!(
            self.runs_other_component || !stderr.contains("by rule undeclared-call"),
            "a tool made a call that it does not declare: {stderr}"
        );
        Ok(())
    }
}

/// The names of all files that are there already.
fn files_in(directory: &TempDir) -> Vec<OsString> {
    let entries = std::fs::read_dir(directory.path()).into_iter().flatten();
    entries.flatten().map(|entry| entry.file_name()).collect()
}

impl Drop for Watch {
    fn drop(&mut self) {
        let stderr = self.stderr_text().unwrap_or_default();
        if self.tells_secrets {
            transcript::keep(&[&stderr], None, &[]);
        } else {
            let directory = self.directory.path();
            transcript::keep(
                &[&self.stdout_text(), &stderr],
                Some(directory),
                &self.given,
            );
        }
        if let Ok(text) = self.stderr_text() {
            // Shown by cargo where the test fails.
            eprint!("{text}");
        }
        let checked = self.check();
        assert!(
            checked.is_ok() || std::thread::panicking(),
            "{:#}",
            checked.err().unwrap_or_else(|| anyhow::anyhow!("fine"))
        );
    }
}

/// Reads a process's stdout and keeps a copy.
pub(crate) struct Recorder {
    stdout: ChildStdout,
    seen: Seen,
}

impl AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stdout).poll_read(cx, buffer);
        if let Some(new) = buffer.filled().get(before..) {
            self.seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(new);
        }
        polled
    }
}
