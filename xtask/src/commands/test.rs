use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use super::{build, check_requests};
use crate::progress::{Progress, Step};
use crate::workspace::{Workspace, run};

/// Build everything and run all tests
#[derive(Args)]
pub(crate) struct Test {
    /// Handed on to `cargo test`, such as the name of a test
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Test {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(build::STEPS + 3);
        build::steps(workspace, &mut progress)?;
        progress.step(
            "building the hostile components for the sandbox tests",
            || build::component(workspace, &["hostile", "--lib", "--examples"]),
        )?;
        progress.step("building the simulated Proxmox VE", || {
            build::release(workspace, &["pve-sim"])
        })?;
        let logs = check_requests::folder(workspace);
        progress.step("building and running the tests", || {
            if logs.exists() {
                fs::remove_dir_all(&logs)
                    .with_context(|| format!("cannot empty {}", logs.display()))?;
            }
            fs::create_dir_all(&logs)?;
            let started = Instant::now();
            run(workspace
                .cargo(["test"])
                .args(build::SELECTION)
                .args(&self.arguments)
                .env("PVE_SIM_LOG_DIR", &logs))?;
            eprintln!("  cargo test took {:.0} s", started.elapsed().as_secs_f64());
            Ok(Step::Done)
        })?;
        eprintln!(
            "all tests passed in {:.0} s; {} request logs are in {}",
            progress.seconds(),
            check_requests::logs(workspace)?.len(),
            logs.display()
        );
        Ok(())
    }
}
