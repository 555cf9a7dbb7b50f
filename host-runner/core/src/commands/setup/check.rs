//! Whether the token is accepted, and what it may do.

use std::collections::BTreeSet;

use host_runner_policy::fit::Held;
use host_runner_policy::{Preset, lookup};
use serde_json::Value;

use super::role::Grant;
use crate::cli::Operator;
use crate::commands::{CommandError, Parts, Process};
use crate::engine::{Embedded, Tool};
use crate::offer::Catalog;
use crate::sandbox::{Gate, SharedMeter, Terms};
use crate::settings::Settings;

/// The version of the server.
const VERSION: &str = "/version";

/// What the token may do.
pub(super) struct Report {
    /// Such as `9.0.3`.
    version: Option<String>,
    /// None: nothing.
    held: Option<Held>,
    tools: Vec<Tool>,
}

/// Asks Proxmox VE, under the policy with this preset. Fails if it does not accept the token.
pub(super) async fn check(
    operator: &Operator<'_>,
    embedded: Embedded,
    settings: &Settings,
    preset: Preset,
) -> Result<Report, CommandError> {
    let mut file = operator.policy()?;
    file.preset = Some(preset);
    let rules = operator.rules(&file)?;
    let process = Process::new(operator, embedded);
    let parts = Parts::new(&process, settings, &file)?;
    let catalog = parts.catalog(&file, rules, SharedMeter::default());
    let gate = catalog.plugin().await?.gate(Terms::default(), None);
    let version = ask(&gate, VERSION).await?;
    let permissions = ask(&gate, lookup::PERMISSIONS).await?;
    let version: Option<Value> = serde_json::from_slice(&version).ok();
    let version = version
        .as_ref()
        .and_then(|answer| answer.pointer("/data/version")?.as_str());
    Ok(Report {
        version: version.map(str::to_owned),
        held: Held::read(&permissions),
        tools: tools(&catalog).await?,
    })
}

async fn tools(catalog: &Catalog) -> Result<Vec<Tool>, CommandError> {
    Ok(catalog.offer().await?.tools().to_vec())
}

/// The answer to a read.
async fn ask(gate: &Gate, path: &str) -> Result<Vec<u8>, CommandError> {
    let request = gate
        .request("GET", path, "")
        .ok_or_else(|| CommandError::Request(format!("GET {path}")))?;
    let answer = gate
        .send(request, None)
        .await
        .map_err(|error| CommandError::Unhealthy(error.detail))?;
    match answer.status().as_u16() {
        200 => Ok(answer.into_body().to_vec()),
        401 => Err(CommandError::Unhealthy(
            "Proxmox VE does not accept the token (401): check the user with its realm, the token's \
             name and the secret, and on a node with `pveum user token list USER` whether the token \
             exists and has not expired"
                .to_owned(),
        )),
        status => Err(CommandError::Unhealthy(format!(
            "Proxmox VE answers GET {path} with status {status}: check the node with `systemctl \
             status pveproxy pvedaemon`"
        ))),
    }
}

impl Report {
    /// What works, in lines, and what to do about the rest.
    pub(super) fn to_text(&self, grant: &Grant<'_>) -> String {
        let version = self.version.as_deref().unwrap_or("of an unknown version");
        let mut lines = vec![format!("Proxmox VE {version} accepts the token.")];
        let Some(held) = &self.held else {
            lines.push(format!(
                "warning: it has no privileges at all. Both the user and the token need the role; \
                 run what is still missing of these commands:\n{}",
                grant.commands()
            ));
            return lines.join("\n");
        };
        let toolsets: BTreeSet<&str> = self.tools.iter().map(|tool| &*tool.toolset).collect();
        let mut complete = true;
        for toolset in toolsets {
            let (line, all) = of_toolset(held, toolset, &self.tools);
            complete &= all;
            lines.push(line);
        }
        if !complete {
            lines.push(format!(
                "These commands create the role for this preset. It leaves out Sys.Console and, except for \
                 admin, Sys.Modify, which permit much more than the policy; grant them only if needed:\n{}",
                grant.commands()
            ));
        }
        lines.join("\n")
    }
}

/// A line about a toolset, and whether all of its tools may work.
fn of_toolset(held: &Held, toolset: &str, tools: &[Tool]) -> (String, bool) {
    let tools: Vec<_> = tools
        .iter()
        .filter(|tool| tool.toolset == toolset)
        .collect();
    let lacking: Vec<_> = tools
        .iter()
        .filter_map(|tool| Some((&tool.name, held.missing_for(tool.purpose())?)))
        .collect();
    let (all, works) = (tools.len(), tools.len() - lacking.len());
    let line = format!("  {toolset}: {works} of {all} tools have the privileges that they need");
    let lacking: Vec<_> = lacking
        .iter()
        .map(|(name, privileges)| format!("\n    {name} lacks {privileges}"))
        .collect();
    (format!("{line}{}", lacking.concat()), lacking.is_empty())
}
