//! A component that opens a TCP connection by std, and so imports wasi:sockets.

#![expect(missing_docs, unsafe_code, reason = "generated code")]

use std::net::TcpStream;

use exports::proxmox::mcp::tools::{Annotations, Guest, Outcome, Tool, ToolError, ToolResult};

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package hostile:sockets;

        world sockets {
            import wasi:http/outgoing-handler@0.2.2;
            export proxmox:mcp/tools@0.1.0;
        }
    ",
    world: "hostile:sockets/sockets",
    generate_all,
});

struct Sockets;

impl Guest for Sockets {
    fn instructions() -> String {
        String::new()
    }

    fn list_tools() -> Vec<Tool> {
        vec![Tool {
            name: "connect".to_owned(),
            title: "connect".to_owned(),
            description: "Open a TCP connection.".to_owned(),
            toolset: "hostile".to_owned(),
            by_default: true,
            previews: false,
            input_schema: r#"{"type":"object"}"#.to_owned(),
            secret_arguments: Vec::new(),
            output_schema: r#"{"type":"object"}"#.to_owned(),
            calls: Vec::new(),
            annotations: Annotations {
                read_only: true,
                destructive: false,
                idempotent: true,
                open_world: false,
                dangerous: false,
            },
        }]
    }

    fn call_tool(_name: String, arguments_json: String) -> Result<Outcome, ToolError> {
        let address = arguments_json
            .split('"')
            .find(|part| part.starts_with("127."))
            .unwrap_or("127.0.0.1:22");
        let structured = match TcpStream::connect(address) {
            Ok(_) => r#"{"outcome":"connected"}"#.to_owned(),
            Err(_) => r#"{"outcome":"refused"}"#.to_owned(),
        };
        Ok(Outcome::Done(ToolResult {
            structured,
            text: String::new(),
        }))
    }

    fn resume(_ticket: String) -> Result<Outcome, ToolError> {
        Err(ToolError::Internal("no ticket".to_owned()))
    }

    fn cancel(_ticket: String) -> Result<ToolResult, ToolError> {
        Err(ToolError::Internal("no ticket".to_owned()))
    }
}

export!(Sockets);
