//! How long a test waits.

/// No answer within this time fails a test: long enough for a loaded machine,
/// so that it never decides a test that would pass.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);
