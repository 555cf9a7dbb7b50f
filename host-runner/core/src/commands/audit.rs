//! `audit verify`: checks the chain of the lines in files.

use serde_json::json;

use super::{CommandError, output};
use crate::audit::{self, Anchors};
use crate::cli::VerifyArgs;

/// Prints what is wrong, and what the files show as a whole. An error, already printed,
/// if anything is wrong.
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), CommandError> {
    let anchors = Anchors {
        from: args.from,
        expect: args.expect.clone(),
    };
    let report = audit::verify(&args.files, &anchors).map_err(|(path, error)| {
        CommandError::Usage(format!(
            "cannot check the audit log {}: {error}",
            path.display()
        ))
    })?;
    let shown = json!({
        "intact": report.problems.is_empty(),
        "problems": report.problems,
        "summary": report.summary,
        "lines": report.lines,
        "last_hash": report.last_hash.map(|hash| hash.to_string()),
    });
    output::show(&args.output, &shown, || {
        let lines = report.problems.iter().chain([&report.summary]);
        lines.cloned().collect::<Vec<_>>().join("\n")
    })?;
    match report.problems.is_empty() {
        true => Ok(()),
        false => Err(CommandError::Reported(1)),
    }
}
