//! How much memory host-runner takes.

use anyhow::{Context as _, ensure};

use crate::client::Client;
use crate::process;
use crate::web::Web;

/// What a host-runner takes when it is idle.
pub struct Memory {
    process: u32,
    idle: usize,
}

impl Memory {
    /// What host-runner may take beyond that, whatever its calls do: as its
    /// documentation says.
    pub const BOUND: usize = 256 * 1024 * 1024;

    /// Of a host-runner that is idle now.
    pub fn idle(client: &Client) -> anyhow::Result<Self> {
        Self::of(client.process_id())
    }

    /// The same of one that serves HTTP.
    pub fn idle_web(web: &Web) -> anyhow::Result<Self> {
        Self::of(web.process_id())
    }

    fn of(process: Option<u32>) -> anyhow::Result<Self> {
        let process = process.context("host-runner has ended")?;
        let idle = process::memory(process, "VmRSS:")?;
        Ok(Self { process, idle })
    }

    /// The most that it ever took since it started is within the bound.
    pub fn check(&self) -> anyhow::Result<()> {
        let peak = process::memory(self.process, "VmHWM:")?;
        let above = peak.saturating_sub(self.idle);
        ensure!(above <= Self::BOUND, "{} MiB above idle", above >> 20);
        Ok(())
    }
}
