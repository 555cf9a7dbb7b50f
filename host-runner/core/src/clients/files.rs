//! Where each client has its configuration.

use std::path::{Path, PathBuf};

use super::Client;

/// An operating system, as far as clients place their files by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Linux and other Unix systems.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

/// What the place of a file depends on.
pub(crate) struct Surroundings<'a> {
    /// The system that the client runs on.
    pub system: System,
    /// Returns an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// Returns the entries of a folder; none if there is no such folder.
    pub entries: &'a dyn Fn(&Path) -> Vec<PathBuf>,
}

impl System {
    /// The one that this program was built for.
    pub(crate) fn this() -> Self {
        match std::env::consts::OS {
            "windows" => Self::Windows,
            "macos" => Self::MacOs,
            _ => Self::Linux,
        }
    }
}

impl Surroundings<'_> {
    fn variable(&self, name: &str) -> Option<PathBuf> {
        (self.variable)(name).filter(|value| value.is_absolute() || self.system == System::Windows)
    }

    fn home(&self) -> Option<PathBuf> {
        match self.system {
            System::Windows => self.variable("USERPROFILE").or(self.variable("HOME")),
            System::Linux | System::MacOs => self.variable("HOME"),
        }
    }

    /// Where programs keep their settings: by default on Linux `~/.config`.
    fn settings(&self) -> Option<PathBuf> {
        match self.system {
            System::Linux => self
                .variable("XDG_CONFIG_HOME")
                .or(self.home().map(|home| home.join(".config"))),
            System::MacOs => self
                .home()
                .map(|home| home.join("Library").join("Application Support")),
            System::Windows => self.variable("APPDATA"),
        }
    }

    /// Claude Desktop from the Microsoft Store reads another folder than the one from a setup
    /// program, and nothing says which of them a user starts.
    fn store_packages(&self) -> Vec<PathBuf> {
        let local = match self.system {
            System::Windows => self.variable("LOCALAPPDATA"),
            System::Linux | System::MacOs => None,
        };
        let packages = local.map(|local| (self.entries)(&local.join("Packages")));
        let mut found: Vec<PathBuf> = packages
            .into_iter()
            .flatten()
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| name.starts_with("Claude_"))
            })
            .map(|path| path.join("LocalCache").join("Roaming").join("Claude"))
            .collect();
        found.sort();
        found
    }
}

/// The files by which a client is configured for a user, none if it has none or the
/// environment does not say where the user's files are. More than one if several
/// installations of the client read different ones.
pub(crate) fn user_files(client: Client, around: &Surroundings<'_>) -> Vec<PathBuf> {
    const DESKTOP: &str = "claude_desktop_config.json";
    let in_home = |path: &str| around.home().map(|home| home.join(path));
    let in_settings = |path: &str| around.settings().map(|folder| folder.join(path));
    let file = match client {
        Client::ClaudeDesktop => {
            let packages = around.store_packages();
            let folders = in_settings("Claude").into_iter().chain(packages);
            return folders.map(|folder| folder.join(DESKTOP)).collect();
        }
        Client::ClaudeCode => in_home(".claude.json"),
        Client::Cursor => in_home(".cursor/mcp.json"),
        Client::VsCode => in_settings("Code/User/mcp.json"),
        Client::Windsurf => in_home(".codeium/windsurf/mcp_config.json"),
        Client::Gemini => in_home(".gemini/settings.json"),
        Client::Zed => match around.system {
            System::Linux => in_settings("zed/settings.json"),
            System::MacOs => in_home(".config/zed/settings.json"),
            System::Windows => in_settings("Zed/settings.json"),
        },
        Client::Codex => around
            .variable("CODEX_HOME")
            .or(in_home(".codex"))
            .map(|folder| folder.join("config.toml")),
        Client::LmStudio => in_home(".lmstudio/mcp.json"),
        Client::Warp => in_home(".warp/.mcp.json"),
        Client::Continue | Client::OpenWebui | Client::Jetbrains | Client::Goose => None,
    };
    file.into_iter().collect()
}

/// The file by which a client is configured for one project, if it has such a file.
pub(crate) fn project_file(client: Client, project: &Path) -> Option<PathBuf> {
    let path = match client {
        Client::ClaudeCode => ".mcp.json",
        Client::Cursor => ".cursor/mcp.json",
        Client::VsCode => ".vscode/mcp.json",
        Client::Gemini => ".gemini/settings.json",
        Client::Warp => ".warp/.mcp.json",
        Client::Continue => ".continue/mcpServers/proxmox.json",
        _ => return None,
    };
    Some(project.join(path))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn files(system: System, client: Client) -> Vec<String> {
        let variable = |name: &str| match name {
            "HOME" | "USERPROFILE" => Some(PathBuf::from("/home/ann")),
            "APPDATA" => Some(PathBuf::from("/roaming")),
            "LOCALAPPDATA" => Some(PathBuf::from("/local")),
            _ => None,
        };
        let entries = |path: &Path| vec![path.join("Other_1"), path.join("Claude_pzs8sxrjxfjjc")];
        let around = Surroundings {
            system,
            variable: &variable,
            entries: &entries,
        };
        let files = user_files(client, &around);
        files
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn claude_desktop_has_a_place_on_each_system() {
        let client = Client::ClaudeDesktop;
        assert_eq!(
            files(System::Linux, client),
            ["/home/ann/.config/Claude/claude_desktop_config.json"]
        );
        assert_eq!(
            files(System::MacOs, client),
            ["/home/ann/Library/Application Support/Claude/claude_desktop_config.json"]
        );
        assert_eq!(
            files(System::Windows, client),
            [
                "/roaming/Claude/claude_desktop_config.json",
                "/local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude/claude_desktop_config.json",
            ]
        );
    }

    #[test]
    fn others_too() {
        assert_eq!(
            files(System::MacOs, Client::Zed),
            ["/home/ann/.config/zed/settings.json"]
        );
        assert_eq!(
            files(System::Windows, Client::Zed),
            ["/roaming/Zed/settings.json"]
        );
        assert_eq!(
            files(System::Linux, Client::VsCode),
            ["/home/ann/.config/Code/User/mcp.json"]
        );
        assert_eq!(
            files(System::Linux, Client::Codex),
            ["/home/ann/.codex/config.toml"]
        );
    }

    #[test]
    fn a_client_has_a_file_or_steps() {
        for client in Client::value_variants() {
            let has_file = !files(System::Linux, *client).is_empty();
            let has_project = project_file(*client, Path::new("/p")).is_some();
            let has_steps = client.steps(false).is_some();
            assert!(has_file || has_project || has_steps, "{client:?}");
        }
    }
}
