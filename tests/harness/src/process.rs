//! A started process, and what it leaves.

use anyhow::Context as _;
use tokio::process::Child;

use crate::watch::Watch;

/// What a finished host-runner leaves.
#[derive(Debug)]
pub struct Output {
    /// The exit status; none where a signal ended it.
    pub status: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Output {
    /// It succeeded, and wrote nothing to stderr.
    #[track_caller]
    pub fn assert_succeeds(&self) {
        assert_eq!(self.status, Some(0), "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
    }

    /// It refused to run, with these words on stderr.
    #[track_caller]
    pub fn assert_refused(&self, words: &[&str]) {
        assert_eq!(self.status, Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "nothing of {word}: {self:?}");
        }
    }

    /// The same, and stderr is a single line.
    #[track_caller]
    pub fn assert_refused_in_one_line(&self, words: &[&str]) {
        self.assert_refused(words);
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
    }
}

/// The parts of a started process.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) watch: Watch,
}

/// Memory of a process in bytes, by the name of a line in `/proc/PID/status`: `VmRSS:`.
pub(crate) fn memory(process: u32, field: &str) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kibibytes: usize = kibibytes.context("no such field")?.trim().parse()?;
    Ok(kibibytes * 1024)
}
