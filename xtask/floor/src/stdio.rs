//! The floor of an MCP server: a process, two pipes, and a line for a line.

use std::io::{self, BufRead as _, Write as _};

use anyhow::Result;
use serde::Deserialize;

#[derive(Deserialize)]
struct Request {
    /// Notifications have none, and get no response.
    id: Option<u64>,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    /// Length of the response.
    bytes: usize,
}

/// Answers lines until stdin ends.
pub(crate) fn serve() -> Result<()> {
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let Some(id) = request.id else { continue };
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"text":""#);
        let filler = "x".repeat(request.params.bytes.saturating_sub(head.len() + 4));
        writeln!(stdout, r#"{head}{filler}"}}}}"#)?;
        stdout.flush()?;
    }
    Ok(())
}
