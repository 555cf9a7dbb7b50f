//! The tools as plain HTTP: `POST /tools/NAME` with the arguments as a JSON object, and
//! `/openapi.json`, which describes that to programs.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{Refusal, json_response};
use crate::engine::{Tool, ToolError};
use crate::mcp::{Body, Server};
use crate::remote::Remote;
use crate::render;
use crate::trace::Parent;

/// What the path of a tool begins with.
pub(super) const TOOLS: &str = "/tools/";

/// Calls a tool with what the body of a request says.
pub(super) async fn call(
    server: &Server,
    tool: &str,
    body: &Bytes,
    remote: &Remote,
    headers: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let arguments = match body.trim_ascii() {
        [] => Map::new(),
        text => serde_json::from_slice(text).map_err(|_| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "bad_arguments",
                "the body is not a JSON object with the arguments of the tool, for example \
                 {\"vmid\":100}",
            )
        })?,
    };
    let parent = Parent::of_headers(headers);
    let called = server
        .call_plainly(tool, arguments, remote.clone(), parent)
        .await;
    Ok(match called {
        Ok(result) => json_response(StatusCode::OK, &Value::Object(result)),
        Err(error) => {
            let mut body = render::error_json(&error);
            if let Some(body) = body.as_object_mut() {
                body.insert("request_id".to_owned(), json!(&*remote.request));
            }
            json_response(status(&error), &body)
        }
    })
}

/// The description of all tools that can be called, in OpenAPI 3.1.
pub(super) async fn describe(server: &Server, is_open: bool) -> Result<Response<Body>, Refusal> {
    let faulty = |error: ToolError| {
        let message = render::error_text(&error);
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no_tools", message)
    };
    let tools = server.plain_tools().await.map_err(faulty)?;
    let paths: Result<Map<_, _>, _> = tools.iter().map(operation).collect();
    let paths = paths.map_err(faulty)?;
    Ok(json_response(StatusCode::OK, &document(paths, is_open)))
}

/// An error is the caller's, Proxmox VE's, or this server's.
fn status(error: &ToolError) -> StatusCode {
    match error {
        ToolError::InvalidArguments(_) => StatusCode::BAD_REQUEST,
        ToolError::Denied(_) => StatusCode::FORBIDDEN,
        ToolError::UnknownTool(_) | ToolError::NotFound(_) => StatusCode::NOT_FOUND,
        ToolError::Conflict(_) => StatusCode::CONFLICT,
        // Of Proxmox VE: the client's own token was accepted.
        ToolError::Unreachable(_) | ToolError::Unauthorized(_) | ToolError::FailedTask(_) => {
            StatusCode::BAD_GATEWAY
        }
        ToolError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn operation(tool: &Tool) -> Result<(String, Value), ToolError> {
    let input = render::schema(tool, &tool.input_schema)?;
    let output = render::schema(tool, &tool.output_schema)?;
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let error = json!({ "$ref": "#/components/responses/Error" });
    let operation = json!({
        "post": {
            "operationId": tool.name,
            "summary": tool.title,
            "description": tool.description,
            "requestBody": { "required": true, "content": content(Value::Object(input)) },
            "responses": {
                "200": { "description": "The result", "content": content(Value::Object(output)) },
                "default": error,
            },
        },
    });
    Ok((format!("{TOOLS}{}", tool.name), operation))
}

fn document(paths: Map<String, Value>, is_open: bool) -> Value {
    let error = json!({
        "type": "object",
        "properties": {
            "error": { "type": "string", "description": "The kind of the error" },
            "message": { "type": "string", "description": "What is wrong, and what to do next" },
            "request_id": { "type": "string" },
        },
        "required": ["error", "message"],
    });
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Proxmox VE",
            "description": "The tools of proxmox-mcp. Each call is limited by the policy of the \
                            server's operator.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": { "Error": error },
            "responses": {
                "Error": {
                    "description": "Nothing was done, or not all of it: `message` says what",
                    "content": {
                        "application/json": { "schema": { "$ref": "#/components/schemas/Error" } },
                    },
                },
            },
        },
    });
    if !is_open && let Some(document) = document.as_object_mut() {
        let bearer = json!({ "bearer": { "type": "http", "scheme": "bearer" } });
        if let Some(components) = document
            .get_mut("components")
            .and_then(Value::as_object_mut)
        {
            components.insert("securitySchemes".to_owned(), bearer);
        }
        document.insert("security".to_owned(), json!([{ "bearer": [] }]));
    }
    document
}
