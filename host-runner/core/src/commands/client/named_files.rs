//! The files that a file of settings names: the client starts the server in another folder, or
//! in a container.

use std::path::Path;

use crate::commands::CommandError;
use crate::env_file;

/// How the names of settings end whose values are files that the server reads.
const READ: [&str; 5] = ["_FILE", "_CERT", "_KEY", "_POLICY", "_CLUSTERS"];

/// The settings whose values are other files, unless they are one of these words.
const OTHERS: [(&str, &[&str]); 2] = [
    ("PROXMOX_MCP_AUDIT", &["-", "journald", "syslog"]),
    ("PROXMOX_MCP_COMPONENT", &[]),
];

/// What is to be done for the files that a file of settings names.
#[derive(Default)]
pub(super) struct Named {
    /// Options of Docker that make them visible in a container, under the same names.
    pub volumes: Vec<String>,
    /// Settings with a relative path, and what to write instead.
    pub warnings: Vec<String>,
}

impl Named {
    /// Reads the file of settings at this absolute path.
    pub(super) fn read(env_file: &str) -> Result<Self, CommandError> {
        let failed = |error: &dyn std::fmt::Display| {
            CommandError::Usage(format!("cannot use --env-file {env_file}: {error}"))
        };
        let text = std::fs::read(env_file).map_err(|error| failed(&error))?;
        let mut named = Self::default();
        env_file::parse(&text, |name, value| named.add(env_file, name, &value))
            .map_err(|error| failed(&error))?;
        Ok(named)
    }

    fn add(&mut self, env_file: &str, name: &str, value: &str) {
        let is_read = name.starts_with("PROXMOX_") && READ.iter().any(|end| name.ends_with(end));
        let others = OTHERS.iter().find(|(other, _)| *other == name);
        let is_other = others.is_some_and(|(_, words)| !words.contains(&value));
        let path = Path::new(value);
        if value.is_empty() || !(is_read || is_other) {
            return;
        }
        if path.is_relative() {
            let here = std::path::absolute(path).unwrap_or_default();
            let beside = Path::new(env_file).with_file_name("").join(path);
            let found = [here, beside].into_iter().find(|path| path.exists());
            let instead = match found {
                Some(path) => format!("{name}={}", path.display()),
                None => "its absolute path".to_owned(),
            };
            self.warnings.push(format!(
                "{name} in {env_file} is a relative path, but the client starts the server in a \
                 folder of its own choice: write {instead}"
            ));
        } else if is_read && path.is_file() {
            self.volumes
                .extend(["--volume".to_owned(), format!("{value}:{value}:ro")]);
        }
    }
}
