//! `host-runner call`

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{CommandError, Context, print};
use crate::audit::CallStart;
use crate::cli::Options;
use crate::engine::{Embedded, Pending, Plugin, ToolError, ToolResult};
use crate::follow::{self, Followed, Listener};
use crate::offer::{self, NotOffered, Offer};
use crate::render;
use crate::sandbox::{Consent, Gate, Terms};

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
    // A policy that does not fit the component is no error of the call.
    let offer = context.catalog.offer().await?;
    let plugin = context.catalog.plugin().await?;
    let answer = call(options, &plugin, offer, name, arguments)
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
    offer: &Offer,
    name: &str,
    arguments: &str,
) -> Result<ToolResult, ToolError> {
    let tool = offer.find(name).map_err(|error| match error {
        NotOffered::Unknown { nearest, .. } => ToolError::UnknownTool(format!(
            "unknown tool {name:?}{}: `host-runner tools` lists those that there are",
            offer::perhaps(&nearest)
        )),
        error => ToolError::Denied(error.to_string()),
    })?;
    // Whoever types a call has been asked.
    let terms = Terms {
        consent: Consent::Given,
        ..tool.terms()
    };
    let masked = offer::masked(tool, arguments);
    let gate = plugin.gate(
        terms,
        Some(&CallStart {
            client_name: Some("host-runner call"),
            client_version: Some(env!("CARGO_PKG_VERSION")),
            tool: name,
            arguments: &masked,
        }),
    );
    let answer = to_the_end(options, plugin, name, arguments, &gate).await;
    follow::audit(&gate, &answer);
    answer.map(Followed::into_result)
}

async fn to_the_end(
    options: &Options,
    plugin: &Plugin,
    name: &str,
    arguments: &str,
    gate: &Arc<Gate>,
) -> Result<Followed, ToolError> {
    let outcome = plugin.call_tool(name, arguments, gate).await?;
    let mut terminal = Terminal::default();
    follow::follow(
        plugin,
        gate,
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
