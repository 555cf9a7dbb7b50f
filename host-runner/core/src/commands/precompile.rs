//! `host-runner precompile`

use std::path::Path;

use super::CommandError;
use crate::engine::{self, LoadError};

/// Compiles a component into the form that the next build for `target` embeds. `native` is
/// the target of this program.
pub(crate) async fn run(
    input: &Path,
    output: &Path,
    target: Option<&str>,
    native: &str,
) -> Result<(), CommandError> {
    let wasm = std::fs::read(input).map_err(|error| LoadError::Read {
        path: input.to_owned(),
        error,
    })?;
    let code = engine::precompile(
        &input.display().to_string(),
        &wasm,
        target.unwrap_or(native),
        native,
    )
    .await?;
    std::fs::write(output, code)?;
    Ok(())
}
