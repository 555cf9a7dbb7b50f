//! Views: pages in which a client with MCP Apps shows results to its user.

use std::collections::BTreeSet;

use harness::{Raw, Sim};
use serde_json::{Value, json};

const EXTENSION: &str = "io.modelcontextprotocol/ui";
const MIME_TYPE: &str = "text/html;profile=mcp-app";
const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

/// A client of a revision, with these capabilities.
struct Peer {
    raw: Raw,
    meta: Option<Value>,
    greeting: Value,
}

impl Peer {
    async fn connect(sim: &Sim, revision: &str, capabilities: Value) -> anyhow::Result<Self> {
        let mut raw = sim.host()?.raw()?;
        if revision == "2025-11-25" {
            let params = json!({
                "protocolVersion": revision,
                "capabilities": capabilities,
                "clientInfo": { "name": "tests", "version": "0" },
            });
            let greeting = raw.request("initialize", params).await?;
            raw.send_json(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
                .await?;
            return Ok(Self {
                raw,
                meta: None,
                greeting,
            });
        }
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": revision,
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        });
        let discover = json!({ "_meta": meta });
        let greeting = raw.request("server/discover", discover).await?;
        Ok(Self {
            raw,
            meta: Some(meta),
            greeting,
        })
    }

    async fn request(&mut self, method: &str, mut params: Value) -> anyhow::Result<Value> {
        if let (Some(meta), Some(params)) = (&self.meta, params.as_object_mut()) {
            params.insert("_meta".to_owned(), meta.clone());
        }
        self.raw.request(method, params).await
    }

    async fn tools(&mut self) -> anyhow::Result<Value> {
        self.request("tools/list", json!({})).await
    }
}

fn with_views() -> Value {
    json!({ "extensions": { EXTENSION: { "mimeTypes": [MIME_TYPE] } } })
}

fn meta<'a>(list: &'a Value, tool: &str) -> Option<&'a Value> {
    let mut tools = list.pointer("/result/tools")?.as_array()?.iter();
    let tool = tools.find(|one| one.get("name") == Some(&json!(tool)))?;
    tool.get("_meta")
}

#[tokio::test]
async fn a_client_with_the_extension_finds_and_reads_views() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for revision in REVISIONS {
        let mut peer = Peer::connect(&sim, revision, with_views()).await?;
        let capabilities = &peer.greeting["result"]["capabilities"];
        assert_eq!(capabilities["extensions"][EXTENSION], json!({}));

        let list = peer.tools().await?;
        let uri = "ui://proxmox-mcp/cluster";
        assert_eq!(
            meta(&list, "get_cluster_status"),
            Some(&json!({ "ui": { "resourceUri": uri }, "ui/resourceUri": uri }))
        );
        let uri = "ui://proxmox-mcp/evacuation";
        let ui = json!({ "resourceUri": uri, "visibility": ["model"] });
        assert_eq!(
            meta(&list, "evacuate_node"),
            Some(&json!({ "ui": ui, "ui/resourceUri": uri }))
        );
        assert_eq!(meta(&list, "list_guests"), None);

        let mut uris = BTreeSet::new();
        for tool in list["result"]["tools"].as_array().unwrap() {
            // No page can make a change.
            let reads = tool["annotations"]["readOnlyHint"] == true;
            let visibility = &tool["_meta"]["ui"]["visibility"];
            let expected = if reads { Value::Null } else { json!(["model"]) };
            assert_eq!(visibility, &expected, "{}", tool["name"]);
            if let Some(uri) = tool["_meta"]["ui"]["resourceUri"].as_str() {
                uris.insert(uri);
            }
        }
        assert_eq!(uris.len(), 3, "{uris:?}");
        for uri in uris {
            let read = peer
                .request("resources/read", json!({ "uri": uri }))
                .await?;
            let content = &read["result"]["contents"][0];
            assert_eq!(content["uri"], uri, "{read}");
            assert_eq!(content["mimeType"], MIME_TYPE);
            // Without domains, a client lets it load nothing.
            assert_eq!(content["_meta"], json!({ "ui": { "prefersBorder": true } }));
            let html = content["text"].as_str().unwrap();
            assert!(html.starts_with("<!doctype html>"), "{html}");
            if revision == "2026-07-28" {
                assert!(read["result"]["ttlMs"].as_u64() > Some(0), "{read}");
            }
        }
        // Other clients may not be given this list by a cache.
        if revision == "2026-07-28" {
            assert_eq!(list["result"]["cacheScope"], "private");
        }
        // What a page shows is the result as it is.
        let call = json!({ "name": "get_cluster_status", "arguments": {} });
        let result = peer.request("tools/call", call).await?;
        assert!(result["result"]["structuredContent"]["nodes"].is_array());
        assert_eq!(result["result"]["_meta"]["ui"], Value::Null);
    }
    Ok(())
}

#[tokio::test]
async fn other_clients_see_nothing_of_views() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let other_type = json!({ "extensions": { EXTENSION: { "mimeTypes": ["text/html"] } } });
    for revision in REVISIONS {
        for capabilities in [json!({}), other_type.clone()] {
            let mut peer = Peer::connect(&sim, revision, capabilities).await?;
            let list = peer.tools().await?;
            let has_meta = |tool: &Value| tool.get("_meta").is_some();
            let mut tools = list["result"]["tools"].as_array().unwrap().iter();
            assert!(!tools.any(has_meta), "{list}");
            if revision == "2026-07-28" {
                assert_eq!(list["result"]["cacheScope"], "public");
            }
            let listed = peer.request("resources/list", json!({})).await?;
            assert!(!listed.to_string().contains("ui://"), "{listed}");
        }
    }
    Ok(())
}

/// In the era of 2026, each request says what the client can do.
#[tokio::test]
async fn the_list_depends_on_the_request_and_not_on_earlier_ones() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut peer = Peer::connect(&sim, "2026-07-28", with_views()).await?;
    let with = peer.tools().await?;
    peer.meta = Some(json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }));
    let without = peer.tools().await?;
    assert!(meta(&with, "get_cluster_status").is_some());
    assert_eq!(meta(&without, "get_cluster_status"), None);
    let names = |list: &Value| -> Vec<Value> {
        let tools = list["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].clone()).collect()
    };
    assert_eq!(names(&with), names(&without));
    Ok(())
}

/// A view is there as long as one of its tools is.
#[tokio::test]
async fn a_view_without_a_tool_cannot_be_read() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.arg("--toolsets=power").raw()?;
    raw.initialize().await?;
    for (uri, is_there) in [
        ("ui://proxmox-mcp/change", true),
        ("ui://proxmox-mcp/cluster", false),
        ("ui://proxmox-mcp/none", false),
    ] {
        let read = raw.request("resources/read", json!({ "uri": uri })).await?;
        assert_eq!(read.get("result").is_some(), is_there, "{read}");
        assert_eq!(read.get("error").is_some(), !is_there, "{read}");
    }
    Ok(())
}
