//! MCP clients: which file configures each, and what an entry for a server looks like there.
//!
//! Reads and writes nothing: `commands::client` does that.

mod entry;
mod files;
mod merge;

pub(crate) use self::entry::{Launch, Token, entry, holds_token};
pub(crate) use self::files::{Surroundings, System, project_file, user_files};
pub(crate) use self::merge::{Entry, MergeError, Merged, existing, merge, written};

use clap::ValueEnum;

/// A program that connects to MCP servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Claude Desktop
    ClaudeDesktop,
    /// Claude Code
    ClaudeCode,
    /// Cursor
    Cursor,
    /// VS Code, with GitHub Copilot
    #[value(name = "vscode")]
    VsCode,
    /// Windsurf
    Windsurf,
    /// Gemini CLI
    Gemini,
    /// Zed
    Zed,
    /// Codex
    Codex,
    /// LM Studio
    LmStudio,
    /// Warp
    Warp,
    /// Continue
    Continue,
    /// Open WebUI
    OpenWebui,
    /// The AI Assistant of JetBrains' programs
    Jetbrains,
    /// Goose
    Goose,
}

/// How a client's configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, possibly with comments and trailing commas.
    Json,
    /// TOML.
    Toml,
}

impl Client {
    /// Its name as an argument of the command.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "claude-desktop",
            Self::ClaudeCode => "claude-code",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::Windsurf => "windsurf",
            Self::Gemini => "gemini",
            Self::Zed => "zed",
            Self::Codex => "codex",
            Self::LmStudio => "lm-studio",
            Self::Warp => "warp",
            Self::Continue => "continue",
            Self::OpenWebui => "open-webui",
            Self::Jetbrains => "jetbrains",
            Self::Goose => "goose",
        }
    }

    /// Its name as its users know it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "Claude Desktop",
            Self::ClaudeCode => "Claude Code",
            Self::Cursor => "Cursor",
            Self::VsCode => "VS Code",
            Self::Windsurf => "Windsurf",
            Self::Gemini => "Gemini CLI",
            Self::Zed => "Zed",
            Self::Codex => "Codex",
            Self::LmStudio => "LM Studio",
            Self::Warp => "Warp",
            Self::Continue => "Continue",
            Self::OpenWebui => "Open WebUI",
            Self::Jetbrains => "JetBrains AI Assistant",
            Self::Goose => "Goose",
        }
    }

    /// How its file is written.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Codex => Format::Toml,
            _ => Format::Json,
        }
    }

    /// The key under which its file has the entries of servers.
    pub(crate) fn section(self) -> &'static str {
        match self {
            Self::VsCode => "servers",
            Self::Zed => "context_servers",
            Self::Codex => "mcp_servers",
            _ => "mcpServers",
        }
    }

    /// What its user does, where this program edits no file of it.
    pub(crate) fn steps(self, http: bool) -> Option<&'static str> {
        match self {
            Self::ClaudeDesktop if http => Some(
                "Claude Desktop starts servers itself; a server over HTTP is added under Settings, \
                 Connectors, and is reached from Anthropic's cloud, not from this computer.",
            ),
            Self::OpenWebui if http => Some(
                "In Open WebUI, open Admin Panel, Settings, External Tools, and add a connection \
                 of the type MCP (Streamable HTTP) with this URL; its key is the client's token.",
            ),
            Self::OpenWebui => Some(
                "Open WebUI starts no servers. Serve this one over HTTP (`host-runner serve --http \
                 127.0.0.1:8080`), then run `host-runner client open-webui --http \
                 http://127.0.0.1:8080/mcp`. Or start mcpo with this configuration:",
            ),
            Self::Jetbrains => Some(
                "In the JetBrains program, open Settings, Tools, AI Assistant, Model Context \
                 Protocol (MCP), choose Add, As JSON, and paste:",
            ),
            Self::Goose => Some(
                "Add this to ~/.config/goose/config.yaml \
                 (Windows: %APPDATA%\\Block\\goose\\config\\config.yaml), \
                 or run `goose configure` and choose Add Extension:",
            ),
            _ => None,
        }
    }

    /// What its user should know of it.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "Quit and start Claude Desktop again.",
            Self::ClaudeCode => "Check it with `claude mcp list`.",
            Self::Cursor => "Check it under Settings, MCP.",
            Self::VsCode => "Check it with the command \"MCP: List Servers\".",
            Self::Windsurf => "Check it in the MCP panel of Cascade; refresh it there.",
            Self::Gemini => "Check it with `/mcp` in a session.",
            Self::Zed => "Check it in the settings of the Agent Panel.",
            Self::Codex => "Check it with `codex mcp list`.",
            Self::LmStudio => "Check it under Program, Integrations.",
            Self::Warp => "Check it under Settings, AI, MCP servers.",
            Self::Continue => "Tools are offered in agent mode.",
            Self::OpenWebui | Self::Jetbrains | Self::Goose => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_the_same_names() {
        for client in Client::value_variants() {
            let value = client.to_possible_value().unwrap();
            assert_eq!(value.get_name(), client.id());
        }
    }
}
