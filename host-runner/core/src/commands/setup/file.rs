//! The file of settings that is written: `NAME=value` lines that both `--env-file` and
//! `docker --env-file` read, so without quotes.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::cli::SetupArgs;
use crate::commands::CommandError;
use crate::settings::{Variable, own_file};
use crate::system::private;

/// Where the settings are written.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    replace: bool,
}

impl Place {
    /// Chooses it. Fails if there is a file already that may not be replaced, before anything
    /// is asked.
    ///
    /// The default is in the user's own configuration: all commands find it, from any working
    /// directory, and it is in no repository.
    pub(super) fn new(args: &SetupArgs) -> Result<Self, CommandError> {
        let path = match &args.out {
            Some(path) => path.clone(),
            None => own_file().ok_or_else(|| {
                CommandError::Usage(
                    "the environment does not say where your settings are: name the file to write \
                     with --out"
                        .to_owned(),
                )
            })?,
        };
        let path = std::path::absolute(&path)?;
        // A link stays one.
        let path = path.canonicalize().unwrap_or(path);
        let is_file = path.metadata().map(|metadata| metadata.is_file());
        if is_file.is_ok_and(|is_file| !is_file) {
            return Err(CommandError::Usage(format!(
                "{} is not a file: name one with --out",
                path.display()
            )));
        }
        if path.symlink_metadata().is_ok() && !args.replace {
            return Err(exists(&path));
        }
        Ok(Self {
            path,
            replace: args.replace,
        })
    }

    /// Its absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the settings, readable by the user alone. Returns where an earlier file was
    /// moved to.
    pub(super) fn write(&self, text: &str) -> Result<Option<PathBuf>, CommandError> {
        let failed = |what: &str, path: &Path, error: &io::Error| {
            CommandError::Unhealthy(format!(
                "{what} {} failed: {error}; name another file with --out",
                path.display()
            ))
        };
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let made = private::create_folder(folder);
        made.map_err(|error| failed("creating", folder, &error))?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let draft = folder.join(format!(".{name}.{}", std::process::id()));
        let drafted = draft_of(&draft, text);
        let moved = drafted
            .map_err(|error| failed("writing", &draft, &error))
            .and_then(|()| self.put(&draft));
        // Where it was put, it has a second name.
        let _ = fs::remove_file(&draft);
        moved
    }

    /// Gives the draft its name, unless there is a file of that name.
    fn put(&self, draft: &Path) -> Result<Option<PathBuf>, CommandError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(&self.path),
            _ => CommandError::Unhealthy(format!(
                "writing {} failed: {error}: name another file with --out",
                self.path.display()
            )),
        };
        if !self.replace || self.path.symlink_metadata().is_err() {
            fs::hard_link(draft, &self.path).map_err(failed)?;
            return Ok(None);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut backup = self.path.clone().into_os_string();
        backup.push(format!(".backup-{}", since.unwrap_or_default().as_millis()));
        let backup = PathBuf::from(backup);
        fs::hard_link(&self.path, &backup).map_err(failed)?;
        fs::rename(draft, &self.path).map_err(failed)?;
        Ok(Some(backup))
    }
}

fn exists(path: &Path) -> CommandError {
    CommandError::Usage(format!(
        "{} exists: pass --replace to keep it as a backup and write a new one, or name another \
         file with --out",
        path.display()
    ))
}

fn draft_of(path: &Path, text: &str) -> io::Result<()> {
    let mut file = private::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The text of the file. Fails for a value that would be read as another one.
pub(super) fn text<'a>(
    values: impl IntoIterator<Item = (Variable, &'a str)>,
) -> Result<Zeroizing<String>, CommandError> {
    let mut text = Zeroizing::new(
        "# Settings of host-runner, written by `host-runner setup`. This file holds a secret.\n"
            .to_owned(),
    );
    for (variable, value) in values {
        if !reads_the_same(value) {
            return Err(CommandError::Usage(format!(
                "{} has characters that an env file cannot hold without quotes: give it without \
                 line breaks, quotes at its start, and # after a blank",
                variable.name()
            )));
        }
        text.push_str(variable.name());
        text.push('=');
        text.push_str(value);
        text.push('\n');
    }
    Ok(text)
}

/// Whether a value without quotes is read as it is, by `env_file` and by Docker.
fn reads_the_same(value: &str) -> bool {
    value.trim() == value
        && !value.starts_with(['"', '\'', '#'])
        && !value.contains(" #")
        && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file;

    #[test]
    fn what_is_written_is_read() {
        let values = ["https://pve1:8006,https://[::1]:8006", "a b#c", "x=y"];
        for value in values {
            let text = text([(Variable::Url, value)]).unwrap();
            let mut read = Vec::new();
            env_file::parse(text.as_bytes(), |name, value| {
                read.push((name.to_owned(), value));
            })
            .unwrap();
            assert_eq!(read, [("PROXMOX_URL".to_owned(), value.to_owned())]);
        }
        for value in ["\"a\"", "'a", "a #b", "#a", "a\nB=c", " a"] {
            text([(Variable::Url, value)]).unwrap_err();
        }
    }
}
