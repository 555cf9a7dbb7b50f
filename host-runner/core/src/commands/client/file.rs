//! Replaces a file of a client as a whole, or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::system::private;

/// A file as it was read.
pub(super) struct Original {
    /// What it says.
    pub text: String,
    permissions: Permissions,
    /// Where it is, if the path is a link.
    place: PathBuf,
}

impl Original {
    /// Reads a file; None if there is none. Fails if it is not UTF-8, and for a link to a
    /// file that does not exist.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        if let Err(error) = fs::symlink_metadata(path) {
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(None),
                _ => Err(error),
            };
        }
        let place = path.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other(
                "it is a link to a file that does not exist: create that file, or remove the link",
            ),
            _ => error,
        })?;
        let text = String::from_utf8(fs::read(&place)?)
            .map_err(|_| io::Error::other("it is not text in UTF-8: save it as UTF-8"))?;
        Ok(Some(Self {
            text,
            permissions: fs::metadata(&place)?.permissions(),
            place,
        }))
    }
}

/// Writes the new text of a file. Returns the copy of the old one, which has its mode. A file
/// that holds a secret can be read by its owner only. Fails if the file is read-only, or if the file has changed since
/// it was read.
pub(super) fn replace(
    path: &Path,
    original: Option<&Original>,
    text: &str,
    holds_secret: bool,
) -> io::Result<Option<PathBuf>> {
    let place = original.map_or(path, |original| &original.place);
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    if original.is_some_and(|original| original.permissions.readonly()) {
        return Err(io::Error::other("it is read-only: make it writable first"));
    }
    let backup = match original {
        Some(original) => {
            let backup = beside(place, &format!("{}.backup", timestamp()));
            let permissions = Some(&original.permissions);
            create(&backup, &original.text, true, permissions)?;
            Some(backup)
        }
        None => None,
    };
    let temporary = beside(place, &format!("{}.tmp", std::process::id()));
    // A file that holds a secret now is for its owner alone, whatever it was before.
    let permissions = original.filter(|_| !holds_secret);
    let permissions = permissions.map(|original| &original.permissions);
    let is_private = holds_secret || original.is_some();
    let moved = create(&temporary, text, is_private, permissions).and_then(|()| {
        let now = Original::read(place)?.map(|now| now.text);
        if now.as_ref() != original.map(|original| &original.text) {
            return Err(io::Error::other(
                "another program has just changed it: run this again",
            ));
        }
        fs::rename(&temporary, place)
    });
    if moved.is_err() {
        // The error says more than a failure to remove it.
        let _ = fs::remove_file(&temporary);
    }
    moved.map(|()| backup)
}

/// A path in the same folder.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// To the microsecond: a copy never takes the place of another.
fn timestamp() -> String {
    let text = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    text.replace([':', '-'], "")
}

/// Writes a file that does not exist yet; nobody else can read it before it has its mode.
fn create(
    path: &Path,
    text: &str,
    is_private: bool,
    permissions: Option<&Permissions>,
) -> io::Result<()> {
    let mut file = match is_private {
        true => private::create(path)?,
        false => File::create_new(path)?,
    };
    file.write_all(text.as_bytes())?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions.clone())?;
    }
    file.sync_all()
}
