use anyhow::Result;
use clap::Args;

use crate::workspace::{Workspace, run};

/// Make the documentation of the crates, in target/doc, and fail at warnings
#[derive(Args)]
pub(crate) struct Rustdoc {}

impl Rustdoc {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        // The profile and the packages of `cargo clippy` in .ci/run, so that dependencies
        // are checked once for both.
        let mut doc = workspace.cargo(["doc", "--release", "--no-deps", "--workspace"]);
        run(doc
            .args([
                "--exclude",
                "hostile",
                "--document-private-items",
                "--keep-going",
            ])
            .env("RUSTDOCFLAGS", "-D warnings"))
    }
}
