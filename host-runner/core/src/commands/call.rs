//! `host-runner call`

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Map, Value};

use super::{CommandError, Context, print};
use crate::cli::Options;
use crate::engine::{Embedded, Pending, Plugin, ToolError, ToolResult};
use crate::follow::{self, Listener};
use crate::offer::{NotOffered, Offer};
use crate::render;

/// Calls a tool and prints its result.
pub(crate) async fn run(
    options: &Options,
    embedded: Embedded,
    name: &str,
    arguments: &str,
    json: bool,
) -> Result<(), CommandError> {
    let parsed: Result<Map<String, Value>, _> = serde_json::from_str(arguments);
    parsed.map_err(|error| CommandError::Arguments(error.to_string()))?;
    let context = Context::new(options, embedded).await?;
    let plugin = context.loader.plugin().await?;
    let answer = call(options, &plugin, name, arguments)
        .await
        .and_then(|result| {
            let structured = render::structured(&result)?;
            Ok((result, structured))
        });
    match answer {
        Ok((result, _)) if !io::stdout().is_terminal() => print(&result.structured),
        Ok((_, structured)) => print(&render::for_terminal(&format!("{structured:#}"))),
        Err(error) if json => {
            print(&render::error_json(&error).to_string())?;
            Err(CommandError::Reported)
        }
        Err(error) => Err(error.into()),
    }
}

async fn call(
    options: &Options,
    plugin: &Plugin,
    name: &str,
    arguments: &str,
) -> Result<ToolResult, ToolError> {
    let offer = Offer::new(plugin.list_tools().await?, &options.allowed_tools);
    offer.find(name).map_err(|error| match error {
        NotOffered::Unknown(_) => ToolError::UnknownTool(format!(
            "unknown tool {name:?}: `host-runner tools` lists those that there are"
        )),
        NotOffered::Withheld(_) => ToolError::Denied(error.to_string()),
    })?;
    let outcome = plugin.call_tool(name, arguments).await?;
    let mut terminal = Terminal::default();
    follow::follow(
        plugin,
        outcome,
        &mut terminal,
        follow::after(options.wait()),
    )
    .await
}

/// Shows on a terminal what a task is doing.
#[derive(Default)]
struct Terminal {
    shown: String,
}

impl Listener for Terminal {
    async fn progress(&mut self, now: &Pending) {
        let mut stderr = io::stderr();
        if stderr.is_terminal() && now.message != self.shown {
            // Whoever closed stderr wants to see none of it.
            let _ = writeln!(stderr, "{}", render::for_terminal(&now.message));
            self.shown.clone_from(&now.message);
        }
    }
}
