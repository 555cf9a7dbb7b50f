//! Lists: every one can be read in parts, and no result is longer than the ceiling.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use harness::{Client, HostRunner, Sim, with};
use serde_json::{Map, Value, json};

/// The ceiling of a result: 20,000 tokens of two bytes, as documented.
const CEILING: usize = 40_000;

/// The tools that list something: by their name, or by an argument that limits a list.
fn list_tools(client: &Client) -> Vec<(String, Map<String, Value>)> {
    let tools = client.tools().iter().filter_map(|tool| {
        let name = tool["name"].as_str()?.to_owned();
        let arguments = tool.pointer("/inputSchema/properties")?;
        let arguments = arguments.as_object()?.clone();
        let lists = name.starts_with("list_") || arguments.contains_key("limit");
        lists.then_some((name, arguments))
    });
    tools.collect()
}

/// The arguments without which a tool lists nothing.
fn required(tool: &str) -> anyhow::Result<Value> {
    let all: Value = serde_json::from_str(include_str!("../list_arguments.json"))?;
    Ok(all.get(tool).cloned().unwrap_or_else(|| json!({})))
}

/// The same with a limit of 3, which ends in the middle of most lists. None of a tool
/// without a limit.
fn by_threes(tool: &str, arguments: &Map<String, Value>) -> anyhow::Result<Option<Value>> {
    if !arguments.contains_key("limit") {
        return Ok(None);
    }
    Ok(Some(with(&required(tool)?, json!({ "limit": 3 }))))
}

/// The same with the highest limit that the tool takes.
fn unlimited(tool: &str, arguments: &Map<String, Value>) -> anyhow::Result<Value> {
    let call = required(tool)?;
    let limit = arguments.get("limit");
    Ok(match limit.and_then(|limit| limit.get("maximum")) {
        Some(most) => with(&call, json!({ "limit": most })),
        None => call,
    })
}

async fn connect(sim: &Sim, detail: &str, tokens: usize) -> anyhow::Result<Client> {
    let host: HostRunner = sim.admin()?.arg("--toolsets=all");
    let host = host.env("PROXMOX_MCP_DETAIL", detail);
    host.env("PROXMOX_MCP_RESULT_TOKENS", tokens.to_string())
        .connect()
        .await
}

/// A result and its text, which a model reads. The component has shortened it to the
/// ceiling: the host has nothing to cut.
async fn answer(client: &Client, tool: &str, call: &Value) -> anyhow::Result<(Value, String)> {
    let result = client.request(tool, call.clone()).await??;
    ensure!(result.is_error != Some(true), "{tool} {call}: {result:?}");
    let content = serde_json::to_value(&result.content)?;
    let text = content.pointer("/0/text").and_then(Value::as_str);
    let text = text.context("no text")?.to_owned();
    let structured = result.structured_content.context("no result")?;
    ensure!(!text.contains("\n(cut here"), "{tool} {call}: {text}");
    if text.starts_with('{') {
        let json: Value = serde_json::from_str(&text).context(text.clone())?;
        ensure!(json == structured, "{tool} {call}: the text differs");
    }
    let declared = client.tools().iter().find(|one| one["name"] == tool);
    let schema = &declared.context("no such tool")?["outputSchema"];
    ensure!(
        jsonschema::is_valid(schema, &structured),
        "{tool} {call}: not of its schema: {structured}"
    );
    Ok((structured, text))
}

