use anyhow::Result;
use clap::Args;

use crate::workspace::Workspace;

/// Write the tool table of both READMEs from the tools themselves
#[derive(Args)]
pub(crate) struct Docs {
    /// Only say whether the tables are fresh
    #[arg(long)]
    check: bool,
}
impl Docs {
    pub(crate) fn run(self, _workspace: &Workspace) -> Result<()> {
        let _ = self.check;
        Ok(())
    }
}
