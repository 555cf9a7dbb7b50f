//! The tools, as rmcp wants them.

use std::sync::Arc;

use adapter_common::{Answer, Failure, Kind, Tool};
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
    DiscoverResult, Implementation, ListPromptsRequestMethod, ListPromptsResult,
    ListResourceTemplatesRequestMethod, ListResourceTemplatesResult, ListResourcesRequestMethod,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
    ServerCapabilities, ServerConfig, Tool as McpTool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Map, Value};

/// How long a client may keep what never changes while the component is the
/// same.
const TTL_MS: u64 = 60 * 60 * 1000;

/// Serves one request.
#[derive(Clone, Copy)]
pub(crate) struct Server;

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let implementation =
            Implementation::new("proxmox-mcp", env!("CARGO_PKG_VERSION")).with_title("Proxmox VE");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(adapter_common::instructions())
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, self.get_info())
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = adapter_common::tools();
        let tools: Result<Vec<_>, _> = tools.into_iter().map(to_mcp).collect();
        let list = ListToolsResult::with_all_items(tools?);
        if context.protocol_version() < Some(ProtocolVersion::V_2026_07_28) {
            return Ok(list);
        }
        Ok(list
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    // There are tools and nothing else; rmcp would answer with empty lists of
    // what is not declared.

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<
            ListResourceTemplatesRequestMethod,
        >())
    }

    /// Blocks this instance: engines start another one for another request.
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let arguments = Value::Object(arguments).to_string();
        let answer = adapter_common::call(&request.name, &arguments);
        match answer.and_then(to_result) {
            Ok(result) => Ok(result.into()),
            Err(failure) if failure.kind == Kind::UnknownTool => {
                Err(ErrorData::invalid_params(failure.text(), None))
            }
            Err(failure) => {
                Ok(CallToolResult::error(vec![ContentBlock::text(failure.text())]).into())
            }
        }
    }
}

fn to_result(answer: Answer) -> Result<CallToolResult, Failure> {
    let structured = serde_json::from_str(&answer.structured).map_err(|error| {
        let message = format!("the answer of the tool is not JSON ({error})");
        Failure::new(Kind::Internal, message)
    })?;
    let mut result = CallToolResult::success(vec![ContentBlock::text(answer.structured)]);
    result.structured_content = Some(structured);
    Ok(result)
}

fn to_mcp(tool: Tool) -> Result<McpTool, ErrorData> {
    let schema = |text: &str| -> Result<Map<String, Value>, ErrorData> {
        serde_json::from_str(text).map_err(|error| {
            let message = format!("a schema of the tool {:?} is not JSON ({error})", tool.name);
            ErrorData::internal_error(message, None)
        })
    };
    let annotations = ToolAnnotations::new()
        .read_only(tool.annotations.read_only)
        .destructive(tool.annotations.destructive)
        .idempotent(tool.annotations.idempotent)
        .open_world(tool.annotations.open_world);
    let (input, output) = (schema(&tool.input_schema)?, schema(&tool.output_schema)?);
    Ok(
        McpTool::new_with_raw(tool.name, Some(tool.description.into()), input)
            .with_title(tool.title)
            .with_raw_output_schema(Arc::new(output))
            .with_annotations(annotations),
    )
}