/// The next offset that the hint names.
fn next_offset(result: &Value) -> Option<u64> {
    let (_, after) = result["hint"].as_str()?.split_once("set offset to ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The entries that a tool pages through, each by what identifies it.
fn entries(tool: &str, result: &Value) -> Vec<String> {
    let fields: &[&str] = match tool {
        "list_guests" | "list_backup_jobs" => &["vmid"],
        "list_backups" => &["volid", "node"],
        "list_storage_content" => &["volid", "node"],
        "list_snapshots" => &["vmid", "snapshot"],
        "list_tasks" => &["upid"],
        "list_networks" => &["node", "bridge"],
        "list_pools" => &["pool"],
        "list_nodes" => &["node"],
        "list_storage" => &["storage", "nodes"],
        "list_templates" => &["source", "vmid", "volid", "template", "node"],
        "list_replication" => &["job"],
        "audit_access" => &["user"],
        "get_ha" => &["sid"],
        "audit_firewall" => &["position"],
        "get_guest_network" => &["name"],
        // An entry of a log may be there twice.
        _ => &[],
    };
    let list = match tool {
        "list_backups" => {
            let guests = result["guests"].as_array().into_iter().flatten();
            let all = guests.flat_map(|guest| guest["backups"].as_array().into_iter().flatten());
            all.cloned().collect()
        }
        _ => result[list_of(tool)]
            .as_array()
            .cloned()
            .unwrap_or_default(),
    };
    let name = |entry: &Value| match fields {
        [] => entry.to_string(),
        fields => fields
            .iter()
            .map(|field| entry[field].to_string())
            .collect(),
    };
    list.iter().map(name).collect()
}

/// The name of the list that a tool pages through.
fn list_of(tool: &str) -> &'static str {
    match tool {
        "list_guests" => "guests",
        "list_backup_jobs" => "uncovered",
        "list_storage_content" => "volumes",
        "list_snapshots" => "snapshots",
        "list_tasks" => "tasks",
        "list_networks" => "networks",
        "list_pools" => "pools",
        "list_nodes" => "nodes",
        "list_storage" => "storages",
        "list_templates" => "templates",
        "list_replication" => "jobs",
        "audit_access" => "users",
        "get_ha" => "resources",
        "audit_firewall" => "rules",
        "get_guest_network" => "interfaces",
        "report_waste" => "findings",
        "get_node_log" => "lines",
        "get_cluster_log" => "entries",
        _ => "",
    }
}

/// How many entries there are, as the result says. None if it does not.
fn total(tool: &str, result: &Value) -> Option<u64> {
    let field = match tool {
        "list_backup_jobs" => "uncovered_total",
        "audit_access" => "users_total",
        "get_ha" => "resources_total",
        _ => "total",
    };
    result[field].as_u64()
}

#[tokio::test]
async fn every_list_takes_an_offset() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = connect(&sim, "full", 20_000).await?;
    let tools = list_tools(&client);
    assert!(tools.len() >= 19, "{tools:?}");
    for (tool, arguments) in tools {
        let offset = arguments.get("offset").context(tool.clone())?;
        assert_eq!(offset["type"], "integer", "{tool}");
        assert!(
            !list_of(&tool).is_empty() || tool == "list_backups",
            "{tool}"
        );
        // Beyond the end there is nothing but the number.
        let mut call = required(&tool)?;
        call["offset"] = json!(100_000);
        let (result, _) = answer(&client, &tool, &call).await?;
        assert_eq!(entries(&tool, &result), Vec::<String>::new(), "{tool}");
        let hint = result["hint"].as_str().context(tool.clone())?;
        assert!(
            hint.contains("at offset 100000: there are "),
            "{tool}: {hint}"
        );
    }
    Ok(())
}

/// Reads a list to its end. Returns how many calls that took.
async fn read_all(
    client: &Client,
    tool: &str,
    mut call: Value,
    most: usize,
) -> anyhow::Result<usize> {
    let (mut all, mut calls) = (Vec::new(), 0);
    loop {
        let (result, text) = answer(client, tool, &call).await?;
        calls += 1;
        ensure!(text.len() <= most, "{tool} {call}: {} bytes", text.len());
        ensure!(result.get("shortened").is_none(), "{tool} {call}: {result}");
        all.extend(entries(tool, &result));
        let Some(offset) = next_offset(&result) else {
            if let Some(total) = total(tool, &result) {
                ensure!(
                    all.len() as u64 == total,
                    "{tool}: {} of {total}",
                    all.len()
                );
            }
            break;
        };
        ensure!(
            offset == all.len() as u64,
            "{tool} {call}: {offset}, not {}",
            all.len()
        );
        call = with(&call, json!({ "offset": offset }));
    }
    let is_log = matches!(tool, "get_node_log" | "get_cluster_log" | "report_waste");
    let different: BTreeSet<&String> = all.iter().collect();
    ensure!(is_log || different.len() == all.len(), "{tool}: {all:?}");
    Ok(calls)
}

