//! What the entry of a server looks like in each client.

use serde_json::{Map, Value, json};

use super::{Client, Entry};

/// How a client reaches the server.
pub(crate) enum Launch {
    /// It starts this program.
    Program {
        /// An absolute path, or a name that is found in every environment.
        command: String,
        /// The program's arguments.
        args: Vec<String>,
    },
    /// It sends requests to a server over HTTP.
    Http {
        /// The server's address, with its path.
        url: String,
        /// Where the client finds its token; None for a server without tokens.
        token: Option<Token>,
    },
}

/// Where a client finds its token.
pub(crate) struct Token {
    /// The environment variable that has it.
    pub variable: String,
    /// Its value, only for a file of a client that knows no variables; None to show such an
    /// entry.
    pub value: Option<String>,
}

/// How a client writes its token's environment variable.
fn bearer(client: Client, token: &Token, name: &str) -> String {
    let variable = &token.variable;
    let value = match client {
        Client::ClaudeCode => format!("${{{variable}}}"),
        Client::Cursor | Client::Windsurf => format!("${{env:{variable}}}"),
        Client::VsCode => format!("${{input:{name}-token}}"),
        Client::Gemini => format!("${variable}"),
        _ => token.value.clone().unwrap_or("TOKEN".to_owned()),
    };
    format!("Bearer {value}")
}

/// Whether the client's file has to contain the token itself.
pub(crate) fn holds_token(client: Client) -> bool {
    !matches!(
        client,
        Client::ClaudeCode
            | Client::Cursor
            | Client::Windsurf
            | Client::VsCode
            | Client::Gemini
            | Client::Codex
    )
}

/// The entry of a server of this name.
pub(crate) fn entry(client: Client, name: &str, launch: &Launch) -> Entry {
    let (value, inputs) = match launch {
        Launch::Program { command, args } => (of_program(client, command, args), None),
        Launch::Http { url, token } => {
            let token = token.as_ref();
            let asked = (client == Client::VsCode).then_some(token).flatten();
            let inputs = asked.map(|_| {
                json!({
                    "type": "promptString",
                    "id": format!("{name}-token"),
                    "description": "The token of this client",
                    "password": true,
                })
            });
            (of_http(client, name, url, token), inputs)
        }
    };
    Entry {
        section: client.section(),
        name: name.to_owned(),
        value,
        input: inputs,
        format: client.format(),
        holds_secret: holds_token(client)
            && matches!(launch, Launch::Http { token: Some(token), .. } if token.value.is_some()),
    }
}

fn of_program(client: Client, command: &str, args: &[String]) -> Value {
    match client {
        Client::VsCode => json!({"type": "stdio", "command": command, "args": args}),
        Client::ClaudeCode => json!({"type": "stdio", "command": command, "args": args, "env": {}}),
        // It resolves files from its own folder otherwise.
        Client::Warp => {
            let folder = std::path::Path::new(command).parent();
            let folder = folder.filter(|folder| folder.is_absolute());
            let mut entry = json!({"command": command, "args": args});
            if let (Some(folder), Some(entry)) = (folder, entry.as_object_mut()) {
                let folder = folder.display().to_string();
                entry.insert("working_directory".to_owned(), folder.into());
            }
            entry
        }
        // By default, it gives up on a call after 60 s, as this server does not.
        Client::Codex => json!({"command": command, "args": args, "tool_timeout_sec": 300}),
        _ => json!({"command": command, "args": args}),
    }
}

fn of_http(client: Client, name: &str, url: &str, token: Option<&Token>) -> Value {
    let mut entry = Map::new();
    if matches!(client, Client::ClaudeCode | Client::VsCode) {
        entry.insert("type".to_owned(), "http".into());
    }
    let key = match client {
        Client::Windsurf => "serverUrl",
        Client::Gemini => "httpUrl",
        _ => "url",
    };
    entry.insert(key.to_owned(), url.into());
    if let Some(token) = token {
        let (key, value) = match client {
            Client::Codex => ("bearer_token_env_var", json!(token.variable)),
            _ => (
                "headers",
                json!({"Authorization": bearer(client, token, name)}),
            ),
        };
        entry.insert(key.to_owned(), value);
    }
    if client == Client::Codex {
        entry.insert("tool_timeout_sec".to_owned(), 300.into());
    }
    Value::Object(entry)
}
