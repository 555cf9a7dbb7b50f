//! `audit verify`: checks the chain of the lines in files.

use std::path::PathBuf;

use super::{CommandError, print};
use crate::audit::{self, Anchors};

/// Prints what is wrong, and a line about the whole. An error, already printed,
/// if anything is wrong.
pub(crate) fn verify(files: &[PathBuf], anchors: &Anchors) -> Result<(), CommandError> {
    let report = audit::verify(files, anchors).map_err(|(path, error)| {
        CommandError::Usage(format!(
            "cannot check the audit log {}: {error}",
            path.display()
        ))
    })?;
    for problem in &report.problems {
        print(problem)?;
    }
    print(&report.summary)?;
    match report.problems.is_empty() {
        true => Ok(()),
        false => Err(CommandError::Reported),
    }
}
