//! A process that ends with its owner.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// Killed on drop, unless its end was awaited.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) -> Result<()> {
        let killed = Command::new("kill")
            .args(["-TERM", &self.id().to_string()])
            .status()?;
        ensure!(killed.success(), "kill failed");
        Ok(())
    }

    /// Waits for the end of a process that was told to end, and returns how long that
    /// took. Fails if it takes longer than `most`, or at an exit status other than 0.
    pub(crate) fn ended(&mut self, most: Duration) -> Result<Duration> {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait()? {
                break status;
            }
            ensure!(
                started.elapsed() <= most,
                "the server still runs {} s after it was told to end",
                most.as_secs()
            );
            thread::sleep(Duration::from_millis(5));
        };
        ensure!(status.success(), "the server ended with {status}");
        Ok(started.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a `wait` these do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
