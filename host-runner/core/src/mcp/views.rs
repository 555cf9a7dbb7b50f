//! Views: pages in which a client shows results to its user, as MCP Apps do. Clients that
//! have not declared the extension get the same lists and results as without views.
//!
//! A page may ask its client to call tools. So clients with views are told that only the
//! model may call what changes something: a page must not take part in a decision that is
//! the user's. Where the policy requires consent, the host asks for it in any case.

use rmcp::RoleServer;
use rmcp::model::{MetaObject, ReadResourceResult, ResourceContents, Tool as McpTool};
use rmcp::service::RequestContext;
use serde_json::{Map, Value, json};

use crate::guide::{Guide, View};

/// The extension's identifier.
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/ui";
/// What every view is, and what a client says that it can show.
const MIME_TYPE: &str = "text/html;profile=mcp-app";
/// Where clients before the extension's final revision look for a tool's view.
const OLD_KEY: &str = "ui/resourceUri";

/// Whether the client of a request shows views.
pub(super) fn are_shown(context: &RequestContext<RoleServer>) -> bool {
    let declares = || {
        let extensions = context.client_capabilities()?.extensions?;
        let types = extensions.get(EXTENSION)?.get("mimeTypes")?;
        let mut types = types.as_array()?.iter();
        Some(types.any(|one| one.as_str() == Some(MIME_TYPE)))
    };
    declares() == Some(true)
}

/// A tool for a client that shows views.
pub(super) fn with_view(tool: McpTool, guide: &Guide) -> McpTool {
    let mut ui = Map::new();
    let mut meta = Map::new();
    if let Some(view) = guide.view_of(&tool.name) {
        let uri = &view.declared().uri;
        ui.insert("resourceUri".to_owned(), json!(uri));
        meta.insert(OLD_KEY.to_owned(), json!(uri));
    }
    let annotations = tool.annotations.as_ref();
    if annotations.and_then(|all| all.read_only_hint) != Some(true) {
        ui.insert("visibility".to_owned(), json!(["model"]));
    }
    if ui.is_empty() {
        return tool;
    }
    meta.insert("ui".to_owned(), Value::Object(ui));
    tool.with_meta(MetaObject(meta))
}

/// The content of a view. Without a list of domains, clients let it load nothing.
pub(super) fn content(view: &View) -> ReadResourceResult {
    let view = view.declared();
    let mut meta = Map::new();
    meta.insert("ui".to_owned(), json!({ "prefersBorder": true }));
    let content = ResourceContents::text(view.html.clone(), &view.uri)
        .with_mime_type(MIME_TYPE)
        .with_meta(MetaObject(meta));
    ReadResourceResult::new(vec![content])
}
