//! Colours of our own: headings in bold, on a terminal that wants them.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};

/// Whether to use colours on stdout: only on a terminal, and not if `NO_COLOR` has a value
/// or the terminal cannot show them.
pub(in crate::commands) fn is_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !refused && !is_dumb && io::stdout().is_terminal()
}

/// A heading.
pub(in crate::commands) fn bold(text: impl Display, wanted: bool) -> String {
    match wanted {
        true => format!("\u{1b}[1m{text}\u{1b}[0m"),
        false => text.to_string(),
    }
}
