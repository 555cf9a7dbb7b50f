//! How much of a result its text has.

use harness::{Client, Sim};
use serde_json::{Value, json};

/// A client of a server with its default settings.
async fn client(sim: &Sim) -> anyhow::Result<Client> {
    sim.host()?.env_remove("PROXMOX_MCP_DETAIL").connect().await
}

async fn answer(client: &Client, tool: &str, arguments: Value) -> anyhow::Result<(Value, String)> {
    let result = client.request(tool, arguments).await??;
    anyhow::ensure!(result.is_error != Some(true), "{result:?}");
    let content = serde_json::to_value(&result.content)?;
    let text = content.pointer("/0/text").and_then(Value::as_str);
    let text = text.unwrap_or_default().to_owned();
    Ok((result.structured_content.unwrap_or_default(), text))
}

#[tokio::test]
async fn lists_are_tables_unless_a_call_wants_json() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = client(&sim).await?;
    let (structured, table) = answer(&client, "list_guests", json!({})).await?;
    let (same, full) = answer(&client, "list_guests", json!({ "detail": "full" })).await?;

    let guests = structured["guests"].as_array().unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "guests:", "{table}");
    assert!(lines[1].starts_with("  vmid|kind|node|status|"), "{table}");
    for (line, guest) in lines[2..].iter().zip(guests) {
        let row = format!("  {}|{}|", guest["vmid"], guest["kind"].as_str().unwrap());
        assert!(line.starts_with(&row), "{line:?} is not {guest}");
    }
    assert!(
        table.contains(&format!("\ntotal: {}", structured["total"])),
        "{table}"
    );

    let json: Value = serde_json::from_str(&full)?;
    assert_eq!(json, same);
    assert_eq!(json["guests"].as_array().map(Vec::len), Some(guests.len()));
    Ok(())
}

#[tokio::test]
async fn a_table_of_many_guests_takes_two_fifths_of_the_json() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--guests=500").start().await?;
    let client = client(&sim).await?;
    let arguments = json!({ "limit": 500 });
    let (structured, table) = answer(&client, "list_guests", arguments).await?;
    let json = structured.to_string();
    assert!(structured["guests"].as_array().unwrap().len() > 400);
    assert!(
        table.len() * 5 < json.len() * 2,
        "{} bytes of text, {} of JSON",
        table.len(),
        json.len()
    );
    Ok(())
}

#[tokio::test]
async fn detail_has_two_values() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = client(&sim).await?;
    let arguments = json!({ "detail": "all" });
    let error = client.error("list_nodes", arguments).await?;
    assert!(
        error.contains("/detail: must be \"concise\" (tables) or \"full\" (JSON)"),
        "{error}"
    );
    for nothing in [Value::Null, json!("")] {
        let (_, text) = answer(&client, "list_nodes", json!({ "detail": nothing })).await?;
        assert!(text.starts_with("nodes:\n  node|"), "{text}");
    }
    // A tool that changes something does not offer it, but takes it.
    let arguments = json!({ "vmid": 100, "detail": "full" });
    let (structured, text) = answer(&client, "start_guest", arguments).await?;
    assert_eq!(serde_json::from_str::<Value>(&text)?, structured);
    Ok(())
}

#[tokio::test]
async fn the_list_of_tools_outlines_results() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let outlined = client(&sim).await?;
    let complete = sim.host()?.connect().await?;
    let size = |client: &Client| serde_json::to_string(client.tools()).map(|text| text.len());
    let (short, long) = (size(&outlined)?, size(&complete)?);
    assert!(short < long * 2 / 3, "{short} and {long} bytes");
    // What the whole list of the default tools costs in a model's context.
    let admin = sim.admin()?.arg("--toolsets=default");
    let admin = admin.env_remove("PROXMOX_MCP_DETAIL");
    let default = size(&admin.connect().await?)?;
    assert!(default <= 56 * 1024, "{default} bytes");

    for (outline, whole) in outlined.tools().iter().zip(complete.tools()) {
        let name = &outline["name"];
        let (outline_output, output) = (&outline["outputSchema"], &whole["outputSchema"]);
        let names = |schema: &Value| -> Vec<String> {
            let properties = schema["properties"].as_object();
            properties
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect()
        };
        assert_eq!(names(outline_output), names(output), "{name}");
        assert_eq!(outline_output["required"], output["required"], "{name}");
        let offers = outline["inputSchema"]["properties"]["detail"].is_object();
        assert_eq!(
            offers,
            outline["annotations"]["readOnlyHint"] == true,
            "{name}"
        );
    }
    Ok(())
}