#[tokio::test]
async fn lists_are_read_to_their_end_by_threes() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = connect(&sim, "concise", 20_000).await?;
    let mut in_parts = 0;
    for (tool, arguments) in list_tools(&client) {
        let Some(call) = by_threes(&tool, &arguments)? else {
            continue;
        };
        let calls = read_all(&client, &tool, call, CEILING).await?;
        in_parts += usize::from(calls > 1);
    }
    assert!(in_parts >= 5, "{in_parts}");
    Ok(())
}

/// An offset that Proxmox would not take is beyond the end, too.
#[tokio::test]
async fn the_highest_offset_is_beyond_the_end() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = connect(&sim, "concise", 20_000).await?;
    for call in [
        json!({ "node": "pve1" }),
        json!({ "vmid": 100 }),
        json!({ "since": "2020-01-01" }),
    ] {
        for offset in [999_990, u32::MAX] {
            let call = with(&call, json!({ "offset": offset }));
            let (result, _) = answer(&client, "list_tasks", &call).await?;
            assert_eq!(result["tasks"], json!([]), "{call}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn lists_of_1000_guests_are_read_to_their_end_in_parts_that_fit() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--guests=1000").start().await?;
    for detail in ["concise", "full"] {
        let client = connect(&sim, detail, 20_000).await?;
        let mut in_parts = 0;
        for (tool, arguments) in list_tools(&client) {
            let call = unlimited(&tool, &arguments)?;
            let calls = read_all(&client, &tool, call, CEILING).await?;
            eprintln!("{tool} {detail}: {calls}");
            in_parts += usize::from(calls > 1);
        }
        assert!(in_parts >= 2, "{detail}: {in_parts}");
    }
    Ok(())
}

#[tokio::test]
async fn no_result_of_10000_guests_exceeds_the_ceiling() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--guests=10000").start().await?;
    for detail in ["concise", "full"] {
        let client = connect(&sim, detail, 20_000).await?;
        for (tool, arguments) in list_tools(&client) {
            let call = unlimited(&tool, &arguments)?;
            let (_, text) = answer(&client, &tool, &call).await?;
            assert!(text.len() <= CEILING, "{tool}: {} bytes", text.len());
        }
    }
    let client = connect(&sim, "concise", 20_000).await?;
    let call = json!({ "limit": 500 });
    let calls = read_all(&client, "list_guests", call, CEILING).await?;
    assert!((20..40).contains(&calls), "{calls}");
    Ok(())
}

#[tokio::test]
async fn the_ceiling_can_be_set() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--guests=1000").start().await?;
    for detail in ["concise", "full"] {
        let client = connect(&sim, detail, 1_000).await?;
        for (tool, arguments) in list_tools(&client) {
            let (_, text) = answer(&client, &tool, &unlimited(&tool, &arguments)?).await?;
            assert!(text.len() <= 2_000, "{tool} {detail}: {text}");
        }
        let (result, _) = answer(&client, "list_guests", &json!({})).await?;
        let hint = result["hint"].as_str().context("no hint")?;
        assert!(hint.contains("as many as fit into one result"), "{hint}");
        assert!(hint.contains("or narrow by kind, status, node"), "{hint}");
    }
    let client = connect(&sim, "full", 100_000).await?;
    let (result, text) = answer(&client, "list_guests", &json!({ "limit": 500 })).await?;
    assert_eq!(entries("list_guests", &result).len(), 500);
    assert!(text.len() > CEILING, "{}", text.len());
    Ok(())
}

#[tokio::test]
async fn a_ceiling_out_of_bounds_is_refused() -> anyhow::Result<()> {
    for wrong in ["999", "100001", "many", "-1"] {
        let host = HostRunner::new()?.env_mistaken("PROXMOX_MCP_RESULT_TOKENS", wrong);
        let output = host.run(&["tools", "-o", "table"]).await?;
        output.assert_refused(&["PROXMOX_MCP_RESULT_TOKENS", "from 1000 to 100000"]);
    }
    Ok(())
}
